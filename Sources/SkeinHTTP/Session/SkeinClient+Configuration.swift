// The settings of a session.

import Logging
import SkeinCore

extension SkeinClient {
    /// Settings of a session, each with a safe default.
    public struct Configuration: Sendable {
        /// Concurrent requests, which is also the maximum number of connections (aquests' `workers`). Default: 100.
        public var concurrency = 100
        /// Threads with an event loop each. Default: none of its own; the session shares one loop of the process. A
        /// session with threads of its own is ended with ``SkeinClient/shutdown()``.
        public var threads: Int?
        /// The shards of an engine or of another session to run on, instead of threads.
        public var shards: ShardGroup?
        /// The order in which queued requests are sent. Default: fair between origins.
        public var order = QueueOrder.fair
        /// Requests that may be queued; further ones fail with code 703. Default: one million.
        public var maximumQueued = 1_000_000
        /// Called with every response that has no callback of its own, on an event loop: it must not block.
        public var callback: SkeinClient.Callback?
        /// Whether a response without a callback is logged in a line. Default: false.
        public var report = false
        /// The logger. Default: standard error, from level info.
        public var logger = Logger.screen()
        /// HTTP: timeouts, pools, limits, default headers.
        public var http = HTTPConfiguration()

        /// The defaults.
        public init() {}
    }
}
