// Tasks on a loop that outlive their starter: the loop must not end before them.

import NIOCore
import Synchronization

/// The tasks of one shard that must end before its loop.
package final class ShardTasks: Sendable {
    private struct State {
        var count = 0
        var waiter: EventLoopPromise<Void>?
    }

    private let eventLoop: any EventLoop
    private let state = Mutex(State())

    init(_ eventLoop: any EventLoop) { self.eventLoop = eventLoop }

    package func begin() { state.withLock { $0.count += 1 } }

    package func end() {
        let waiter = state.withLock { state in
            state.count -= 1
            return state.count == 0 ? state.waiter : nil
        }
        waiter?.succeed()
    }

    /// Waits until all have ended, for a limited time.
    package func untilNone(within time: Duration) async {
        let promise = eventLoop.makePromise(of: Void.self)
        let isBusy = state.withLock { state in
            if state.count > 0 { state.waiter = promise }
            return state.count > 0
        }
        if !isBusy { promise.succeed() }
        let limit = eventLoop.scheduleTask(in: TimeAmount(time)) { promise.succeed() }
        try? await promise.futureResult.get()
        limit.cancel()
    }
}

extension Shard {
    /// Starts a task on the loop that must end before the loop does.
    @discardableResult
    package func startTask(_ work: @escaping @Sendable () async -> Void) -> Task<Void, Never> {
        tasks.begin()
        return Task(executorPreference: executor) {
            await work()
            self.tasks.end()
        }
    }
}
