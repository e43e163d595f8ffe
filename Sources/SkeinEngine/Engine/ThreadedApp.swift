// Apps with blocking handlers: they run on separate threads, with a limited queue.

import Synchronization

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
                .serviceUnavailable, "too many requests are waiting already", headers: ["Retry-After": "1"])
        }
        defer { pool.leave() }
        return try await withTaskExecutorPreference(pool.executor) { try await app.respond(to: request) }
    }

    /// The threads, and the number of requests that they run or that are queued.
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
