// Settings of a server, with defaults for untrusted clients.

import Logging
import NIOCore
import SkeinHTTP
import SkeinWire
import SkeinWorkers

/// Settings of a server.
public struct ServerConfiguration: Sendable {
    /// An address to listen on.
    public enum Address: Hashable, Sendable, CustomStringConvertible {
        /// A TCP port of a local IPv4 or IPv6 address; port 0 selects a free one.
        case tcp(String, port: Int)
        /// A TCP port with TLS, with the certificates of ``ServerConfiguration/tls``.
        case tls(String, port: Int)
        /// A unix socket; an existing socket file is replaced.
        case unix(path: String)
        /// A listening socket from a service manager; `isTLS` says whether it uses TLS.
        case inherited(descriptor: CInt, isTLS: Bool = false)

        /// Parses `HOST:PORT`, `[IPV6]:PORT` or `unix:PATH`; nil for other text.
        public init?(_ text: String) {
            if text.hasBytePrefix("unix:") {
                self = .unix(path: String(text.droppingBytes(first: 5)))
                return
            }
            guard let colon = text.lastByte(":"), let port = UInt16(text.text(after: colon)) else { return nil }
            var host = text[..<colon]
            let isBracketed = host.hasBytePrefix("[") && host.hasByteSuffix("]")
            if isBracketed { host = Substring(host.utf8.dropFirst().dropLast()) }
            guard !host.isEmpty, isBracketed || !host.containsBytes(":") else { return nil }
            self = .tcp(String(host), port: Int(port))
        }

        /// The address for messages.
        public var description: String {
            switch self {
            case .tcp(let host, let port), .tls(let host, let port):
                host.containsBytes(":") ? "[\(host)]:\(port)" : "\(host):\(port)"
            case .unix(let path): "unix:\(path)"
            case .inherited(let descriptor, _): "descriptor \(descriptor)"
            }
        }
    }

    /// The addresses to listen on. Default: port 8080 of the IPv4 loopback.
    public var addresses: [Address]
    /// TLS for the addresses that are `.tls`. Default: none.
    public var tls: ServerTLSConfiguration?
    /// Event-loop threads. Default: one per core.
    public var threads: Int
    /// The time limit for a request's head, from its first byte or the start of the connection. Default: 10 s.
    public var headerTimeout: Duration = .seconds(10)
    /// The longest silence while a body is received or the client does not read a response. Default: 30 s.
    public var bodyTimeout: Duration = .seconds(30)
    /// The time after which an idle connection is closed. Default: 75 s.
    public var keepAliveTimeout: Duration = .seconds(75)
    /// The size limit of a request's content; larger content is answered with 413. Default: 16 MiB.
    public var maximumBodySize = 16 << 20
    /// The size limit of a form with files, which is not held in memory. Default: 256 MiB.
    public var maximumMultipartSize = 256 << 20
    /// The size limit of one file in such a form. Default: 128 MiB.
    public var maximumFileSize = 128 << 20
    /// The minimum rate in bytes a second at which a client must send or read a body, after the first ten seconds;
    /// below it, the connection is closed, or in HTTP/2 the stream is reset. Default: 240; 0 for none.
    public var minimumBodyRate = 240
    /// Concurrent connections; further ones are answered with 503 and closed. Default: 20 000.
    public var maximumConnections = 20_000
    /// Concurrent connections of one address, except loopback and trusted proxies; further ones are answered with 503.
    /// Default: 1000.
    public var maximumConnectionsPerAddress = 1000
    /// Requests on one connection before it is closed. Default: one million.
    public var maximumRequestsPerConnection = 1_000_000
    /// The time limit for requests in flight at a shutdown. Default: 30 s.
    public var shutdownTimeout: Duration = .seconds(30)
    /// Limits of the HTTP/1.1 codec.
    public var limits = HTTP1Limits()
    /// HTTP/2: whether it is enabled, and its limits.
    public var http2 = HTTP2()

    /// Settings of HTTP/2. It uses the same port as HTTP/1.1, by ALPN or prior knowledge.
    public struct HTTP2: Sendable {
        /// Whether it is enabled. Default: true.
        public var isEnabled = true
        /// Whether clients may upgrade in clear text by `Upgrade: h2c`, which RFC 9113 has removed. Behind a proxy that
        /// forwards the field, it bypasses the proxy's rules. Default: false.
        public var allowsUpgrade = false
        /// Limits of the codec. Default: 128 streams per connection.
        public var limits = HTTP2Limits()

