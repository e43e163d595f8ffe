// Runs tasks on the event loop that owns their connections, so that an exchange never changes threads.

import NIOCore
import Synchronization

/// A task executor over one event loop.
///
/// A task that prefers it (`Task(executorPreference:)`, `withTaskExecutorPreference`) runs on the loop's thread: calls
/// to connections of that loop are plain function calls, and a response resumes the task in the tick in which it
/// arrived. Such a task must not block; work that blocks or computes for long belongs on the global executor.
///
/// Unchecked: `jobs` and `isScheduled` are used on the loop only.
public final class EventLoopExecutor: TaskExecutor, @unchecked Sendable {
    private let eventLoop: any EventLoop
    @exclusivity(unchecked) private var jobs: [UnownedJob] = []
    @exclusivity(unchecked) private var isScheduled = false
    /// Jobs from other threads.
    private let foreign = Mutex<[UnownedJob]>([])

    /// An executor over a loop; the loop must outlive the tasks that prefer it.
    public init(_ eventLoop: any EventLoop) {
        self.eventLoop = eventLoop
        jobs.reserveCapacity(64)
    }

    /// Queues a job for the loop's next tick. Called by the concurrency runtime.
    ///
    /// Jobs are collected and run together, those of the loop itself and those of other threads: they share one entry
    /// in the loop's queue instead of a closure and a lock each, and the loop is woken once.
    public func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        guard eventLoop.inEventLoop else {
            let isFirst = foreign.withLock { foreign in
                foreign.append(job)
                return foreign.count == 1
            }
            if isFirst { eventLoop.execute { self.runForeignJobs() } }
            return
        }
        jobs.append(job)
        schedule()
    }

    private func schedule() {
        guard !isScheduled else { return }
        isScheduled = true
        eventLoop.execute { self.runJobs() }
    }

    private func runForeignJobs() {
        let batch = foreign.withLock { foreign in
            defer { foreign = [] }
            return foreign
        }
        for job in batch { job.runSynchronously(on: asUnownedTaskExecutor()) }
    }

    /// Runs the jobs that are queued now; jobs that they add wait for the next tick, so that I/O is not starved.
    private func runJobs() {
        isScheduled = false
        var batch: [UnownedJob] = []
        swap(&batch, &jobs)
        for job in batch { job.runSynchronously(on: asUnownedTaskExecutor()) }
        batch.removeAll(keepingCapacity: true)
        if jobs.isEmpty { swap(&batch, &jobs) }
    }
}
