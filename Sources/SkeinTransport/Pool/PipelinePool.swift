// The connections of one loop to one back end: few, shared by all callers, and some of them lent to one caller alone.

import DequeModule
import NIOCore
import SkeinCore

/// Keeps connections, gives each call to one of them, and lends some out.
///
/// Calls go to the connection with the fewest of them under way. Another one is made only when all have been silent for a while with
/// calls under way, which is when a slow call holds up the others; it goes again when nobody has used it for a while.
///
/// Unchecked: touched on its shard's loop only.
package final class PipelinePool: @unchecked Sendable {
    package let shard: Shard
    package let session: Session
    package let limits: PoolLimits
    private let maximum: Int
    private let maximumShared: Int
    private let peer: String
    private let connect: @Sendable () -> EventLoopFuture<PipelineConnection>
    @exclusivity(unchecked) private var shared: [PipelineConnection] = []
    @exclusivity(unchecked) private var leased: [PipelineConnection] = []
    /// Those that end with what they have under way.
    @exclusivity(unchecked) private var leaving: [PipelineConnection] = []
    @exclusivity(unchecked) private var connecting = 0
    @exclusivity(unchecked) private var waiting = Deque<PipelinedCall>()
    @exclusivity(unchecked) private var borrowers = Deque<Borrower>()
    @exclusivity(unchecked) private var isShutDown = false
    private let growAfter: TimeAmount

    /// Somebody who waits for a connection of their own.
    private final class Borrower: Sendable {
        let promise: EventLoopPromise<PipelineConnection>

        init(_ promise: EventLoopPromise<PipelineConnection>) { self.promise = promise }
    }

    /// - Parameters:
    ///   - maximumShared: connections that calls are spread over; with one, calls are carried out in their order.
    ///   - connect: makes a connection that is ready for calls, on the shard's loop.
    package init(
        shard: Shard, session: Session, limits: PoolLimits, peer: String, maximumShared: Int = .max,
        connect: @escaping @Sendable () -> EventLoopFuture<PipelineConnection>
    ) {
        self.shard = shard
        self.session = session
        self.limits = limits
        self.peer = peer
        self.connect = connect
        self.maximumShared = maximumShared
        maximum = max(1, limits.maximum / session.shards.shards.count)
        growAfter = TimeAmount(limits.growAfter)
    }

    /// Connections open now.
    package var count: Int { shared.count + leased.count }
    /// Whether a connection that nobody uses may go.
    var hasMoreThanNeeded: Bool { count > limits.minimum }

    // MARK: Calls

    /// Sends a call, or lets it wait for a connection.
    package func submit(_ call: PipelinedCall) {
        if isShutDown { return call.failLater(shuttingDown) }
        // One connection that is open and answers is what there is nearly always.
        let now = shard.now
        if let connection = best(at: now) { return connection.send(call, at: now) }
        waiting.append(call)
        connectForWaiting()
    }

    private func best(at now: NIODeadline) -> PipelineConnection? {
        guard waiting.isEmpty else { return nil }
        var best: PipelineConnection?
        var fewest = Int.max
        let reserved = reserved
        for connection in shared.prefix(maximumShared) where connection.isUsable && connection !== reserved {
            let load = connection.underWay
            if load == 0 { return connection }
            if load < fewest, !mayGrow || now - connection.lastProgress < growAfter {
                best = connection
                fewest = load
            }
        }
        return best
    }

    private var mayConnect: Bool { count + connecting < maximum }
    /// Whether there may be another one that calls are spread over.
    private var mayGrow: Bool { mayConnect && shared.count < maximumShared }

    private func connectForWaiting() {
        while let first = waiting.first, first.isOver { waiting.removeFirst() }
        let wanted = borrowers.count + (waiting.isEmpty || !mayGrow ? 0 : 1)
        if mayConnect, connecting < wanted {
            open()
        } else if !waiting.isEmpty, connecting == 0 {
            // No more connections: the waiting go to those there are, if any takes them.
            sendWaiting()
        }
    }

    private func sendWaiting() {
        let now = shard.now
        while let connection = leastLoaded, let call = nextWaiting() { connection.send(call, at: now) }
    }

    private var leastLoaded: PipelineConnection? {
        let reserved = reserved
        return shared.prefix(maximumShared).filter { $0.isUsable && $0 !== reserved }
            .min { $0.underWay < $1.underWay }
    }

    private func nextWaiting() -> PipelinedCall? {
        while let call = waiting.popFirst() { if !call.isOver { return call } }
        return nil
    }

    private func open() {
        connecting += 1
        connect().whenComplete { result in
            self.connecting -= 1
            switch result {
            case .success(let connection): self.adopt(connection)
            case .failure(let error): self.connectFailed(error)
            }
        }
    }

    private func adopt(_ connection: PipelineConnection) {
        guard !isShutDown else { return connection.close() }
        session.statistics.connected()
        connection.pool = self
        connection.armTimer()
        shared.append(connection)
        // With nobody else to serve those that wait, they come first: a lease can be long.
        if waiting.isEmpty, lend(connection) { return }
        sendWaiting()
        connectForWaiting()
    }

    private func connectFailed(_ error: any Error) {
        let error =
            error as? SkeinError ?? SkeinError(.connectionFailed, peer: peer, because: "\(error)", cause: error)
        guard connecting == 0 else { return }
        if shared.contains(where: \.isUsable) {
            sendWaiting()
        } else {
            let lost = waiting
            waiting = []
            for call in lost { call.couldNotConnect(error) }
        }
        // No other can be had: the one that is shared will do.
        if let free = shared.last(where: { $0.isUsable && $0.underWay == 0 }) { lend(free) }
        if leased.isEmpty, shared.isEmpty {
            let lost = borrowers
            borrowers = []
            for borrower in lost { borrower.promise.fail(error) }
        }
    }

    // MARK: Lending

    /// Lends a connection to one caller, who has it alone until ``giveBack(_:)``.
    /// - Throws: code 702 when none was free in time, 703 when too many wait.
    package func lease(until deadline: Deadline?) async throws -> PipelineConnection {
        let borrower = Borrower(shard.eventLoop.makePromise())
        shard.run { self.enqueue(borrower, until: deadline) }
        return try await withTaskCancellationHandler {
            try await borrower.promise.futureResult.get()
        } onCancel: {
            shard.run { self.dismiss(borrower, CancellationError()) }
        }
    }

    private func enqueue(_ borrower: Borrower, until deadline: Deadline?) {
        if isShutDown { return borrower.promise.fail(shuttingDown) }
        guard borrowers.count < limits.maximumWaiting else {
            return borrower.promise.fail(
                SkeinError(
                    .socketPanic, peer: peer, because: "\(borrowers.count) wait for a connection of their own already"))
        }
        borrowers.append(borrower)
        let limit = Deadline(shard.now + TimeAmount(limits.leaseTimeout))
        let timer = shard.eventLoop.scheduleTask(deadline: min(limit, deadline ?? limit).moment) {
            self.dismiss(
                borrower,
                SkeinError(
                    .timeout, peer: self.peer,
                    because:
                        "no connection was free in time: \(self.leased.count) of at most \(self.maximum) are lent; "
                        + "raise the pool's maximum, or hold them for a shorter time"))
        }
        borrower.promise.futureResult.whenComplete { _ in timer.cancel() }
        serveBorrowers()
    }

    private func dismiss(_ borrower: Borrower, _ error: any Error) {
        guard let index = borrowers.firstIndex(where: { $0 === borrower }) else { return }
        borrowers.remove(at: index).promise.fail(error)
        // What was kept for it is free for all again.
        if !waiting.isEmpty { sendWaiting() }
    }

    /// One connection is left for those who share, if there can be two.
    private var mayLend: Bool { leased.count < max(1, maximum - 1) }

    private func serveBorrowers() {
        while !borrowers.isEmpty, mayLend, let free = shared.last(where: { $0.isUsable && $0.underWay == 0 }) {
            // The one that all share is lent only when there can be no other.
            if maximumShared == 1, free === shared.first, mayConnect || connecting > 0 { break }
            guard lend(free) else { break }
        }
        if !borrowers.isEmpty { connectForWaiting() }
    }

    /// Where somebody waits for a connection and no new one can be made: the one that takes no more calls until it is free to be lent.
    private var reserved: PipelineConnection? {
        guard !borrowers.isEmpty, !mayConnect, connecting == 0, mayLend else { return nil }
        return shared.first(where: \.isUsable)
    }

    @discardableResult
    private func lend(_ connection: PipelineConnection) -> Bool {
        guard mayLend, let borrower = borrowers.popFirst() else { return false }
        shared.removeAll { $0 === connection }
        leased.append(connection)
        connection.isLeased = true
        borrower.promise.succeed(connection)
        return true
    }

    /// Takes a connection back, as clean as it was.
    package func giveBack(_ connection: PipelineConnection) {
        guard let index = leased.firstIndex(where: { $0 === connection }) else { return }
        leased.remove(at: index)
        connection.isLeased = false
        guard connection.isUsable, !isShutDown else { return connection.close() }
        shared.append(connection)
        hasRoom(connection)
    }

    // MARK: What connections tell

    /// Whether calls wait for a connection.
    var hasWaiting: Bool { !waiting.isEmpty }

    /// It has no call under way, or goes on with those it has.
    func hasRoom(_ connection: PipelineConnection) {
        if connection.underWay == 0 { serveBorrowers() }
        if !waiting.isEmpty { sendWaiting() }
    }

    func isLeaving(_ connection: PipelineConnection) {
        shared.removeAll { $0 === connection }
        if !connection.isLeased { leaving.append(connection) }
    }

    func isGone(_ connection: PipelineConnection) {
        shared.removeAll { $0 === connection }
        leased.removeAll { $0 === connection }
        leaving.removeAll { $0 === connection }
        session.statistics.disconnected()
        if !isShutDown { connectForWaiting() }
    }

    // MARK: The end

    private var shuttingDown: SkeinError {
        SkeinError(.shuttingDown, peer: peer, because: "the session is shutting down")
    }

    /// Closes what nobody uses; what is under way goes on.
    package func retire() {
        for connection in shared { connection.leave() }
    }

    /// Closes every connection and fails what waits.
    package func shutdown() {
        isShutDown = true
        for call in waiting { call.fail(shuttingDown) }
        waiting = []
        for borrower in borrowers { borrower.promise.fail(shuttingDown) }
        borrowers = []
        for connection in shared + leased + leaving {
            connection.close(because: connection.underWay > 0 ? shuttingDown : nil)
        }
    }
}

extension ShardLocal where Value == PipelinePool {
    /// Closes every connection and fails what waits for one.
    package func shutdown() async {
        for pool in all { try? await pool.shard.eventLoop.submit { pool.shutdown() }.get() }
    }

    /// Keeps no connection from here on; what is under way goes on.
    package func retire() {
        for pool in all { pool.shard.eventLoop.execute { pool.retire() } }
    }
}
