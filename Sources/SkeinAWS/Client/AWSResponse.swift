// What has come of a call.

import Logging
import NIOCore
import SkeinCore
import SkeinHTTP

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// The answer of a service, or the failure that prevented one.
public struct AWSResponse: Response {
    /// Where in an answer that stands which the caller has asked for.
    package enum Form: Sendable {
        /// The whole.
        case json
        /// A list in a member of it.
        case list(String)
        /// An item of DynamoDB in a member of it.
        case item(String)
        /// Items of DynamoDB in a member of it.
        case items(String)
    }

    /// The answer that carried it, of several attempts the last one's; nil when nothing was sent.
    public let http: HTTPResponse?
    /// What the caller attached.
    public let meta: RequestMetadata
    /// The operation: `SendMessage`, `PutItem`.
    public let method: String
    /// What the service said when it refused.
    public let error: AWSError?
    /// The failure, if there was one.
    public let failure: SkeinError?
    /// The session's logger.
    public let logger: Logger
    /// The service that was asked.
    public let peer: String
    private let form: Form
    private let body: ByteBuffer

    /// - Parameter content: what stands in the place of the answer's own.
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

    /// The status of the answer; 409 for a condition that did not hold, 700 to 722 for a failure.
    public var statusCode: Int {
        failure?.code.rawValue ?? (error?.isConflict == true ? 409 : http?.statusCode ?? 0)
    }
    /// The status in words; the service's.
    public var reason: String { failure?.code.name ?? error?.code ?? http?.reason ?? "" }
    /// The answer as JSON; nothing when it is none.
    public var content: JSONValue {
        body.readableBytes == 0 ? .null : (try? Self.read(JSONValue.self, body)) ?? .null
    }
    /// What the service said when it refused.
    public var refusal: (any Error)? { error }
    /// 299.
    public static var highestSuccess: Int { 299 }

    static func read<T: Decodable>(_ type: T.Type, _ body: ByteBuffer) throws -> T {
        try JSON.decode(type, from: body.readableBytesView)
    }

    /// The item or the items that were asked for; of other calls, the whole answer.
    /// - Throws: code 709 when it is none of the type.
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

    /// The items, or the elements of the list, that were asked for.
    /// - Throws: code 709 when they are none of the type.
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

    /// The item of a call that is about one; nil when there is none.
    public var item: DynamoItem? { if case .item(let name) = form { try? item(name) } else { nil } }

    /// The items of a call that is about several.
    public var items: [DynamoItem] { if case .items(let name) = form { (try? items(name)) ?? [] } else { [] } }

    private func item(_ name: String) throws -> DynamoItem? { try member(name, DynamoItem.self).value }
    private func items(_ name: String) throws -> [DynamoItem] { try member(name, [DynamoItem].self).value ?? [] }

    private func member<Value: Decodable>(_ name: String, _ type: Value.Type) throws -> Member<Value> {
        let decoder = JSONDecoder()
        decoder.userInfo[.wantedMember] = name
        return try decoder.decode(Member<Value>.self, from: Data(body.readableBytesView))
    }
}

/// One member of an answer, whatever the others are.
private struct Member<Value: Decodable>: Decodable {
    let value: Value?
    private let name: TreeKey

    init(from decoder: any Decoder) throws {
        name = TreeKey(stringValue: decoder.userInfo[.wantedMember] as? String ?? "")
        value = try decoder.container(keyedBy: TreeKey.self).decodeIfPresent(Value.self, forKey: name)
    }

    /// The value, which has to be there.
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
