// What an agent can be told.

import Logging
import SkeinCore
import SkeinTransport

extension MailAgent {
    /// How mail is delivered.
    public struct Configuration: Sendable {
        /// The server that all mail is sent to, as of ``MailRelay``. Default: none, each domain's own servers are.
        public var relay: String?
        /// What the agent calls itself to servers. Default: the name of the host.
        public var name = SystemName.host
        /// Deliveries to a destination at first, and at most. Default: 5 to 20.
        public var concurrency = 5...20
        /// Deliveries to all destinations at one time. Default: 100.
        public var totalConcurrency = 100
        /// Messages a second to a destination. Default: no limit.
        public var rate: Double?
        /// The wait after the first failure; each further one is twice as long, up to the longest. Default: 5 min.
        public var firstRetry: Duration = .seconds(300)
        /// The longest wait. Default: 4 h.
        public var longestRetry: Duration = .seconds(4 * 3600)
        /// How long servers may take.
        public var timeouts = SMTPTimeouts()
        /// Messages on one connection. Default: 100.
        public var messagesPerConnection = 100
        /// How long a connection waits for another message. Default: 5 s.
        public var idle: Duration = .seconds(5)
        /// Whether servers that are found in the DNS must speak TLS and prove who they are. Default: no, as most do not.
        public var requiresTLS = false
        /// Whether domains are asked which servers they have, and whether these must prove it (MTA-STS, RFC 8461). Default: no.
        public var usesTransportPolicies = false
        /// Whose certificates are trusted, of servers found in the DNS that must prove who they are. Default: the system's.
        public var roots = ClientTLSConfiguration.Roots.system
        /// The port of servers that are found in the DNS. Default: 25.
        public var port = 25
        /// The port of the servers with policies; for tests.
        package var policyPort = 443
        /// Which addresses servers that are found in the DNS may have. Default: all; ``AddressPolicy/publicOnly`` keeps mail to addresses
        /// that anybody has typed in away from the servers of this network.
        public var addresses = AddressPolicy.all
        /// How names are resolved.
        public var dns = DNSConfiguration()
        /// How long messages that were given up are kept. Default: 30 days.
        public var failedFor: Duration = .seconds(30 * 86_400)
        /// Where it says what it does.
        public var logger: Logger = .screen(label: "mail")

        /// - Parameter relay: the server that all mail is sent to. Default: each domain's own.
        public init(relay: String? = nil) { self.relay = relay }
    }
}
