// Request data beside the path: the query, forms, JSON, cookies.

import SkeinCore
import SkeinHTTP

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// Names and values sent by a client, in order.
public struct FormValues: Sendable, Sequence {
    private let pairs: [(name: String, value: String)]

    init(_ pairs: [(String, String)]) { self.pairs = pairs.map { ($0.0, $0.1) } }

    /// The first value of a name; nil without one.
    public subscript(name: String) -> String? { pairs.first { $0.name.equalsBytes(name) }?.value }

    /// All values of a name.
    public func values(_ name: String) -> [String] { pairs.filter { $0.name.equalsBytes(name) }.map(\.value) }

    /// The first value of a name.
    /// - Throws: ``ServerError`` 400 when it is missing, or cannot be converted.
    public func value<Value: LosslessStringConvertible>(_ name: String, as type: Value.Type) throws(ServerError)
        -> Value
    {
        guard let text = self[name] else { throw ServerError(.badRequest, "\(name) is missing") }
        guard let value = Value(text) else { throw ServerError(.badRequest, "\(name) has an invalid value") }
        return value
    }

    /// Iterates over the pairs.
    public func makeIterator() -> some IteratorProtocol<(name: String, value: String)> { pairs.makeIterator() }
}

extension ServerRequest {
    /// The names and values of the query.
    public var parameters: FormValues { FormValues(query.map { Percent.decodeForm($0) } ?? []) }

    /// The content type in lower case, without its parameters; nil when the request states none.
    public var contentType: String? { headers["Content-Type"].map { MediaType.split($0).value.lowercased() } }

    /// Reads the content as a form (WHATWG URL, application/x-www-form-urlencoded).
    /// - Parameter maximum: the limit in bytes. Default: 1 MiB.
    /// - Throws: ``ServerError`` 415 for another type, 413 above the maximum.
    public func form(upTo maximum: Int = 1 << 20) async throws -> FormValues {
        guard contentType == "application/x-www-form-urlencoded" else {
            throw ServerError(415, "send a form, as application/x-www-form-urlencoded")
        }
        return FormValues(Percent.decodeForm(String(buffer: try await body.collect(upTo: maximum))))
    }

    /// Reads the content as a JSON value.
    /// - Parameter maximum: the limit in bytes. Default: the server's limit.
    /// - Throws: ``ServerError`` 415 for another type, 413 above the maximum, 400 for an invalid value, with its
    ///   position.
    public func json<Value: Decodable>(_ type: Value.Type, upTo maximum: Int? = nil) async throws -> Value {
        guard let contentType, MediaType.isJSON(contentType) else {
            throw ServerError(415, "send JSON, as application/json")
        }
        let bytes = try await body.collect(upTo: maximum)
        do {
            return try JSON.decode(type, from: bytes.readableBytesView)
        } catch let error as JSONError {
            throw ServerError(.badRequest, "the content is not JSON: \(error)")
        } catch let error as DecodingError {
            throw ServerError(.badRequest, "the content does not match: \(Self.reason(error))")
        }
    }

    private static func reason(_ error: DecodingError) -> String {
        func at(_ context: DecodingError.Context) -> String {
            let path = context.codingPath.map { $0.intValue.map(String.init) ?? $0.stringValue }.joined(separator: ".")
            return path.isEmpty ? "" : " at \(path)"
        }
        switch error {
        case .keyNotFound(let key, let context): return "\(key.stringValue) is missing\(at(context))"
        case .typeMismatch(_, let context), .valueNotFound(_, let context):
            return "a value of another type is needed\(at(context))"
        case .dataCorrupted(let context):
            return context.codingPath.isEmpty ? "it is not JSON" : "a value is wrong\(at(context))"
        @unknown default: return "it cannot be read"
        }
    }

    /// The cookies of the request (RFC 6265, section 5.4); of several with one name the first, which has the longest
    /// path.
    public var cookies: [String: String] {
        var cookies: [String: String] = [:]
        for field in headers.values("Cookie") {
            for pair in field.splitBytes(separator: ";") {
                let parts = pair.splitBytes(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
                guard parts.count == 2 else { continue }
                let name = String(parts[0].trimmingBlanks())
                var value = parts[1].trimmingBlanks()
                if value.utf8.count >= 2, value.hasBytePrefix("\""), value.hasByteSuffix("\"") {
                    value = value.droppingBytes(first: 1, last: 1)
                }
                if cookies[name] == nil { cookies[name] = String(value) }
            }
        }
        return cookies
    }
}
