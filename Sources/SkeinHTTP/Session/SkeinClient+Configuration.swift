// Everything that can be set for a session, in one place.

import Logging
import SkeinCore

extension SkeinClient {
    /// Settings of a session, each with a default that is safe.
    public struct Configuration: Sendable {
        /// Requests under way at one time, which is also the number of connections at most (aquests' `workers`). Default: 100.
        public var concurrency = 100
        /// Threads with an event loop each. Default: none of its own, the session shares one loop of the process.
        /// A session with threads of its own is ended with ``SkeinClient/shutdown()``.
        public var threads: Int?
        /// The shards of an engine or of another session to live on, instead of threads.
        public var shards: ShardGroup?
        /// The order in which requests beyond the concurrency are taken. Default: fair between origins.
        public var order = QueueOrder.fair
        /// Requests that may wait; further ones fail with code 703. Default: one million.
        public var maximumQueued = 1_000_000
        /// Called with every response that has no callback of its own, on an event loop: it must not block.
        public var callback: SkeinClient.Callback?
        /// Whether a response without a callback is reported in a line on the logger. Default: false.
        public var report = false
        /// Where lines go. Default: standard error, from info on.
        public var logger = Logger.screen()
        /// HTTP: timeouts, pools, limits, default headers.
        public var http = HTTPConfiguration()

        /// The defaults.
        public init() {}
    }
}
