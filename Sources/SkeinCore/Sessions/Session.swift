// The shared state of a session: its shards, its queue, its statistics, and the wait for its end.

import Logging
import NIOCore
import NIOPosix
import Synchronization

/// An exchange in a session: it takes a slot, starts, and ends.
package protocol Exchange: CorequestDriver {
    /// The key for fair queueing: the origin or the database.
    var queueKey: AnyHashable { get }
    /// Whether it ended in the queue, so that it need not start.
    var isOver: Bool { get }
    /// Waits for a slot; its deadline counts already. On the loop of its shard.
    func enqueued()
    /// Starts, on the loop of its shard.
    func start()
    /// Fails before it started. On the loop.
    func fail(_ error: SkeinError)
}

/// A database client, which ends with its session.
package protocol BackEnd: AnyObject, Sendable {
    /// Closes every connection and fails waiting requests.
    func shutdown() async
    /// Whether it answers a question that costs nothing within a time limit; nil when the client itself prevents the answer.
    func isAlive(within limit: Duration) async -> Bool?
}

extension BackEnd {
    package func isAlive(within limit: Duration) async -> Bool? { true }
}

extension Response {
    /// Whether the peer has answered; nil when this side could not ask.
    package var isAlive: Bool? {
        switch failure?.code {
        case nil: statusCode == 200
        case .overloaded, .cancelled, .shuttingDown: nil
        default: false
        }
    }
}

/// The loops, the limits and the statistics of one session.
@usableFromInline package final class Session: Sendable {
    package let shards: ShardGroup
    package let statistics = SessionStatistics()
    package let logger: Logger
    private let ownedGroup: MultiThreadedEventLoopGroup?
    private let queues: ShardLocal<ShardQueue>
    private let idle = IdleSignal()
    private let usable: Int

    /// A session on threads of its own, on given shards, or, with neither, on one loop of the process.
    package init(
        threads: Int?, shards given: ShardGroup?, concurrency: Int, maximumQueued: Int, order: QueueOrder,
        logger: Logger
    ) {
        self.logger = logger
        let own = given == nil ? threads.map { MultiThreadedEventLoopGroup(numberOfThreads: max(1, $0)) } : nil
        ownedGroup = own
        shards = given ?? ShardGroup(own ?? MultiThreadedEventLoopGroup.singleton.any())
        // The limit is divided among the shards; below one slot per shard, fewer shards are used.
        let count = shards.shards.count
        let places = max(1, concurrency)
        usable = min(count, places)
        queues = ShardLocal(shards) { shard in
            let share = places / count + (shard.index < places % count ? 1 : 0)
            return ShardQueue(shard: shard, limit: share, maximumQueued: max(1, maximumQueued / count), order: order)
        }
    }

    deinit { ownedGroup?.shutdownGracefully { _ in } }  // does nothing after shutdown()

    /// The shard for a new request: that of the caller's loop, else the next in turn.
    package func pickShard() -> Shard {
        let shard = shards.pick()
        return shard.index < usable ? shard : shards.shards[shard.index % usable]
    }

    /// Starts an exchange, or queues it.
    package func submit(_ exchange: any Exchange, on shard: Shard) {
        statistics.started()
        idle.begin()
        let queue = queues[shard]
        if shard.isCurrent {
            queue.submit(exchange)
        } else {
            shard.eventLoop.execute { queue.submit(exchange) }
        }
    }

    /// Fails an exchange that cannot start, in a later tick, so that a callback that starts the next one does not
    /// recurse.
    package func refuse(_ exchange: any Exchange, _ error: SkeinError, on shard: Shard) {
        statistics.started()
        idle.begin()
        shard.eventLoop.execute { exchange.fail(error) }
    }

    /// Counts an exchange that began without a slot of its own.
    package func adopt() {
        statistics.started()
        idle.begin()
    }

    /// Starts work other than an exchange, such as layers; ``ended()`` ends it.
    package func beginWork() { idle.begin() }

    /// An exchange that held a slot has ended: the next one may start. On the loop.
    package func released(on shard: Shard) { queues[shard].release() }

    /// When a slot of the queue was last returned while others waited.
    package func lastRelease(on shard: Shard) -> NIODeadline { queues[shard].lastRelease }

    /// An exchange is over, its callback included.
    package func ended() { idle.end() }

    /// Waits until nothing is queued or in flight.
    /// - Throws: `CancellationError` when the task is cancelled earlier.
    package func untilIdle() async throws { try await idle.wait() }

    /// Waits until nothing is queued or in flight, for some time at most.
    package func untilIdle(within limit: Duration) async {
        await withTaskGroup(of: Void.self) { group in
            group.addTask { try? await self.untilIdle() }
            group.addTask { try? await self.pickShard().sleep(until: .after(limit)) }
            await group.next()
            group.cancelAll()
        }
    }

    /// Waits until all connections are closed, for a second at most: over TLS, closing needs the peer.
    package func untilClosed() async {
        var turns = 200
        while statistics.openConnections > 0, turns > 0 {
            turns -= 1
            try? await pickShard().sleep(until: .after(.milliseconds(5)))
        }
    }

    /// Ends the threads of the session. All exchanges must have ended.
    package func shutdown() async {
        try? await ownedGroup?.shutdownGracefully()
    }
}

