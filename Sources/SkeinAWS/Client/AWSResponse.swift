// The response to a call.

import Logging
import NIOCore
import SkeinCore
import SkeinHTTP

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// The response of a service, or a failure.
public struct AWSResponse: Response {
    /// The part of the response that is the result.
    package enum Form: Sendable {
        /// The whole response.
        case json
        /// A list in a member.
        case list(String)
        /// A DynamoDB item in a member.
        case item(String)
        /// DynamoDB items in a member.
        case items(String)
    }

    /// The HTTP response, of the last attempt; nil when nothing was sent.
    public let http: HTTPResponse?
    /// The caller's metadata.
    public let meta: RequestMetadata
    /// The operation: `SendMessage`, `PutItem`.
    public let method: String
    /// The service's error.
    public let error: AWSError?
    /// The failure, if there was one.
    public let failure: SkeinError?
    /// The session's logger.
    public let logger: Logger
    /// The origin of the service.
    public let peer: String
    private let form: Form
    private let body: ByteBuffer

    /// - Parameter content: replaces the content of the HTTP response.
    init(_ http: HTTPResponse, _ operation: String, _ form: Form, content: ByteBuffer? = nil) {
        self.http = http
        meta = http.meta
        method = operation
        failure = http.failure
        logger = http.logger
        peer = http.peer
        self.form = form
        body = content ?? http.content
        error = http.failure == nil && http.statusCode >= 300 ? AWSError(http) : nil
    }

    init(_ failure: SkeinError, _ operation: String, meta: RequestMetadata, logger: Logger) {
        http = nil
        self.meta = meta
        method = operation
        error = nil
        self.failure = failure
        self.logger = logger
        peer = failure.peer ?? ""
        form = .json
        body = ByteBuffer()
    }

    /// The status of the response; 409 for a failed condition, 700 to 722 for a failure.
    public var statusCode: Int {
        failure?.code.rawValue ?? (error?.isConflict == true ? 409 : http?.statusCode ?? 0)
    }
    /// The service's error code, or the name of the failure.
    public var reason: String { failure?.code.name ?? error?.code ?? http?.reason ?? "" }
    /// The response as JSON; null when it is not JSON.
    public var content: JSONValue {
        body.readableBytes == 0 ? .null : (try? Self.read(JSONValue.self, body)) ?? .null
    }
    /// The service's error.
    public var refusal: (any Error)? { error }
    /// 299.
    public static var highestSuccess: Int { 299 }

    static func read<T: Decodable>(_ type: T.Type, _ body: ByteBuffer) throws -> T {
        try JSON.decode(type, from: body.readableBytesView)
    }

    /// The requested item or items, decoded; for other calls, the whole response.
    /// - Throws: code 709 when it cannot be decoded.
    public func decode<T: Decodable>(_ type: T.Type) throws -> T {
        try checked(type) {
            switch form {
            case .json: try Self.read(type, body)
            case .list(let name): try member(name, T.self).some
            case .item(let name): try AttributeDecoder.decode(type, from: item(name).map { .map($0) } ?? .null)
            case .items(let name): try AttributeDecoder.decode(type, from: .list(items(name).map { .map($0) }))
            }
        }
    }

    /// The requested items, or the elements of the requested list, decoded.
    /// - Throws: code 709 when they cannot be decoded.
    public func decodeRecords<T: Decodable>(_ type: T.Type) throws -> [T] {
        try checked(type) {
            switch form {
            case .json: [try Self.read(type, body)]
            case .list(let name): try member(name, [T].self).value ?? []
            case .item(let name): try item(name).map { [try AttributeDecoder.decode(type, from: .map($0))] } ?? []
            case .items(let name): try items(name).map { try AttributeDecoder.decode(type, from: .map($0)) }
            }
        }
    }

    private func checked<T, Value>(_ type: T.Type, _ work: () throws -> Value) throws -> Value {
        do { return try work() } catch {
            throw SkeinError(
                .invalidContent, peer: peer, because: "the answer to \(method) is not a \(type): \(error)", cause: error
            )
        }
    }

    // MARK: Items

    /// The item of a call for a single item; nil when it does not exist.
    public var item: DynamoItem? { if case .item(let name) = form { try? item(name) } else { nil } }

    /// The items of a call for several items.
    public var items: [DynamoItem] { if case .items(let name) = form { (try? items(name)) ?? [] } else { [] } }

    private func item(_ name: String) throws -> DynamoItem? { try member(name, DynamoItem.self).value }
    private func items(_ name: String) throws -> [DynamoItem] { try member(name, [DynamoItem].self).value ?? [] }

    private func member<Value: Decodable>(_ name: String, _ type: Value.Type) throws -> Member<Value> {
        let decoder = JSONDecoder()
        decoder.userInfo[.wantedMember] = name
        return try decoder.decode(Member<Value>.self, from: Data(body.readableBytesView))
    }
}

/// One member of a response; the others are ignored.
private struct Member<Value: Decodable>: Decodable {
    let value: Value?
    private let name: TreeKey

    init(from decoder: any Decoder) throws {
        name = TreeKey(stringValue: decoder.userInfo[.wantedMember] as? String ?? "")
        value = try decoder.container(keyedBy: TreeKey.self).decodeIfPresent(Value.self, forKey: name)
    }

    /// The value, which must be present.
    var some: Value {
        get throws {
            if let value { return value }
            throw DecodingError.keyNotFound(
                name, .init(codingPath: [], debugDescription: "the answer has no \(name.stringValue)"))
        }
    }
}

extension CodingUserInfoKey {
    // The initializer never fails; its result is optional for historical reasons.
    fileprivate static var wantedMember: CodingUserInfoKey {
        guard let key = CodingUserInfoKey(rawValue: "member") else { preconditionFailure("a key has a name") }
        return key
    }
}
