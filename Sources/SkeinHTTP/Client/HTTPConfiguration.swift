// Settings for all HTTP requests of a session.

import SkeinTransport
import SkeinWire

/// Settings of the HTTP client, each with a safe default.
public struct HTTPConfiguration: Sendable {
    /// For establishing a connection: name resolution, connect, handshake. Default: 10 s.
    public var connectTimeout: Duration = .seconds(10)
    /// For a request, from the moment it gets a slot in the session to the last byte of the response. Default: 30 s.
    public var timeout: Duration = .seconds(30)
    /// The longest silence while a response is due or a streamed body is being sent or received. Default: 60 s.
    public var silenceTimeout: Duration = .seconds(60)
    /// Whether connections are reused (`use_pool`). Default: true.
    public var keepAlive = true
    /// The time after which an idle connection is closed. Default: 30 s, less than most servers allow.
    public var idleTimeout: Duration = .seconds(30)
    /// The age from which a connection takes no more requests. Default: 10 minutes.
    public var maximumAge: Duration = .seconds(600)
    /// Connections to one origin at most, for each shard. Default: 1024; the session's concurrency is the usual limit.
    public var connectionsPerOrigin = 1024
    /// Concurrent requests on one connection when no other connection may be opened; above 1, idempotent requests are
    /// pipelined (RFC 9112, section 9.3.2). Default: 1.
    public var pipelineDepth = 1
    /// The size limit of a body that is not streamed. Default: 256 MiB; a larger one fails with code 719. Streams have
    /// no limit.
    public var maximumBodySize = 256 << 20
    /// Fields for every request that does not set them itself. Default: User-Agent and Accept.
    public var defaultHeaders: Headers = ["User-Agent": "skein/0.1", "Accept": "*/*"]
    /// Which malformed HTTP/1.1 responses are accepted. Default: those that curl and browsers accept, too.
    public var parsing = HTTPParsing.tolerant
    /// Limits of the HTTP/1.1 codec. Default: those of curl: lines of 100 KiB, 5000 fields, heads of 300 KiB.
    public var limits = HTTP1Limits.responses
    /// Whether redirects are followed, and how many. Default: yes, up to ten.
    public var redirects = RedirectPolicy()
    /// Name resolution. Default: Skein's own resolver, with the name servers of the system's configuration.
    public var dns = DNSConfiguration()
    /// TLS for `https://`: trust roots and client certificate. Default: the server is verified against the system's
    /// roots.
    public var tls = ClientTLSConfiguration()
    /// The proxy. Default: none; ``ProxyUse/environment`` reads `HTTP_PROXY` and related variables.
    public var proxy = ProxyUse.none
    /// The addresses that requests may connect to, redirects included. Default: all; ``AddressPolicy/publicOnly`` for
    /// untrusted URLs.
    public var addresses = AddressPolicy.all
    /// The local address to connect from. Default: the system's choice.
    public var sourceAddress: String?
    /// HTTP/2: when it is used, its streams, its limits.
    public var http2 = HTTP2Configuration()

    /// Whether content codings of responses are decoded. Default: gzip, deflate, Brotli and Zstandard are.
    public var decompression = DecompressionPolicy()
    /// The cookies of the session. Default: none; no cookies are stored or sent.
    public var cookies: CookieJar?
    /// Credentials by host, for requests without their own. Default: none; ``HTTPCredentials/netrc(_:)`` reads a file.
    public var credentials = HTTPCredentials()
    /// Larger content, and content of unknown length, is sent with `Expect: 100-continue` (RFC 9110, section 10.1.1).
    /// Default: nil, never.
    public var expectContinueAbove: Int?
    /// How long such content waits for a server that does not respond. Default: 1 s.
    public var expectContinueTimeout: Duration = .seconds(1)
    /// Handlers called during each request.
    public var events: HTTPEvents?
    /// The layers of every request; the first is the outermost. Default: none.
    public var layers: [any HTTPLayer] = []
    /// Whether responses carry timings. Default: false.
    public var recordsTimings = false
    /// Opens sockets. Default: the system.
    package var dial: Dial?

    /// The defaults.
    public init() {}

    /// With the supported content codings.
    var allDefaultHeaders: Headers {
        var headers = defaultHeaders
        if decompression.isEnabled, !headers.contains("Accept-Encoding") {
            headers["Accept-Encoding"] = ContentCoding.allCases.map(\.rawValue).joined(separator: ", ")
        }
        return headers
    }
}

/// The decoding of compressed content.
public struct DecompressionPolicy: Sendable {
    /// Whether codings are offered to servers and decoded. Default: true.
    public var isEnabled = true
    /// The maximum ratio of decoded to received bytes for content above 4 MiB; a higher ratio fails with code 719.
    /// Default: 250.
    public var maximumRatio = 250

    /// The defaults.
    public init() {}
}
