// The connections of one event loop to one back end: few, shared by all callers, or leased to one.

import NIOCore
import SkeinCore

/// A connection pool. It performs the actions of its ``PoolMachine``.
///
/// Unchecked: used on its shard's loop only.
package final class PipelinePool<Connection: PooledConnection>: PipelineOwner, @unchecked Sendable {
    /// The connection for every call, cached from the machine: calling generic code has a cost.
    @exclusivity(unchecked) private var sole: Connection?
    package let shard: Shard
    package let session: Session
    package let limits: PoolLimits
    private let peer: String
    private let connect: @Sendable () -> EventLoopFuture<Connection>
    package let demand = PoolDemand()
    @exclusivity(unchecked) private var machine: PoolMachine<Connection, Connection.Call, Lease>
    @exclusivity(unchecked) private var isShutDown = false

    /// A request for an exclusive connection.
    private final class Lease: Sendable {
        let promise: EventLoopPromise<Connection>

        init(_ promise: EventLoopPromise<Connection>) { self.promise = promise }
    }

    /// - Parameters:
    ///   - maximumShared: the maximum number of shared connections; with one, calls are executed in order.
    ///   - connect: opens a connection that is ready for calls, on the shard's loop.
    package init(
        shard: Shard, session: Session, limits: PoolLimits, peer: String, maximumShared: Int = .max,
        connect: @escaping @Sendable () -> EventLoopFuture<Connection>
    ) {
        self.shard = shard
        self.session = session
        self.limits = limits
        self.peer = peer
        self.connect = connect
        var bounds = PoolMachine<Connection, Connection.Call, Lease>.Limits(
            maximum: limits.maximum / session.shards.shards.count)
        bounds.maximumShared = maximumShared
        bounds.growAfter = TimeAmount(limits.growAfter)
        bounds.maximumWaiting = limits.maximumWaiting
        machine = PoolMachine(bounds)
    }

    /// Open connections.
    package var count: Int { machine.count }
    package var hasMoreThanNeeded: Bool { count > limits.minimum }

    /// Sends a call, or queues it until there is a connection.
    package func submit(_ call: Connection.Call) {
        // Fast path: a single open connection.
        let now = shard.now
        if let connection = sole, connection.isUsable { return connection.send(call, at: now) }
        if isShutDown { return call.failLater(shuttingDown) }
        if let connection = machine.pick(at: now) { return connection.send(call, at: now) }
        machine.enqueue(call)
        settle(.need)
    }

    /// Performs the machine's actions until there are none.
    private func settle(_ occasion: PoolMachine<Connection, Connection.Call, Lease>.Occasion) {
        while !isShutDown, let action = machine.next(occasion) { perform(action) }
        demand.hasWaiting = machine.hasWaiting
        sole = isShutDown ? nil : machine.sole
    }

    private func perform(_ action: PoolMachine<Connection, Connection.Call, Lease>.Action) {
        switch action {
        case .send(let call, let connection): connection.send(call, at: shard.now)
        case .grant(let connection, let lease):
            connection.link.isLeased = true
            lease.promise.succeed(connection)
        case .connect:
            connect().whenComplete { result in
                switch result {
                // At once: a connection that closes before the pool knows of it would stay in the pool.
                case .success(let connection): self.adopt(connection)
                // In a later tick: an attempt that fails at once must not be repeated at once.
                case .failure(let error): self.shard.eventLoop.execute { self.connectFailed(error) }
                }
            }
        }
    }

    private func adopt(_ connection: Connection) {
        guard !connection.isClosed else {
            return connectFailed(
                SkeinError(.connectionFailed, peer: peer, because: "the server closed the connection at once"))
        }
        machine.connected(connection)
        session.statistics.connected()
        connection.link.pool = self
        connection.link.demand = demand
        guard !isShutDown else { return connection.close() }
        connection.link.armTimer()
        settle(.made(connection))
    }

    private func connectFailed(_ error: any Error) {
        let error =
            error as? SkeinError ?? SkeinError(.connectionFailed, peer: peer, because: "\(error)", cause: error)
        let lost = machine.connectFailed()
        for call in lost.calls { call.couldNotConnect(error) }
        for lease in lost.leases { lease.promise.fail(error) }
        settle(.noMore)
    }

    // MARK: Leases

    /// Leases a connection to one caller until ``giveBack(_:)``.
    /// - Throws: code 702 when none was free in time, 703 when the queue is full.
    package func lease(until deadline: Deadline?) async throws -> Connection {
        let lease = Lease(shard.eventLoop.makePromise())
        shard.run { self.enqueue(lease, until: deadline) }
        return try await withTaskCancellationHandler {
            try await lease.promise.futureResult.get()
        } onCancel: {
            shard.run { self.dismiss(lease, CancellationError()) }
        }
    }

    private func enqueue(_ lease: Lease, until deadline: Deadline?) {
        if isShutDown { return lease.promise.fail(shuttingDown) }
        guard !machine.isLeaseQueueFull else {
            return lease.promise.fail(
                SkeinError(
                    .overloaded, peer: peer,
                    because: "\(limits.maximumWaiting) leases are queued already; raise maximumWaiting, or lease fewer")
            )
        }
        machine.enqueue(lease)
        let limit = Deadline(shard.now + TimeAmount(limits.leaseTimeout))
        let timer = shard.eventLoop.scheduleTask(deadline: min(limit, deadline ?? limit).moment) {
            self.dismiss(
                lease,
                SkeinError(
                    .timeout, peer: self.peer,
                    because:
                        "no connection was free in time: \(self.machine.leased.count) of at most "
                        + "\(self.machine.limits.maximum) are leased; raise the pool's maximum, or hold them for a shorter time"
                ))
        }
        lease.promise.futureResult.whenComplete { _ in timer.cancel() }
        settle(.need)
    }

    private func dismiss(_ lease: Lease, _ error: any Error) {
        guard machine.dismiss(lease) else { return }
        lease.promise.fail(error)
        // The connection reserved for it accepts calls again.
        settle(.noMore)
    }

    /// Returns a leased connection, whose session has been reset.
    package func giveBack(_ connection: Connection) {
        let isKept = connection.isUsable && !isShutDown
        guard machine.giveBack(connection, isKept: isKept) else { return }
        connection.link.isLeased = false
        if isKept { settle(.room(connection)) } else { connection.close() }
    }

    // MARK: Events of connections

    package func hasRoom(_ connection: any PipelineConnection) {
        guard let member = machine.shared.first(where: { $0 === connection }) else { return }
        settle(.room(member))
    }

    package func isLeaving(_ connection: any PipelineConnection) {
        machine.isLeaving(connection)
        settle(.need)
    }

    package func isGone(_ connection: any PipelineConnection) {
        machine.isGone(connection)
        session.statistics.disconnected()
        settle(.need)
    }

    // MARK: The end

    private var shuttingDown: SkeinError {
        SkeinError(.shuttingDown, peer: peer, because: "the session is shutting down")
    }

    /// Closes each connection after its last call in flight.
    package func retire() { for connection in machine.shared { connection.leave() } }

    /// Closes every connection and fails waiting calls.
    package func shutdown() {
        isShutDown = true
        sole = nil
        let lost = machine.shutdown()
        for call in lost.calls { call.fail(shuttingDown) }
        for lease in lost.leases { lease.promise.fail(shuttingDown) }
        for connection in machine.shared + machine.leased + machine.leaving {
            connection.close(because: connection.underWay > 0 ? shuttingDown : nil)
        }
    }
}

extension ShardLocal {
    /// Closes every connection and fails waiting calls.
    package func shutdown<Connection>() async where Value == PipelinePool<Connection> {
        for pool in all { try? await pool.shard.eventLoop.submit { pool.shutdown() }.get() }
    }

    /// Closes idle connections, and keeps none from now on; calls in flight continue.
    package func retire<Connection>() where Value == PipelinePool<Connection> {
        for pool in all { pool.shard.eventLoop.execute { pool.retire() } }
    }
}
