// One event loop with its executor and its timers. The state of a shard is used on its loop only.

import NIOCore
import NIOPosix

/// One event loop with its executor and its timers.
public final class Shard: Sendable {
    /// The shard's place in its group, from 0.
    public let index: Int
    /// The event loop of this shard.
    public let eventLoop: any EventLoop
    /// Runs tasks on the loop's thread.
    public let executor: EventLoopExecutor
    /// The timers of the loop.
    package let timers: ShardTimers
    /// The tasks that must end before the loop does.
    package let tasks: ShardTasks

    /// A shard over a loop.
    public init(index: Int, eventLoop: any EventLoop) {
        self.index = index
        self.eventLoop = eventLoop
        executor = EventLoopExecutor(eventLoop)
        timers = ShardTimers(eventLoop)
        tasks = ShardTasks(eventLoop)
    }

    /// A shard over a loop of the process, for code without a session.
    public static let standard = Shard(index: 0, eventLoop: MultiThreadedEventLoopGroup.singleton.any())

    /// The time of the loop: a simulation has its own clock.
    package var now: NIODeadline { eventLoop.now }

    /// Whether the caller runs on this shard's loop.
    public var isCurrent: Bool { eventLoop.inEventLoop }

    /// Runs work on the loop: at once when the caller is on it.
    package func run(_ work: @escaping @Sendable () -> Void) {
        if eventLoop.inEventLoop { work() } else { eventLoop.execute(work) }
    }

    /// Suspends until a deadline, resuming on the loop. More precise than `Task.sleep` for tasks of the shard.
    /// - Parameter deadline: the deadline; one that has passed returns at once.
    /// - Throws: `CancellationError` when the task is cancelled earlier.
    public func sleep(until deadline: Deadline) async throws {
        if deadline.moment <= now { return }
        let task = eventLoop.scheduleTask(deadline: deadline.moment) {}
        await withTaskCancellationHandler {
            _ = try? await task.futureResult.get()
        } onCancel: {
            task.cancel()
        }
        try Task.checkCancellation()
    }
}

/// The shards of a session or a server: one per event loop.
public struct ShardGroup: Sendable {
    /// The shards, at least one.
    public let shards: [Shard]
    private let turn = Turn()

    /// Shards over the loops of a group.
    public init(_ group: any EventLoopGroup) {
        shards = group.makeIterator().enumerated().map { Shard(index: $0.offset, eventLoop: $0.element) }
    }

    /// The shard of the caller's loop, else the next in turn.
    public func pick() -> Shard { current ?? shards[turn.next(of: shards.count)] }

    /// The shard of the caller's loop.
    public var current: Shard? {
        for shard in shards where shard.isCurrent { return shard }
        return nil
    }
}

/// A value for each shard, created before the first use and used on that shard's loop only.
package struct ShardLocal<Value: Sendable>: Sendable {
    private let values: [Value]

    package init(_ group: ShardGroup, make: (Shard) -> Value) { values = group.shards.map(make) }

    package subscript(shard: Shard) -> Value { values[shard.index] }
    package var all: [Value] { values }

    /// Runs an operation on each value on its own loop, and waits for all; a loop that has ended is skipped.
    @discardableResult
    package func onEach<Result: Sendable>(
        _ group: ShardGroup, _ work: @escaping @Sendable (Value) -> Result
    ) async -> [Result] {
        var results: [Result] = []
        for (value, shard) in zip(values, group.shards) {
            if let result = try? await shard.eventLoop.submit({ work(value) }).get() { results.append(result) }
        }
        return results
    }
}
