// Selects the connection for a command: of the single server, or, in a cluster, of the server that holds its key.

import NIOCore
import SkeinCore
import SkeinTransport

/// A leased connection, and its pool.
typealias RedisLease = (connection: RedisConnection, pool: PipelinePool<RedisConnection>)

/// Selects connections for the commands of one shard. Used on its loop only.
protocol RedisRoute: AnyObject, Sendable {
    /// The name in messages.
    var peer: String { get }
    /// Sends a command.
    func send(_ call: RedisCall)
    /// Handles an error that requires an action of the client, such as a redirection: returns whether it did.
    func handles(_ error: RedisError, of call: RedisCall, on connection: RedisConnection) -> Bool
    /// Notes a response.
    func answered(_ call: RedisCall, _ value: RedisValue)
    /// Leases a connection to the server that holds a key.
    func lease(_ key: RedisArgument?) async throws -> RedisLease
    func shutdown()
    func retire()
    /// Open connections.
    var connectionCount: Int { get }
}

/// A single server.
///
/// Unchecked: used on its shard's loop only.
final class RedisServerRoute: RedisRoute, @unchecked Sendable {
    private let pool: PipelinePool<RedisConnection>
    private let cache: RedisCache?
    let peer: String

    init(shard: Shard, session: Session, configuration: RedisConfiguration, connector: RedisConnector) {
        peer = configuration.description
        let cache = configuration.cachedAnswers > 0 ? RedisCache(limit: configuration.cachedAnswers) : nil
        self.cache = cache
        pool = PipelinePool<RedisConnection>(
            shard: shard, session: session, limits: configuration.pool, peer: configuration.description,
            maximumShared: 1
        ) {
            connector.connect(shard, cache: cache)
        }
    }

    var connectionCount: Int { pool.count }

    func send(_ call: RedisCall) {
        if let problem = call.commands.problem { return call.failLater(problem) }
        if let cache, let value = cache[call.commands] {
            // In a later tick, as all responses: a callback that starts the next call must not recurse.
            return call.shard.eventLoop.execute { call.answer(value) }
        }
        if call.commands.blocks { return call.sendAlone(self) }
        pool.submit(call)
    }

    func handles(_ error: RedisError, of call: RedisCall, on connection: RedisConnection) -> Bool {
        // The master has become a replica, or the server is not ready yet: a new connection finds the right server.
        guard ["READONLY", "LOADING", "MASTERDOWN"].contains(error.kind), call.core.attempts < 3, !connection.isLeased
        else {
            return false
        }
        connection.leave()
        let wait = Backoff(first: .milliseconds(50), factor: 4, longest: .milliseconds(500)).delay(
            after: call.core.attempts)
        call.shard.eventLoop.scheduleTask(in: TimeAmount(wait)) { if !call.isOver { self.pool.submit(call) } }
        return true
    }

    func answered(_ call: RedisCall, _ value: RedisValue) { cache?.keep(value, for: call.commands) }

    func lease(_ key: RedisArgument?) async throws -> RedisLease {
        (try await pool.lease(until: Deadline.current), pool)
    }

    func shutdown() { pool.shutdown() }
    func retire() { pool.retire() }
}

extension RedisRequest {
    /// The reason why it cannot be sent on a shared connection.
    var problem: SkeinError? {
        let commands =
            switch self {
            case .one(let command): [command]
            case .transaction(let all): all
            }
        for command in commands where command.kind.contains(.session) {
            return SkeinError(
                .exception,
                because:
                    "\(command.name) changes the connection, which many callers share; use multi { … }, watch(…) or "
                    + "subscribe(…), or set it in the client's address")
        }
        return nil
    }
}

extension RedisCall {
    /// Sends a command that may block on an exclusive connection, to the server that holds its key.
    func sendAlone(_ route: any RedisRoute) { sendAlone { try await route.lease(self.commands.key) } }

    /// Sends it to a known server.
    func sendAlone(on pool: PipelinePool<RedisConnection>) {
        sendAlone { (try await pool.lease(until: Deadline.current), pool) }
    }

    private func sendAlone(_ lease: @escaping @Sendable () async throws -> RedisLease) {
        Task(executorPreference: shard.executor) {
            do {
                let (connection, pool) = try await lease()
                if self.isOver { return pool.giveBack(connection) }
                self.whenOver = { pool.giveBack(connection) }
                connection.send(self, at: self.shard.now)
            } catch let error as SkeinError {
                self.fail(error)
            } catch {
                self.fail(SkeinError(.cancelled, because: "the call was cancelled"))
            }
        }
    }
}
