// The connections of one event loop to one back end: few, shared by all callers, and some of them leased to one caller.

import NIOCore
import SkeinCore

/// A connection pool. It performs the actions of its ``PoolMachine``.
///
/// Unchecked: touched on its shard's loop only.
package final class PipelinePool<Connection: PooledConnection>: PipelineOwner, @unchecked Sendable {
    /// The connection that the machine names for every call: generic code asks the machine itself at some cost.
    @exclusivity(unchecked) private var sole: Connection?
    package let shard: Shard
    package let session: Session
    package let limits: PoolLimits
    private let peer: String
    private let connect: @Sendable () -> EventLoopFuture<Connection>
    package let demand = PoolDemand()
    @exclusivity(unchecked) private var machine: PoolMachine<Connection, Connection.Call, Lease>
    @exclusivity(unchecked) private var isShutDown = false

    /// A request for a connection of one's own.
    private final class Lease: Sendable {
        let promise: EventLoopPromise<Connection>

        init(_ promise: EventLoopPromise<Connection>) { self.promise = promise }
    }

    /// - Parameters:
    ///   - maximumShared: connections that calls are spread over; with one, calls are carried out in their order.
    ///   - connect: makes a connection that is ready for calls, on the shard's loop.
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

    /// Connections open now.
    package var count: Int { machine.count }
    package var hasMoreThanNeeded: Bool { count > limits.minimum }

    /// Sends a call, or lets it wait for a connection.
    package func submit(_ call: Connection.Call) {
        // One connection that is open and answers is what there is nearly always.
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
                // At once: a connection that ends before the pool knows of it would stay in the pool.
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
    /// - Throws: code 702 when none was free in time, 703 when too many wait.
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
        // The connection reserved for it takes calls again.
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

    /// Closes every connection and fails what waits.
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
    /// Closes every connection and fails what waits for one.
    package func shutdown<Connection>() async where Value == PipelinePool<Connection> {
        for pool in all { try? await pool.shard.eventLoop.submit { pool.shutdown() }.get() }
    }

    /// Keeps no connection from here on; what is under way goes on.
    package func retire<Connection>() where Value == PipelinePool<Connection> {
        for pool in all { pool.shard.eventLoop.execute { pool.retire() } }
    }
}
