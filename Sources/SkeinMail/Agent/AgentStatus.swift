// The status of an agent, in its status file and on its page.

import SkeinCore

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// The status of an agent.
public struct AgentStatus: Codable, Sendable {
    /// Counts of delivery results by recipient since the agent started.
    public struct Counters: Codable, Sendable, Equatable {
        /// Servers have accepted the message.
        public var delivered = 0
        /// Deferred for a retry; counted each time.
        public var deferred = 0
        /// Failed permanently.
        public var failed = 0
        /// Failed because the lifetime was over; included in the failed ones.
        public var expired = 0
        /// The connection ended after the message was sent, so that it is sent again and may arrive twice.
        public var uncertain = 0
    }

    /// A destination of mail.
    public struct Destination: Codable, Sendable {
        public let name: String
        public let waiting: Int
        public let running: Int
        public let isResting: Bool
    }

    /// The process ID.
    public let process: Int
    /// When it started, in milliseconds since 1970.
    public let began: Int
    /// The time of this status, in milliseconds since 1970.
    public let at: Int
    /// Messages in its memory.
    public let messages: Int
    /// Waiting deliveries.
    public let waiting: Int
    /// Deliveries in progress.
    public let running: Int
    /// Connections opened since it started.
    public let connections: Int
    public let counters: Counters
    /// The destinations with the most waiting deliveries.
    public let destinations: [Destination]
}

/// The name of this machine.
public enum SystemName {
    /// The host name, in a valid form for a greeting; `localhost` when there is none.
    public static var host: String {
        var bytes = [CChar](repeating: 0, count: 256)
        guard gethostname(&bytes, 255) == 0 else { return "localhost" }
        let name = String(decoding: bytes.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
        return MailAddress("a@\(name)").problem == nil ? name : "localhost"
    }
}
