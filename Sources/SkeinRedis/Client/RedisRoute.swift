// Which connection a command goes to: that of the one server, or, in a cluster, of the server that has its key.

import NIOCore
import SkeinCore
import SkeinTransport

/// A leased connection, and the pool that it goes back to.
typealias RedisLease = (connection: RedisConnection, pool: PipelinePool<RedisConnection>)

/// Finds connections for the commands of one shard. Touched on its loop only.
protocol RedisRoute: AnyObject, Sendable {
    /// What is named in messages.
    var peer: String { get }
    /// Sends a command.
    func send(_ call: RedisCall)
    /// Takes care of a refusal that means something else than that: returns whether it does.
    func handles(_ error: RedisError, of call: RedisCall, on connection: RedisConnection) -> Bool
    /// Takes note of an answer.
    func answered(_ call: RedisCall, _ value: RedisValue)
    /// Leases a connection to the server that has a key.
    func lease(_ key: RedisArgument?) async throws -> RedisLease
    func shutdown()
    func retire()
    /// Connections open now.
    var connectionCount: Int { get }
}

/// The one server.
///
/// Unchecked: touched on its shard's loop only.
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
            // In a later tick, as all answers: a callback that makes the next call must not recurse.
            return call.shard.eventLoop.execute { call.answer(value) }
        }
        if call.commands.blocks { return call.sendAlone(self) }
        pool.submit(call)
    }

    func handles(_ error: RedisError, of call: RedisCall, on connection: RedisConnection) -> Bool {
        // The master has become a replica, or the server is not yet what it will be: another connection finds the right one.
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
    /// Why it cannot be sent among others'.
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
    /// Sends a command that may block on a connection that nobody shares meanwhile, to the server that has its key.
    func sendAlone(_ route: any RedisRoute) { sendAlone { try await route.lease(self.commands.key) } }

    /// Sends it to a server that is known.
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
