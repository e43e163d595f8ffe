// What can be set for a server, with defaults for a server that anybody may talk to.

import Logging
import NIOCore
import SkeinHTTP
import SkeinWire
import SkeinWorkers

/// Settings of a server.
public struct ServerConfiguration: Sendable {
    /// Where a server listens.
    public enum Address: Hashable, Sendable, CustomStringConvertible {
        /// A TCP port of a local address, IPv4 or IPv6; port 0 is a free one.
        case tcp(String, port: Int)
        /// A TCP port on which TLS is spoken, with the certificates of ``ServerConfiguration/tls``.
        case tls(String, port: Int)
        /// A unix socket; a socket file that stands there is replaced.
        case unix(path: String)
        /// A socket that listens already, as service managers hand them over; `isTLS` says whether TLS is spoken on it.
        case inherited(descriptor: CInt, isTLS: Bool = false)

        /// Reads `HOST:PORT`, `[IPV6]:PORT` or `unix:PATH`; nil for what is none.
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

        /// The address as it is written in messages.
        public var description: String {
            switch self {
            case .tcp(let host, let port), .tls(let host, let port):
                host.containsBytes(":") ? "[\(host)]:\(port)" : "\(host):\(port)"
            case .unix(let path): "unix:\(path)"
            case .inherited(let descriptor, _): "descriptor \(descriptor)"
            }
        }
    }

    /// Where to listen. Default: port 8080 of the IPv4 loopback.
    public var addresses: [Address]
    /// TLS for the addresses that are `.tls`. Default: none.
    public var tls: ServerTLSConfiguration?
    /// Event-loop threads. Default: one a core.
    public var threads: Int
    /// From the first byte of a request, or the start of the connection, to the end of its head. Default: 10 s.
    public var headerTimeout: Duration = .seconds(10)
    /// The longest silence while a body is received or a response is not taken. Default: 30 s.
    public var bodyTimeout: Duration = .seconds(30)
    /// How long an unused connection is kept. Default: 75 s.
    public var keepAliveTimeout: Duration = .seconds(75)
    /// Bytes of a request's content; more is answered with 413. Default: 16 MiB.
    public var maximumBodySize = 16 << 20
    /// Bytes of a form with files, which is not kept in memory. Default: 256 MiB.
    public var maximumMultipartSize = 256 << 20
    /// Bytes of one file in such a form. Default: 128 MiB.
    public var maximumFileSize = 128 << 20
    /// Bytes a second below which a client is cut off that sends or takes a body, once it has had ten seconds; of HTTP/2, the stream is
    /// reset. Default: 240; 0 for none.
    public var minimumBodyRate = 240
    /// Connections at one time; further ones are answered with 503 and closed. Default: 20 000.
    public var maximumConnections = 20_000
    /// Connections of one address at one time, loopback and trusted proxies left out; further ones are answered with 503.
    /// Default: 1000.
    public var maximumConnectionsPerAddress = 1000
    /// Requests on one connection before it is closed. Default: one million.
    public var maximumRequestsPerConnection = 1_000_000
    /// How long a shutdown waits for requests under way before it cuts them off. Default: 30 s.
    public var shutdownTimeout: Duration = .seconds(30)
    /// Limits of the HTTP/1.1 codec.
    public var limits = HTTP1Limits()
    /// HTTP/2: whether it is spoken, and its limits.
    public var http2 = HTTP2()

    /// What a server does about HTTP/2. It is spoken on the same port as HTTP/1.1, by ALPN or by prior knowledge.
    public struct HTTP2: Sendable {
        /// Whether it is spoken. Default: true.
        public var isEnabled = true
        /// Whether clients may change to it in clear text by `Upgrade: h2c`, which RFC 9113 has dropped. Behind a proxy that passes the
        /// field on, it is a way past the proxy's rules. Default: false.
        public var allowsUpgrade = false
        /// Limits of the codec. Default: 128 streams a connection.
        public var limits = HTTP2Limits()

        /// The defaults.
        public init() {}
    }
    /// The proxies in front, whose word about the client is taken. Default: none.
    public var trustedProxies: [AddressRange] = []
    /// The fields in which they say it. Those of the other family are removed from requests, since no proxy vouches for them.
    /// Default: `X-Forwarded-For` and its kin.
    public var forwarding = Forwarding.xForwarded

    /// A family of fields by which proxies tell of the client.
    public enum Forwarding: String, Sendable {
        /// `X-Forwarded-For`, `X-Forwarded-Proto`, `X-Forwarded-Host`.
        case xForwarded = "x-forwarded"
        /// `Forwarded` (RFC 7239).
        case forwarded
    }

    /// Bytes of messages of WebSockets that are not complete, of all clients together; beyond it, the sockets of those who send more
    /// are closed with 1013. Default: 128 MiB.
    public var maximumUnfinishedMessages = 128 << 20
    /// Answers that are compressed while they are sent, of all clients together and of one connection; further ones are sent as they
    /// are. Default: 32 and 4.
    public var maximumEncoders = 32
    public var maximumEncodersPerConnection = 4
    /// Whether every TCP connection begins with a PROXY header, version 1 or 2, as load balancers send it. A connection without one
    /// is closed, and anybody who can connect can claim to be anybody: let nobody but the balancer. Default: false.
    public var expectsProxyHeader = false
    /// The port of https to which an engine sends what it is asked in clear text. Default: none, clear text is answered.
    public var forwardsToTLS: Int?
    /// How long browsers are told to use nothing but TLS for this host (RFC 6797). Default: they are told nothing.
    public var strictTransportSecurity: Duration?
    /// The log of requests. Default: none.
    public var requestLog: RequestLogConfiguration?
    /// Settings of the client that handlers get as ``ServerRequest/skein``. Its shards are the server's.
    public var client = SkeinClient.Configuration()
    /// Names for back ends that handlers and ``UpstreamApp`` can use, such as `@members`.
    public var aliases: [(name: String, alias: Alias)] = []
    /// Where lines go.
    public var logger = Logger.screen()
    /// The challenges of a certificate authority.
    var challenges: CertificateChallenges?
    /// Where the processes of the server keep what they share. Default: memory of this machine.
    public var shared: SharedLocation?
    /// The master's worker that serves; nil without a master.
    package var worker: WorkerLink?
    /// What comes between what is read and opened, and the first connection: rights are given up here.
    package var beforeListening: (@Sendable () throws -> Void)?
    /// What comes when it listens.
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
    /// The settings that a running server cannot take over from another configuration, since they are of its listeners and loops.
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
