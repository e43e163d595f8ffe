// Tasks that live on a loop and outlast what began them: whoever ends the loop has to wait for them.

import NIOCore
import Synchronization

/// The tasks of one shard that are waited for.
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

    /// Waits until all have ended, but not for ever.
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
    /// Starts a task on the loop, for which the loop's end waits.
    @discardableResult
    package func startTask(_ work: @escaping @Sendable () async -> Void) -> Task<Void, Never> {
        tasks.begin()
        return Task(executorPreference: executor) {
            await work()
            self.tasks.end()
        }
    }
}
