// A cluster: a pool for each server, and the table of slots.

import NIOCore
import SkeinCore
import SkeinTransport

/// Selects the server of a command by its key, and follows redirections.
///
/// Unchecked: used on its shard's loop only.
final class RedisClusterRoute: RedisRoute, @unchecked Sendable {
    private let shard: Shard
    private let session: Session
    private let configuration: RedisConfiguration
    private let connector: RedisConnector
    private var pools: [Endpoint: PipelinePool<RedisConnection>] = [:]
    private var slots: RedisSlots?
    private var waiting: [RedisCall] = []
    private var isLearning = false
    private var isShutDown = false
    let peer: String

    init(shard: Shard, session: Session, configuration: RedisConfiguration, connector: RedisConnector) {
        self.shard = shard
        self.session = session
        self.configuration = configuration
        self.connector = connector
        peer = configuration.description
    }

    var connectionCount: Int { pools.values.reduce(0) { $0 + $1.count } }

    func send(_ call: RedisCall) {
        if let problem = call.commands.problem { return call.failLater(problem) }
        guard slots != nil else {
            waiting.append(call)
            return learn()
        }
        if call.commands.blocks { return call.sendAlone(self) }
        do throws(SkeinError) {
            pool(try endpoint(call.commands.key)).submit(call)
        } catch {
            call.failLater(error)
        }
    }

    private func endpoint(_ key: RedisArgument?) throws(SkeinError) -> Endpoint {
        guard let slots, !isShutDown else {
            throw SkeinError(.shuttingDown, peer: peer, because: "the session is shutting down")
        }
        guard let key else {
            guard let any = slots.nodes.randomElement() else {
                throw SkeinError(.connectionFailed, peer: peer, because: "the cluster has no servers")
            }
            return any
        }
        let slot = RedisSlots.slot(key)
        guard let owner = slots.owner(of: slot) else {
            learn()
            throw SkeinError(.connectionFailed, peer: peer, because: "no server of the cluster has slot \(slot)")
        }
        return owner
    }

    private func pool(_ endpoint: Endpoint) -> PipelinePool<RedisConnection> {
        if let pool = pools[endpoint] { return pool }
        let connector = connector
        let shard = shard
        let pool = PipelinePool<RedisConnection>(
            shard: shard, session: session, limits: configuration.pool, peer: "redis://\(endpoint)", maximumShared: 1,
            connect: { connector.open(endpoint, shard) })
        pools[endpoint] = pool
        return pool
    }

    // MARK: The table

    /// Requests the table from a server of the cluster: first the known servers, then the configured ones.
    private func learn() {
        guard !isLearning, !isShutDown else { return }
        isLearning = true
        ask((slots?.nodes ?? []).shuffled() + configuration.hosts)
    }

    private func ask(_ candidates: [Endpoint]) {
        guard let endpoint = candidates.first else {
            return learned(nil, SkeinError(.connectionFailed, peer: peer, because: "no server of the cluster answers"))
        }
        connector.open(endpoint, shard).flatMap { connection in
            RedisConnector.ask(connection, RedisCommand("CLUSTER", ["SLOTS"])).map { value in
                connection.close()
                return value
            }
        }.whenComplete { result in
            switch result {
            case .success(.error(let error)):
                self.learned(
                    nil,
                    SkeinError(
                        .connectionFailed, peer: endpoint.description, because: "\(error); is it a cluster?",
                        cause: error))
            case .success(let value):
                if let slots = RedisSlots(value, asked: endpoint), !slots.nodes.isEmpty {
                    self.learned(slots, nil)
                } else {
                    self.ask(Array(candidates.dropFirst()))
                }
            case .failure(let error):
                if candidates.count > 1 { return self.ask(Array(candidates.dropFirst())) }
                self.learned(
                    nil,
                    error as? SkeinError
                        ?? SkeinError(.connectionFailed, peer: self.peer, because: "\(error)", cause: error))
            }
        }
    }

    private func learned(_ table: RedisSlots?, _ error: SkeinError?) {
        isLearning = false
        if let table {
            slots = table
            for (endpoint, pool) in pools where !table.nodes.contains(endpoint) {
                pool.retire()
                pools[endpoint] = nil
            }
        }
        let calls = waiting
        waiting = []
        for call in calls where !call.isOver { if let error { call.fail(error) } else { send(call) } }
    }

    // MARK: Redirections

    func handles(_ error: RedisError, of call: RedisCall, on connection: RedisConnection) -> Bool {
        guard call.redirections < configuration.maximumRedirections else { return false }
        let words = error.message.splitBytes(separator: " ")
        switch error.kind {
        case "MOVED", "ASK":
            guard words.count == 3, let slot = Int(words[1]), let found = Endpoint(hostAndPort: words[2], port: 6379)
            else {
                return false
            }
            var endpoint = found
            // A server that does not know its own name leaves it out: it is the server that sent the reply.
            if words[2].hasBytePrefix(":"), let host = connection.link.channel?.remoteAddress?.ipAddress,
                case .host(_, let port) = found
            {
                endpoint = .host(host, port: port)
            }
            call.redirections += 1
            call.isAsking = error.kind == "ASK"
            if error.kind == "MOVED" {
                slots?.move(slot, to: endpoint)
                learn()  // in most cases, further slots have moved
            }
            call.giveBackOwn()
            let pool = pool(endpoint)
            if call.commands.blocks { call.sendAlone(on: pool) } else { pool.submit(call) }
            return true
        case "TRYAGAIN", "CLUSTERDOWN", "LOADING", "READONLY", "MASTERDOWN":
            call.redirections += 1
            call.giveBackOwn()
            learn()
            let wait = Backoff(first: .milliseconds(100), longest: .milliseconds(1600)).delay(after: call.redirections)
            shard.eventLoop.scheduleTask(in: TimeAmount(wait)) { if !call.isOver { self.send(call) } }
            return true
        default: return false
        }
    }

    func answered(_ call: RedisCall, _ value: RedisValue) {}

    func lease(_ key: RedisArgument?) async throws -> RedisLease {
        let promise = shard.eventLoop.makePromise(of: PipelinePool<RedisConnection>.self)
        shard.run {
            promise.completeWith(Result { self.pool(try self.endpoint(key)) })
        }
        let pool = try await promise.futureResult.get()
        return (try await pool.lease(until: Deadline.current), pool)
    }

    func shutdown() {
        isShutDown = true
        let calls = waiting
        waiting = []
        for call in calls { call.fail(SkeinError(.shuttingDown, peer: peer, because: "the session is shutting down")) }
        for pool in pools.values { pool.shutdown() }
    }

    func retire() { for pool in pools.values { pool.retire() } }
}
