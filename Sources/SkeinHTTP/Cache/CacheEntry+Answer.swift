// Responses made from a stored one: the whole, a range, the head, or 304 (RFC 9110, sections 13 and 14).

import NIOCore
import SkeinCore
import SkeinWire

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

extension CacheEntry {
    /// Status and content for a request.
    /// - Parameter headers: the entry's fields, changed into those of the response.
    func answer(to request: HTTPRequest, _ headers: inout Headers) -> (HTTPStatus, ByteBuffer) {
        if isKnown(to: request) {
            for name in ["Content-Type", "Content-Length", "Content-Encoding", "Content-Language", "Content-Range"] {
                headers.remove(name)
            }
            return (.notModified, ByteBuffer())
        }
        let length = content.readableBytes
        if request.method == .head {
            headers["Content-Length"] = String(length)
            return (HTTPStatus(status), ByteBuffer())
        }
        switch part(for: request) {
        case .whole: return (HTTPStatus(status), content)
        case .unsatisfiable:
            headers.remove("Content-Length")
            headers["Content-Range"] = "bytes */\(length)"
            return (HTTPStatus(416), ByteBuffer())
        case .range(let range):
            headers.remove("Content-Length")
            headers["Content-Range"] = "bytes \(range.lowerBound)-\(range.upperBound - 1)/\(length)"
            let part = content.getSlice(at: content.readerIndex + range.lowerBound, length: range.count)
            return (.partialContent, part ?? ByteBuffer())
        }
    }

    static func opaque(_ tag: String) -> Substring {
        let tag = tag[...].trimmingBlanks()
        return tag.hasBytePrefix("W/") ? tag.dropFirst(2) : tag
    }

    /// Whether the client's copy is current (RFC 9110, sections 13.1.2 and 13.1.3).
    func isKnown(to request: HTTPRequest) -> Bool {
        guard (200..<300).contains(status) else { return false }
        let tags = request.headers.values("If-None-Match")
        if !tags.isEmpty {
            let own = headers["ETag"].map(Self.opaque)
            return tags.contains { $0[...].trimmingBlanks() == "*" }
                || own.map { own in Self.tags(tags.joined(separator: ",")).contains { $0.equalsBytes(own) } } ?? false
        }
        guard let since = request.headers["If-Modified-Since"].flatMap(HTTPDate.strict) else { return false }
        let changed = (date("Last-Modified") ?? date("Date") ?? received).timeIntervalSince1970
        return changed <= Double(since)
    }

    /// The opaque parts of a list of entity tags; commas inside quotation marks do not separate.
    private static func tags(_ list: String) -> [Substring] {
        var isQuoted = false
        return Substring(list).utf8.split { byte in
            if byte == UInt8(ascii: "\"") { isQuoted.toggle() }
            return byte == UInt8(ascii: ",") && !isQuoted
        }.map { opaque(String(Substring($0))) }
    }

    /// The part of the content that a request asks for.
    enum Part: Equatable {
        case whole
        case range(Range<Int>)
        /// The range is outside the content.
        case unsatisfiable
    }

    /// The single range of a request, if it has one (RFC 9110, section 14.2); several ranges are answered with the
    /// whole.
    func part(for request: HTTPRequest) -> Part {
        guard request.method == .get, status == 200, let field = request.headers["Range"],
            field.hasBytePrefix("bytes="),
            isMeant(byIfRange: request)
        else { return .whole }
        let spec = field.droppingBytes(first: 6).trimmingBlanks()
        let bounds = spec.splitBytes(separator: "-", omittingEmptySubsequences: false)
        let length = content.readableBytes
        guard bounds.count == 2, !spec.containsBytes(","),
            bounds.allSatisfy({ $0.utf8.allSatisfy(Bytes.isDigit) && $0.utf8.count < 18 })
        else { return .whole }
        switch (Int(bounds[0]), Int(bounds[1])) {
        case (nil, let suffix?):
            return suffix == 0 || length == 0 ? .unsatisfiable : .range(max(0, length - suffix)..<length)
        case (let first?, nil): return first < length ? .range(first..<length) : .unsatisfiable
        case (let first?, let last?):
            if first > last { return .whole }
            return first < length ? .range(first..<min(length, last + 1)) : .unsatisfiable
        case (nil, nil): return .whole
        }
    }

    /// Whether the client's partial copy is of this version (RFC 9110, section 13.1.5).
    private func isMeant(byIfRange request: HTTPRequest) -> Bool {
        guard let condition = request.headers["If-Range"]?[...].trimmingBlanks() else { return true }
        if condition.hasBytePrefix("\"") { return headers["ETag"].map { $0.equalsBytes(condition) } ?? false }
        return headers["Last-Modified"].map { $0.equalsBytes(condition) } ?? false
    }
}
