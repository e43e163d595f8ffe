// A command in flight, and its response.

import Logging
import NIOCore
import SkeinCore
import SkeinTransport

/// An entry of a connection's pipeline that is answered by one value.
protocol RedisOperation: AnyObject {
    /// Whether no caller waits for it any more.
    var isAbandoned: Bool { get }
    /// Whether a value is a preliminary one, before the response.
    func absorbs(_ value: RedisValue) -> Bool
    /// Receives the response.
    func receive(_ value: RedisValue, on connection: RedisConnection)
    /// The connection ended before the response.
    func lost(_ reason: SkeinError)
    /// The connection ended before any byte of it was sent.
    func wasNotSent(_ reason: SkeinError)
}

extension RedisOperation {
    func absorbs(_ value: RedisValue) -> Bool { false }
    func wasNotSent(_ reason: SkeinError) { lost(reason) }
}

/// A command in flight, and, when it is over, its result.
///
/// Unchecked: used on its shard's loop only, except for setup before submission.
final class RedisCall: PipelinedCall, PoolCall, RedisOperation, @unchecked Sendable {
    typealias Callback = @Sendable (RedisResponse) -> Void

    let core: CallCore
    /// Finds a connection for the command.
    let route: any RedisRoute
    let commands: RedisRequest
    let meta: RequestMetadata
    @exclusivity(unchecked) private var corequest: Corequest<RedisResponse>?
    private let callback: Callback?
    @exclusivity(unchecked) fileprivate var value = RedisValue.null
    @exclusivity(unchecked) fileprivate var failure: SkeinError?
    /// The number of redirections by the cluster.
    @exclusivity(unchecked) var redirections = 0
    /// Whether the command is sent with ASKING.
    @exclusivity(unchecked) var isAsking = false
    /// Returns the connection that it used exclusively.
    @exclusivity(unchecked) var whenOver: (@Sendable () -> Void)?
    /// The remaining replies of a transaction before its result.
    @exclusivity(unchecked) private var preliminaries = 0
    @exclusivity(unchecked) private var firstRefusal: RedisError?

    init(
        _ commands: RedisRequest, route: any RedisRoute, session: Session, shard: Shard, timeout: Duration?,
        standard: Duration?, meta: RequestMetadata, callback: Callback?
    ) {
        self.commands = commands
        self.route = route
        self.meta = meta
        self.callback = callback
        let corequest = Corequest<RedisResponse>(shard: shard)
        self.corequest = corequest
        core = CallCore(session: session, shard: shard, timeout: timeout, standard: standard)
        corequest.setDriver(self)
    }

    var peer: String { route.peer }

    /// The corequest for callers; before submission.
    var handle: Corequest<RedisResponse> {
        guard let corequest else { preconditionFailure("a call is asked for its corequest after its end") }
        return corequest
    }

    func begin() { route.send(self) }

    var isAbandoned: Bool { isOver }

    /// The name of the command.
    var name: String {
        switch commands {
        case .one(let command): command.name
        case .transaction: "MULTI"
        }
    }

    // MARK: Wire format

    func write(into output: inout ByteBuffer) {
        firstRefusal = nil
        preliminaries = isAsking ? 1 : 0
        if isAsking { output.writeStaticString("*1\r\n$6\r\nASKING\r\n") }
        switch commands {
        case .one(let command): RESPEncoder.write(command, into: &output)
        case .transaction(let commands):
            output.writeStaticString("*1\r\n$5\r\nMULTI\r\n")
            for command in commands { RESPEncoder.write(command, into: &output) }
            output.writeStaticString("*1\r\n$4\r\nEXEC\r\n")
            preliminaries += commands.count + 1
        }
    }

    /// Whether a value is one of those before the response.
    func absorbs(_ value: RedisValue) -> Bool {
        guard preliminaries > 0 else { return false }
        preliminaries -= 1
        if case .error(let error) = value, firstRefusal == nil { firstRefusal = error }
        return true
    }

    func receive(_ value: RedisValue, on connection: RedisConnection) {
        guard !isOver else { return }
        if case .error(let error) = value {
            // For a refused transaction, the first refusal is the more specific error.
            let reason = firstRefusal ?? error
            if route.handles(reason, of: self, on: connection) { return }
            self.value = .error(reason)
        } else {
            self.value = value
            route.answered(self, value)
        }
        end(bytes: value.size, failed: false, publish: respond)
    }

