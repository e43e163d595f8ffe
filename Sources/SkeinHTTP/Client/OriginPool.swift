// The connections of one shard to one origin, and the requests that wait for one.

import DequeModule
import NIOCore
import SkeinCore
import SkeinTransport
import SkeinWire

/// Keeps connections to an origin and hands them to exchanges, the most recently used first.
///
/// Unchecked: touched on its shard's loop only.
final class OriginPool: @unchecked Sendable {
    let origin: Origin
    let shard: Shard
    let context: HTTPClientContext
    private let owner: ShardPools  // lets go of the pool when it is empty, which ends the cycle
    @exclusivity(unchecked) private var connections: [HTTP1ClientConnection] = []
    @exclusivity(unchecked) private var idle: [HTTP1ClientConnection] = []
    private var connecting = 0
    @exclusivity(unchecked) private var waiting = Deque<HTTPExchange>()

    init(origin: Origin, owner: ShardPools) {
        self.origin = origin
        shard = owner.shard
        context = owner.context
        self.owner = owner
    }

    private var shuttingDown: SkeinError {
        SkeinError(.shuttingDown, peer: origin.description, because: "the session is shutting down")
    }

    /// Sends an exchange on a connection, or lets it wait for one.
    func submit(_ exchange: HTTPExchange, at now: NIODeadline = .now()) {
        if owner.isShutDown { return exchange.failLater(shuttingDown) }
        if !idle.isEmpty {
            while let connection = idle.popLast() {
                if connection.isUsable(at: now) { return connection.send(exchange, at: now) }
                connection.close()
            }
        }
        if connections.count + connecting < context.configuration.connectionsPerOrigin {
            waiting.append(exchange)
            return connectForWaiting()
        }
        if context.configuration.pipelineDepth > 1, exchange.request.isPipelined ?? true, exchange.request.isReplayable,
            let connection = connections.first(where: { $0.canPipeline(exchange) })
        {
            return connection.send(exchange, at: now)
        }
        waiting.append(exchange)
    }

    /// A connection has nothing under way: it takes the next exchange or is kept.
    func isFree(_ connection: HTTP1ClientConnection) {
        while let next = waiting.popFirst() {
            if !next.isOver { return connection.send(next, at: .now()) }
        }
        guard connection.isIdle else { return }
        if owner.isRetired { connection.close() } else { idle.append(connection) }
    }

    /// A connection has ended.
    func isGone(_ connection: HTTP1ClientConnection) {
        connections.removeAll { $0 === connection }
        idle.removeAll { $0 === connection }
        connectForWaiting()
        removeIfEmpty()
    }

    /// Closes what is idle.
    func closeIdle() {
        for connection in idle { connection.close() }
        idle = []
    }

    /// Closes every connection and fails what waits.
    func shutdown() {
        let lost = waiting
        waiting = []
        for exchange in lost { exchange.fail(shuttingDown) }
        for connection in connections { connection.shutdown(shuttingDown) }
    }

    private func connectForWaiting() {
        while let first = waiting.first, first.isOver { waiting.removeFirst() }
        guard waiting.count > connecting,
            connections.count + connecting < context.configuration.connectionsPerOrigin
        else { return }
        connect()
    }

    private func connect() {
        connecting += 1
        let connection = HTTP1ClientConnection(pool: self)
        Connector.connect(to: origin.endpoint, on: shard.eventLoop, timeout: context.configuration.connectTimeout) {
            channel in
            channel.eventLoop.makeCompletedFuture { try channel.pipeline.syncOperations.addHandler(connection) }
        }.whenComplete { self.connected(connection, $0) }
    }

    private func connected(_ connection: HTTP1ClientConnection, _ result: Result<any Channel, any Error>) {
        connecting -= 1
        switch result {
        case .success(let channel):
            guard channel.isActive else { return connectForWaiting() }
            connections.append(connection)
            isFree(connection)
        case .failure(let error):
            while let exchange = waiting.popFirst() {
                guard !exchange.isOver else { continue }
                exchange.fail(
                    error as? SkeinError
                        ?? SkeinError(.connectionFailed, peer: origin.description, because: "\(error)", cause: error))
                break
            }
            connectForWaiting()
            removeIfEmpty()
        }
    }

    private func removeIfEmpty() {
        if connections.isEmpty, connecting == 0, waiting.isEmpty { owner.remove(self) }
    }
}

/// The pools of one shard.
///
/// Unchecked: touched on its shard's loop only.
final class ShardPools: @unchecked Sendable {
    let shard: Shard
    let context: HTTPClientContext
    private var pools: [Origin: OriginPool] = [:]
    @exclusivity(unchecked) private var latest: OriginPool?
    /// Whether the session is gone, so that connections are not kept any more.
    private(set) var isRetired = false
    /// Whether the session takes no more requests.
    private(set) var isShutDown = false

    init(shard: Shard, context: HTTPClientContext) {
        self.shard = shard
        self.context = context
    }

    /// The pool of an origin; most requests go where the one before went.
    func pool(for origin: Origin) -> OriginPool {
        if let latest, latest.origin == origin { return latest }
        let pool = pools[origin] ?? OriginPool(origin: origin, owner: self)
        pools[origin] = pool
        latest = pool
        return pool
    }

    /// Forgets a pool that holds nothing.
    func remove(_ pool: OriginPool) {
        if pools[pool.origin] === pool { pools[pool.origin] = nil }
        if latest === pool { latest = nil }
    }

    /// The session is gone: what is under way goes on, nothing is kept.
    func retire() {
        isRetired = true
        latest = nil
        for pool in pools.values { pool.closeIdle() }
    }

    /// Closes all connections and fails what waits for one.
    func shutdown() {
        isRetired = true
        isShutDown = true
        for pool in pools.values { pool.shutdown() }
    }
}
