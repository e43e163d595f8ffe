// Apps whose handlers block: they run on threads of their own, and no more of them wait than was said.

import Synchronization

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif
import Foundation

/// An app on its own threads.
struct ThreadedApp: App {
    private let app: any App
    private let threads: Int
    private let queue: Int
    private let pool: Pool?

    init(_ app: any App, threads: Int, queue: Int) {
        self.init(app, threads: threads, queue: queue, pool: nil)
    }

    private init(_ app: any App, threads: Int, queue: Int, pool: Pool?) {
        self.app = app
        self.threads = max(1, threads)
        self.queue = max(0, queue)
        self.pool = pool
    }

    func bootstrap(at mount: MountPoint) async throws -> any App {
        ThreadedApp(
            try await app.bootstrap(at: mount), threads: threads, queue: queue,
            pool: Pool(ThreadExecutor(threads: threads, name: "skein \(mount.path)")))
    }

    func respond(to request: ServerRequest) async throws -> ServerResponse {
        guard let pool else { return try await app.respond(to: request) }
        guard pool.enter(limit: threads + queue) else {
            throw ServerError(
                .serviceUnavailable, "too many requests wait for this already", headers: ["Retry-After": "1"])
        }
        defer { pool.leave() }
        return try await withTaskExecutorPreference(pool.executor) { try await app.respond(to: request) }
    }

    /// The threads with the number of requests that are with them.
    private final class Pool: Sendable {
        let executor: ThreadExecutor
        private let count = Atomic<Int>(0)

        init(_ executor: ThreadExecutor) { self.executor = executor }

        deinit { executor.stop() }

        func enter(limit: Int) -> Bool {
            guard count.wrappingAdd(1, ordering: .relaxed).newValue <= limit else {
                leave()
                return false
            }
            return true
        }

        func leave() { count.wrappingSubtract(1, ordering: .relaxed) }
    }
}

/// Runs tasks on some threads that may block.
final class ThreadExecutor: TaskExecutor {
    private struct Jobs {
        var waiting: [UnownedJob] = []
        var next = 0
        var isStopped = false
    }

    /// The threads hold the queue and not the executor, so that the executor's end is the end of the threads.
    private final class Queue: Sendable {
        private let jobs = Mutex(Jobs())
        private let ready = DispatchSemaphore(value: 0)

        func add(_ job: UnownedJob) {
            jobs.withLock { $0.waiting.append(job) }
            ready.signal()
        }

        /// The next job; nil when the threads are to end.
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

    /// The executor as its threads name it to the runtime.
    ///
    /// Unchecked: it is a number to the runtime, and jobs keep the executor alive while they run.
    private struct Unowned: @unchecked Sendable {
        let value: UnownedTaskExecutor

        init(_ executor: ThreadExecutor) { value = executor.asUnownedTaskExecutor() }
    }

    func enqueue(_ job: consuming ExecutorJob) { queue.add(UnownedJob(job)) }

    /// Ends the threads when the jobs that are there are done.
    func stop() { queue.wake(threads) }
}
