// Threads for blocking tasks.

import Foundation
import Synchronization

/// Runs tasks on threads that may block.
final class ThreadExecutor: TaskExecutor {
    private struct Jobs {
        var waiting: [UnownedJob] = []
        var next = 0
        var isStopped = false
    }

    /// The threads hold the queue instead of the executor, so that they end with the executor.
    private final class Queue: Sendable {
        private let jobs = Mutex(Jobs())
        private let ready = DispatchSemaphore(value: 0)

        func add(_ job: UnownedJob) {
            jobs.withLock { $0.waiting.append(job) }
            ready.signal()
        }

        /// The next job; nil when the threads should end.
        func take() -> UnownedJob? {
            ready.wait()
            return jobs.withLock { jobs in
                guard jobs.next < jobs.waiting.count else { return nil }
                defer {
                    jobs.next += 1
                    if jobs.next == jobs.waiting.count {
                        jobs.waiting.removeAll(keepingCapacity: true)
                        jobs.next = 0
                    }
                }
                return jobs.waiting[jobs.next]
            }
        }

        func wake(_ count: Int) { for _ in 0..<count { ready.signal() } }
    }

    private let queue = Queue()
    private let threads: Int

    init(threads: Int, name: String) {
        self.threads = threads
        for number in 0..<threads {
            let thread = Thread { [queue, executor = Unowned(self)] in
                while let job = queue.take() { job.runSynchronously(on: executor.value) }
            }
            thread.name = "\(name) \(number)"
            thread.start()
        }
    }

    /// The executor's reference for the runtime.
    ///
    /// Unchecked: to the runtime it is only an identifier, and jobs keep the executor alive while they run.
    private struct Unowned: @unchecked Sendable {
        let value: UnownedTaskExecutor

        init(_ executor: ThreadExecutor) { value = executor.asUnownedTaskExecutor() }
    }

    func enqueue(_ job: consuming ExecutorJob) { queue.add(UnownedJob(job)) }

    /// Ends the threads after the queued jobs.
    func stop() { queue.wake(threads) }
}
