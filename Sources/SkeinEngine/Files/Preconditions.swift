// Conditional requests (RFC 9110, section 13).

import SkeinCore
import SkeinHTTP
import SkeinWire

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// The validators of one version of a resource.
package struct Validators: Sendable {
    /// The entity tag with its quotes; `W/` before it for a weak one.
    package let tag: String
    /// The time of the last change, in whole seconds since 1970.
    package let modified: Int
}

/// The preconditions of a request.
package enum Preconditions {
    /// The result of the evaluation.
    package enum Outcome: Hashable {
        /// The method is performed.
        case proceed
        /// 304: the client's copy is current.
        case notModified
        /// 412: the client's version differs.
        case failed
    }

    /// Evaluates the fields in their order (section 13.2.2).
    package static func weigh(_ headers: Headers, _ method: HTTPMethod, _ validators: Validators) -> Outcome {
        if let field = list("If-Match", headers) {
            guard matches(field, validators.tag, isWeak: false) else { return .failed }
        } else if let date = date("If-Unmodified-Since", headers), validators.modified > date {
            return .failed
        }
        let isReading = method == .get || method == .head
        if let field = list("If-None-Match", headers) {
            guard matches(field, validators.tag, isWeak: true) else { return .proceed }
            return isReading ? .notModified : .failed
        }
        if isReading, let date = date("If-Modified-Since", headers), validators.modified <= date { return .notModified }
        return .proceed
    }

    /// Whether the ranges of a request apply (section 13.1.5): without If-Range they do, else for this version only.
    package static func allowsRange(_ headers: Headers, _ validators: Validators) -> Bool {
        guard let field = headers["If-Range"] else { return true }
        if field.hasBytePrefix("\"") || field.hasBytePrefix("W/") {
            return field == validators.tag && !field.hasBytePrefix("W/")
        }
        return seconds(field) == validators.modified
    }

    private static func list(_ name: String, _ headers: Headers) -> String? {
        let values = headers.values(name)
        return values.isEmpty ? nil : values.joined(separator: ",")
    }

    /// Whether a list contains a tag, or is `*`.
    private static func matches(_ field: String, _ tag: String, isWeak: Bool) -> Bool {
        if field == "*" { return true }
        let own = tag.hasBytePrefix("W/") ? tag.dropFirst(2) : tag[...]
        if !isWeak, tag.hasBytePrefix("W/") { return false }
        return field.splitBytes(separator: ",").contains { part in
            let part = part.trimmingBlanks()
            guard part.hasBytePrefix("W/") else { return part == own }
            return isWeak && part.dropFirst(2) == own
        }
    }

    private static func date(_ name: String, _ headers: Headers) -> Int? { headers[name].flatMap(seconds) }

    private static func seconds(_ text: String) -> Int? {
        HTTPDate.seconds(text)
    }
}
