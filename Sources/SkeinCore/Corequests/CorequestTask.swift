// A corequest whose exchange is a task: layers around requests, a socket's message exchange, a remote call.

import NIOCore
import Synchronization

/// Drives a corequest by a task on its shard, and cancels the task when the corequest is cancelled or its deadline
/// passes.
package final class CorequestTask<Result: Response>: CorequestDriver {
    private struct State {
        var task: Task<Void, Never>?
        var error: SkeinError?
    }

    private let corequest: Corequest<Result>
    private let state = Mutex(State())

    private init(_ corequest: Corequest<Result>) { self.corequest = corequest }

    /// Starts a task.
    /// - Parameters:
    ///   - work: makes the response.
    ///   - failed: makes the response of a corequest that was cancelled or timed out, from the one that the work
    ///     returned.
    ///   - callback: called with the response on the shard's loop.
    package static func start(
        _ session: Session, _ work: @escaping @Sendable () async -> Result,
        failed: @escaping @Sendable (SkeinError, Result) -> Result, callback: (@Sendable (Result) -> Void)?
    ) -> Corequest<Result> {
        let corequest = Corequest<Result>(shard: session.pickShard())
        let driver = CorequestTask(corequest)
        corequest.setDriver(driver)
        driver.start(session, work, failed, callback)
        return corequest
    }

    private func start(
        _ session: Session, _ work: @escaping @Sendable () async -> Result,
        _ failed: @escaping @Sendable (SkeinError, Result) -> Result, _ callback: (@Sendable (Result) -> Void)?
    ) {
        session.beginWork()
        let task = Task(executorPreference: corequest.shard.executor) {
            var response = await work()
            if let error = self.state.withLock({ $0.error }) { response = failed(error, response) }
            self.state.withLock { $0.task = nil }
            self.corequest.finish(response)
            callback?(response)
            session.ended()
        }
        let isCancelled = state.withLock { state in
            if !corequest.isOver { state.task = task }
            return state.error != nil
        }
        if isCancelled { task.cancel() }
        // Nested exchanges observe the deadline themselves; other waits of the task do not.
        if let deadline = Deadline.current { tighten(deadline) }
    }

    package func cancel(_ error: SkeinError) {
        let task = state.withLock { state in
            state.error = state.error ?? error
            return state.task
        }
        task?.cancel()
    }

    package func tighten(_ deadline: Deadline) {
        let loop = corequest.shard.eventLoop
        loop.scheduleTask(deadline: deadline.moment) { [weak self] in
            guard let self, !self.corequest.isOver else { return }
            self.cancel(
                SkeinError(.timeout, because: "no answer within the time limit, all attempts and waiting included"))
        }
    }
}
