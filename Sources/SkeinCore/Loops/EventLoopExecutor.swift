// Lets tasks run on the event loop that owns their connections, so that an exchange never crosses a thread.

import NIOCore

/// A task executor over one event loop.
///
/// A task that prefers it (`Task(executorPreference:)`, `withTaskExecutorPreference`) runs on the loop's thread: calls to
/// connections of that loop are plain function calls, and an answer resumes the task in the tick in which it arrived.
/// Such a task must not block; what blocks or computes for long belongs on the global executor.
public final class EventLoopExecutor: TaskExecutor {
    private let eventLoop: any EventLoop

    /// An executor over a loop; the loop must outlive the tasks that prefer it.
    public init(_ eventLoop: any EventLoop) { self.eventLoop = eventLoop }

    /// Queues a job for the loop's next tick. Called by the concurrency runtime.
    public func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        eventLoop.execute { job.runSynchronously(on: self.asUnownedTaskExecutor()) }
    }
}
