// How an agent is doing, as its status file and its page have it.

import SkeinCore

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// How an agent is doing.
public struct AgentStatus: Codable, Sendable {
    /// What has become of recipients since the agent began.
    public struct Counters: Codable, Sendable, Equatable {
        /// Servers have taken the message.
        public var delivered = 0
        /// It is tried again; counted each time.
        public var deferred = 0
        /// Given up.
        public var failed = 0
        /// Given up for want of time; these are among the failed.
        public var expired = 0
        /// The connection ended behind the message, so that it is sent again and may arrive twice.
        public var uncertain = 0
    }

    /// One that mail goes to.
    public struct Destination: Codable, Sendable {
        public let name: String
        public let waiting: Int
        public let running: Int
        public let isResting: Bool
    }

    /// The number of its process.
    public let process: Int
    /// When it began, in milliseconds since 1970.
    public let began: Int
    /// When this was true, in milliseconds since 1970.
    public let at: Int
    /// Messages in its memory.
    public let messages: Int
    /// Of these and their destinations, those that wait.
    public let waiting: Int
    /// Deliveries under way.
    public let running: Int
    /// Connections made since it began.
    public let connections: Int
    public let counters: Counters
    /// Those with the most that waits.
    public let destinations: [Destination]
}

/// What this machine is called.
public enum SystemName {
    /// The name of the host, in a form that can stand in a greeting; `localhost` when it has none.
    public static var host: String {
        var bytes = [CChar](repeating: 0, count: 256)
        guard gethostname(&bytes, 255) == 0 else { return "localhost" }
        let name = String(decoding: bytes.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
        return MailAddress("a@\(name)").problem == nil ? name : "localhost"
    }
}
