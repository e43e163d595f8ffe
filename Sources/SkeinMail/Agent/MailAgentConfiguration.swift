// Settings of an agent.

import Logging
import SkeinCore
import SkeinTransport

extension MailAgent {
    /// Delivery settings.
    public struct Configuration: Sendable {
        /// The relay for all mail, as in ``MailRelay``. Default: none, mail is sent to each domain's servers.
        public var relay: String?
        /// The name in EHLO. Default: the host name.
        public var name = SystemName.host
        /// The initial and the maximum concurrency for a destination. Default: 5 to 20.
        public var concurrency = 5...20
        /// The concurrency for all destinations together. Default: 100.
        public var totalConcurrency = 100
        /// Messages a second to a destination. Default: no limit.
        public var rate: Double?
        /// The delay after the first failure; it doubles with each further failure, up to the longest. Default: 5 min.
        public var firstRetry: Duration = .seconds(300)
        /// The longest delay. Default: 4 h.
        public var longestRetry: Duration = .seconds(4 * 3600)
        /// Time limits for servers.
        public var timeouts = SMTPTimeouts()
        /// Messages on one connection. Default: 100.
        public var messagesPerConnection = 100
        /// The idle timeout of a connection. Default: 5 s.
        public var idle: Duration = .seconds(5)
        /// Whether servers found in the DNS must use TLS with a valid certificate. Default: no, as most do not.
        public var requiresTLS = false
        /// Whether the MTA-STS policies of domains are applied (RFC 8461). Default: no.
        public var usesTransportPolicies = false
        /// The trust roots for servers found in the DNS whose certificates are verified. Default: the system's.
        public var roots = ClientTLSConfiguration.Roots.system
        /// The port of servers that are found in the DNS. Default: 25.
        public var port = 25
        /// The port of policy servers; for tests.
        package var policyPort = 443
        /// The policy for addresses of servers found in the DNS. Default: all; ``AddressPolicy/publicOnly`` protects
        /// the servers of the local network from mail to untrusted addresses.
        public var addresses = AddressPolicy.all
        /// Name resolution.
        public var dns = DNSConfiguration()
        /// How long failed messages are retained. Default: 30 days.
        public var failedFor: Duration = .seconds(30 * 86_400)
        /// The logger.
        public var logger: Logger = .screen(label: "mail")

        /// - Parameter relay: the relay for all mail. Default: each domain's servers.
        public init(relay: String? = nil) { self.relay = relay }
    }
}