/// The queue of one shard.
///
/// Unchecked: touched on its shard's loop only.
private final class ShardQueue: @unchecked Sendable {
    @exclusivity(unchecked) private var admission: AdmissionQueue<AnyHashable, any Exchange>
    private let shard: Shard
    private let maximumQueued: Int
    @exclusivity(unchecked) private var freed = 0
    /// When a slot was last returned.
    @exclusivity(unchecked) private(set) var lastRelease = NIODeadline.uptimeNanoseconds(0)

    init(shard: Shard, limit: Int, maximumQueued: Int, order: QueueOrder) {
        self.shard = shard
        admission = AdmissionQueue(limit: limit, order: order)
        self.maximumQueued = maximumQueued
    }

    func submit(_ exchange: any Exchange) {
        if admission.admit() {
            exchange.start()
        } else if admission.waiting < maximumQueued {
            admission.enqueue(exchange, key: exchange.queueKey)
            exchange.enqueued()
        } else {
            exchange.fail(
                SkeinError(
                    .overloaded,
                    because: "\(maximumQueued) requests are queued already; wait for some, or raise maximumQueued"))
        }
    }

    /// Gives a slot to the next in turn. An exchange that fails at once returns its slot during the call, so this is a
    /// loop instead of a deep recursion.
    func release() {
        freed += 1
        if admission.waiting > 0 { lastRelease = shard.now }
        guard freed == 1 else { return }
        while freed > 0 {
            while let next = admission.release() {
                guard next.isOver else {
                    next.start()
                    break
                }
            }
            freed -= 1
        }
    }
}

/// Counts exchanges in flight, and resumes the tasks that wait for their end.
private final class IdleSignal: Sendable {
    private let active = Atomic<Int>(0)
    private let waiters = Mutex<[Int: CheckedContinuation<Void, any Error>]>([:])
    private let numbers = Atomic<Int>(0)

    func begin() { active.wrappingAdd(1, ordering: .relaxed) }

    func end() {
        guard active.wrappingSubtract(1, ordering: .acquiringAndReleasing).newValue == 0 else { return }
        wake()
    }

    func wait() async throws {
        let number = numbers.wrappingAdd(1, ordering: .relaxed).newValue
        try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { continuation in
                waiters.withLock { $0[number] = continuation }
                if active.load(ordering: .acquiring) == 0 { wake() }
                if Task.isCancelled { leave(number) }
            }
        } onCancel: {
            leave(number)
        }
    }

    private func leave(_ number: Int) {
        waiters.withLock { $0.removeValue(forKey: number) }?.resume(throwing: CancellationError())
    }

    private func wake() {
        let woken = waiters.withLock { waiters in
            defer { waiters = [:] }
            return waiters.values
        }
        for waiter in woken { waiter.resume() }
    }
}