        /// The defaults.
        public init() {}
    }
    /// Proxies whose forwarding fields are trusted. Default: none.
    public var trustedProxies: [AddressRange] = []
    /// The family of forwarding fields. Those of the other family are removed from requests, since clients can forge
    /// them. Default: `X-Forwarded-For` and related fields.
    public var forwarding = Forwarding.xForwarded

    /// A family of forwarding fields.
    public enum Forwarding: String, Sendable {
        /// `X-Forwarded-For`, `X-Forwarded-Proto`, `X-Forwarded-Host`.
        case xForwarded = "x-forwarded"
        /// `Forwarded` (RFC 7239).
        case forwarded
    }

    /// The memory limit of incomplete WebSocket messages, of all clients together, in bytes; above it, sockets that
    /// send more are closed with 1013. Default: 128 MiB.
    public var maximumUnfinishedMessages = 128 << 20
    /// Concurrently compressed responses, of all clients together and of one connection; further ones are sent
    /// uncompressed. Default: 32 and 4.
    public var maximumEncoders = 32
    public var maximumEncodersPerConnection = 4
    /// Whether every TCP connection begins with a PROXY header, version 1 or 2, from a load balancer. A connection
    /// without one is closed. Clients that connect directly can forge any address: allow only the balancer to connect.
    /// Default: false.
    public var expectsProxyHeader = false
    /// The port of https to which an engine redirects requests in clear text. Default: none, clear text is served.
    public var forwardsToTLS: Int?
    /// The `max-age` of Strict-Transport-Security (RFC 6797). Default: none, the field is not sent.
    public var strictTransportSecurity: Duration?
    /// The log of requests. Default: none.
    public var requestLog: RequestLogConfiguration?
    /// Settings of the client that handlers get as ``ServerRequest/skein``. Its shards are the server's.
    public var client = SkeinClient.Configuration()
    /// Aliases of back ends that handlers and ``UpstreamApp`` can use, such as `@members`.
    public var aliases: [(name: String, alias: Alias)] = []
    /// The logger.
    public var logger = Logger.screen()
    /// The challenges of a certificate authority.
    var challenges: CertificateChallenges?
    /// The location of the state shared by the processes of the server. Default: memory of this machine.
    public var shared: SharedLocation?
    /// The worker of a master that this process is; nil without a master.
    package var worker: WorkerLink?
    /// Called after files were read and sockets opened, before the first connection: privileges are dropped here.
    package var beforeListening: (@Sendable () throws -> Void)?
    /// Called when the server listens.
    package var afterListening: (@Sendable () -> Void)?
    var sharing = SharedOptions()
    /// Seconds since 1970. Default: the system's clock.
    package var clock: (@Sendable () -> Int)?

    /// Settings with the given addresses and threads.
    public init(addresses: [Address] = [.tcp("127.0.0.1", port: 8080)], threads: Int = System.coreCount) {
        self.addresses = addresses
        self.threads = threads
    }
}

extension ServerConfiguration {
    /// The settings that a running server cannot change to those of another configuration, since its listeners and
    /// loops depend on them.
    /// - Returns: their names; empty when a reload is enough.
    public func changesForRestart(to other: ServerConfiguration) -> [String] {
        func text(_ configuration: ServerConfiguration) -> [(String, String)] {
            [
                ("addresses", "\(configuration.addresses)"), ("tls", "\(String(describing: configuration.tls))"),
                ("threads", "\(configuration.threads)"), ("trusted proxies", "\(configuration.trustedProxies)"),
                ("forwarding", "\(configuration.forwarding)"),
                ("PROXY protocol", "\(configuration.expectsProxyHeader)"),
                ("maximum body size", "\(configuration.maximumBodySize)"),
                (
                    "connection limits",
                    "\(configuration.maximumConnections) \(configuration.maximumConnectionsPerAddress) \(configuration.minimumBodyRate)"
                ),
                (
                    "timeouts",
                    "\(configuration.headerTimeout) \(configuration.bodyTimeout) \(configuration.keepAliveTimeout) \(configuration.shutdownTimeout)"
                ),
                ("HTTP/2", "\(configuration.http2.isEnabled)"),
                ("shared", "\(configuration.shared?.name ?? "")"),
                ("log", "\(String(describing: configuration.requestLog))"),
            ]
        }
        return zip(text(self), text(other)).compactMap { $0.1 == $1.1 ? nil : $0.0 }
    }
}
