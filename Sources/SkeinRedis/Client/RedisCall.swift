// A command on its way, and the answer to it.

import Logging
import NIOCore
import SkeinCore
import SkeinTransport

/// Something that stands in a connection's pipeline and is answered by one value.
protocol RedisOperation: AnyObject {
    /// Whether nobody waits for it any more.
    var isAbandoned: Bool { get }
    /// Whether a value is not the answer yet, but comes before it.
    func absorbs(_ value: RedisValue) -> Bool
    /// Takes the answer.
    func receive(_ value: RedisValue, on connection: RedisConnection)
    /// The connection has ended before that.
    func lost(_ reason: SkeinError)
    /// The connection has ended before anything of it was sent.
    func wasNotSent(_ reason: SkeinError)
}

extension RedisOperation {
    func absorbs(_ value: RedisValue) -> Bool { false }
    func wasNotSent(_ reason: SkeinError) { lost(reason) }
}

/// A command under way, and, when it is over, what has come of it.
///
/// Unchecked: touched on its shard's loop only, but for what is set before it is submitted.
final class RedisCall: PipelinedCall, PoolCall, RedisOperation, @unchecked Sendable {
    typealias Callback = @Sendable (RedisResponse) -> Void

    let core: CallCore
    /// Who finds a connection for a command.
    let route: any RedisRoute
    let commands: RedisRequest
    let meta: RequestMetadata
    @exclusivity(unchecked) private var corequest: Corequest<RedisResponse>?
    private let callback: Callback?
    @exclusivity(unchecked) fileprivate var value = RedisValue.null
    @exclusivity(unchecked) fileprivate var failure: SkeinError?
    /// How often it was sent elsewhere by the server.
    @exclusivity(unchecked) var redirections = 0
    /// Whether the server it goes to has to be told that it was sent there.
    @exclusivity(unchecked) var isAsking = false
    /// Gives back the connection that it had alone.
    @exclusivity(unchecked) var whenOver: (@Sendable () -> Void)?
    /// Answers of a transaction that are still to come before its own.
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

    /// What callers wait on; before it is submitted.
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

    // MARK: On the wire

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

    /// Whether a value is one of those before the answer.
    func absorbs(_ value: RedisValue) -> Bool {
        guard preliminaries > 0 else { return false }
        preliminaries -= 1
        if case .error(let error) = value, firstRefusal == nil { firstRefusal = error }
        return true
    }

    func receive(_ value: RedisValue, on connection: RedisConnection) {
        guard !isOver else { return }
        if case .error(let error) = value {
            // Of a transaction that was refused, the reason says more than that it was.
            let reason = firstRefusal ?? error
            if route.handles(reason, of: self, on: connection) { return }
            self.value = .error(reason)
        } else {
            self.value = value
            route.answered(self, value)
        }
        end(bytes: value.size, failed: false, publish: respond)
    }

    /// It was answered without a server.
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

    /// The connection has ended before anything of it was sent.
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

    /// Gives back the connection that it had alone, when that has let go of it.
    func giveBackOwn() {
        guard let whenOver else { return }
        core.carrier = nil  // another call's from now on, which the end of this one must not touch
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

/// What is asked for at one time.
enum RedisRequest: Sendable {
    case one(RedisCommand)
    /// All of them, with nobody's in between.
    case transaction([RedisCommand])

    var isReadOnly: Bool {
        switch self {
        case .one(let command): command.kind.contains(.readOnly)
        case .transaction(let commands): commands.allSatisfy { $0.kind.contains(.readOnly) }
        }
    }

    /// What says where in a cluster it belongs.
    var key: RedisArgument? {
        switch self {
        case .one(let command): command.key
        case .transaction(let commands): commands.lazy.compactMap(\.key).first
        }
    }

    var blocks: Bool { if case .one(let command) = self { command.blocks } else { false } }
}

/// The answer of a store, or the failure that prevented one.
public struct RedisResponse: Response {
    fileprivate let call: RedisCall

    /// What the caller attached.
    public var meta: RequestMetadata { call.meta }
    /// 200, 500 when the server refuses, 700 to 722 for a failure.
    public var statusCode: Int { call.failure?.code.rawValue ?? (redisError == nil ? 200 : 500) }
    /// The status in words; the server's.
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
    /// What the server said when it refused.
    public var refusal: (any Error)? { redisError }
    /// What the server said when it refused.
    public var redisError: RedisError? { if case .error(let error) = call.value { error } else { nil } }
    /// The store that was asked.
    public var peer: String { call.peer }
    /// 299.
    public static var highestSuccess: Int { 299 }

    /// The value as one of a type.
    /// - Throws: code 709 when it is none.
    public func decode<T: Decodable>(_ type: T.Type) throws -> T {
        do {
            return try RedisValueDecoder.decode(type, content)
        } catch {
            throw SkeinError(
                .invalidContent, peer: peer, because: "the answer to \(method) is not a \(type): \(content.excerpt)",
                cause: error)
        }
    }

    /// The value as a list; one that is none is a list of one, or, when there is nothing, of none.
    public func decodeRecords<T: Decodable>(_ type: T.Type) throws -> [T] {
        if content.elements != nil { return try decode([T].self) }
        return content.isNull ? [] : [try decode(type)]
    }
}

extension RedisValue {
    /// Bytes that it takes, about.
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
