// WATCH: a transaction that is executed only if its keys have not changed.

import NIOCore
import SkeinCore
import SkeinTransport
import Synchronization

extension RedisClient {
    /// Reads keys and changes them, retrying until no other client has changed them in between.
    /// - Parameters:
    ///   - keys: the keys that must not change meanwhile.
    ///   - attempts: the maximum number of attempts. Default: 10.
    ///   - work: reads with the given connection, and collects the commands.
    /// - Returns: the replies to the commands.
    /// - Throws: code 409 when another client was faster each time; the error of the work.
    @discardableResult
    public func watch(
        _ keys: String..., attempts: Int = 10, _ work: (RedisLeasedConnection, RedisTransaction) async throws -> Void
    ) async throws -> [RedisValue] {
        let (connection, pool) = try await route.lease(keys.first.map { .text($0) })
        let lease = RedisLeasedConnection(connection, session)
        // The next user of the connection must not find watched keys or a changed session.
        defer {
            lease.end()
            connection.shard.run {
                if lease.hasChangedSession { connection.close() } else { pool.giveBack(connection) }
            }
        }
        connection.shard.run { connection.learnWhetherMulti() }
        do {
            for _ in 0..<max(1, attempts) {
                try await lease.ask(RedisRequest.one(RedisCommand("WATCH", keys))).commit()
                let transaction = RedisTransaction()
                try await work(lease, transaction)
                let answer = try await lease.ask(.transaction(transaction.commands)).fetch()
                if let answers = answer.elements { return answers }
            }
        } catch {
            lease.ask(.one(RedisCommand("UNWATCH")))
            throw error
        }
        throw SkeinError.status(
            409, peer: configuration.description,
            because: "other clients changed the keys during each of \(attempts) attempts")
    }
}

/// An exclusive connection.
public final class RedisLeasedConnection: RedisCommands, Sendable {
    public typealias Answer = Corequest<RedisResponse>

    private let connection: RedisConnection
    private let session: Session
    private let route: LeasedRoute
    private let changed = Atomic<Bool>(false)
    private let isOver = Atomic<Bool>(false)

    /// Whether a command that changes the session was sent.
    var hasChangedSession: Bool { changed.load(ordering: .acquiring) }

    init(_ connection: RedisConnection, _ session: Session) {
        self.connection = connection
        self.session = session
        route = LeasedRoute(connection)
    }

    /// Ends the lease: further commands fail, since the connection returns to the pool.
    fileprivate func end() { isOver.store(true, ordering: .releasing) }

    /// Starts a command and returns at once.
    @discardableResult
    public func send(_ command: RedisCommand) -> Answer {
        if command.kind.contains(.session), command.name != "WATCH", command.name != "UNWATCH" {
            changed.store(true, ordering: .releasing)
        }
        return ask(.one(command))
    }

    @discardableResult
    func ask(_ request: RedisRequest) -> Answer {
        let call = RedisCall(
            request, route: route, session: session, shard: connection.shard, timeout: nil,
            standard: nil, meta: RequestMetadata(), callback: nil)
        let corequest = call.handle
        if isOver.load(ordering: .acquiring) {
            session.refuse(
                call, SkeinError(.exception, peer: connection.peer, because: "the connection was given back already"),
                on: connection.shard)
        } else {
            call.submitWithinAnother()
        }
        return corequest
    }
}

/// The route to a leased connection.
private final class LeasedRoute: RedisRoute, @unchecked Sendable {
    private let connection: RedisConnection

    init(_ connection: RedisConnection) { self.connection = connection }

    var peer: String { connection.peer }
    var connectionCount: Int { 0 }
    func send(_ call: RedisCall) {
        guard connection.isUsable else {
            return call.failLater(SkeinError(.connectionClosed, peer: peer, because: "the connection has ended"))
        }
        connection.send(call, at: connection.shard.now)
    }
    func handles(_ error: RedisError, of call: RedisCall, on connection: RedisConnection) -> Bool { false }
    func answered(_ call: RedisCall, _ value: RedisValue) {}
    func lease(_ key: RedisArgument?) async throws -> RedisLease {
        throw SkeinError(.exception, peer: peer, because: "a leased connection cannot be leased again")
    }
    func shutdown() {}
    func retire() {}
}