    /// The response came from the cache.
    func answer(_ value: RedisValue) {
        guard !isOver else { return }
        self.value = value
        end(bytes: 0, failed: false, publish: respond)
    }

    func lost(_ reason: SkeinError) {
        guard !isOver else { return }
        if core.attempts < 2, commands.isReadOnly { return route.send(self) }
        fail(
            SkeinError(
                reason.code, peer: peer,
                because:
                    "the connection was lost with the command under way, and whether it was carried out is not known: "
                    + reason.message, cause: reason))
    }

    /// The connection ended before any byte of it was sent.
    func wasNotSent(_ reason: SkeinError) {
        guard !isOver else { return }
        if core.attempts < 2 { return route.send(self) }
        fail(reason)
    }

    func publish(_ failure: SkeinError) {
        self.failure = failure
        value = .null
        respond()
    }

    /// Returns the connection that it used exclusively, once it is idle.
    func giveBackOwn() {
        guard let whenOver else { return }
        core.carrier = nil  // it belongs to another call now, which this one must not affect
        self.whenOver = nil
        shard.eventLoop.execute(whenOver)
    }

    private func respond() {
        giveBackOwn()
        guard let corequest else { return }
        self.corequest = nil
        let response = RedisResponse(call: self)
        corequest.finish(response)
        callback?(response)
    }
}

/// A command, or a transaction.
enum RedisRequest: Sendable {
    case one(RedisCommand)
    /// A transaction, executed without other commands in between.
    case transaction([RedisCommand])

    var isReadOnly: Bool {
        switch self {
        case .one(let command): command.kind.contains(.readOnly)
        case .transaction(let commands): commands.allSatisfy { $0.kind.contains(.readOnly) }
        }
    }

    /// The key that determines the server of a cluster.
    var key: RedisArgument? {
        switch self {
        case .one(let command): command.key
        case .transaction(let commands): commands.lazy.compactMap(\.key).first
        }
    }

    var blocks: Bool { if case .one(let command) = self { command.blocks } else { false } }
}

/// The response of a Redis server, or a failure.
public struct RedisResponse: Response {
    fileprivate let call: RedisCall

    /// The caller's metadata.
    public var meta: RequestMetadata { call.meta }
    /// 200, 500 when the server refuses, 700 to 722 for a failure.
    public var statusCode: Int { call.failure?.code.rawValue ?? (redisError == nil ? 200 : 500) }
    /// The server's message, or the name of the failure.
    public var reason: String { call.failure?.code.name ?? redisError?.message ?? "OK" }
    /// The name of the command.
    public var method: String { call.name }
    /// The value.
    public var content: RedisValue { call.value }
    /// The value, under the name that responses of all protocols have.
    public var data: RedisValue { call.value }
    /// The session's logger.
    public var logger: Logger { call.session.logger }
    /// The failure, if there was one.
    public var failure: SkeinError? { call.failure }
    /// The server's error.
    public var refusal: (any Error)? { redisError }
    /// The server's error.
    public var redisError: RedisError? { if case .error(let error) = call.value { error } else { nil } }
    /// The server.
    public var peer: String { call.peer }
    /// The bytes of the value.
    public var contentSize: Int { call.value.size + 1024 }
    /// 299.
    public static var highestSuccess: Int { 299 }

    /// The value, decoded as a type.
    /// - Throws: code 709 when it cannot be decoded.
    public func decode<T: Decodable>(_ type: T.Type) throws -> T {
        do {
            return try RedisValueDecoder.decode(type, content)
        } catch {
            throw SkeinError(
                .invalidContent, peer: peer, because: "the answer to \(method) is not a \(type): \(content.excerpt)",
                cause: error)
        }
    }

    /// The value as a list; a single value is a list of one, and null an empty list.
    public func decodeRecords<T: Decodable>(_ type: T.Type) throws -> [T] {
        if content.elements != nil { return try decode([T].self) }
        return content.isNull ? [] : [try decode(type)]
    }
}

extension RedisValue {
    /// Its approximate size in bytes.
    var size: Int {
        switch self {
        case .string(let bytes): bytes.readableBytes
        case .array(let list), .set(let list): list.reduce(0) { $0 + $1.size }
        case .map(let entries): entries.reduce(0) { $0 + $1.key.size + $1.value.size }
        default: 8
        }
    }

    fileprivate var excerpt: String { String(description.prefix(80)) }
}
