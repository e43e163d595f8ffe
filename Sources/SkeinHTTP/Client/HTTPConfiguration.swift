// What a caller can set for all HTTP requests of a session.

import SkeinTransport
import SkeinWire

/// Settings of the HTTP client, each with a safe default.
public struct HTTPConfiguration: Sendable {
    /// For a connection to be made: name, addresses, handshake. Default: 10 s.
    public var connectTimeout: Duration = .seconds(10)
    /// For a request, from the moment it gets its place in the session to the last byte of the answer. Default: 30 s.
    public var timeout: Duration = .seconds(30)
    /// The longest silence while an answer is due or a streamed body is under way, in either direction. Default: 60 s.
    public var silenceTimeout: Duration = .seconds(60)
    /// Whether connections are kept for further requests (`use_pool`). Default: true.
    public var keepAlive = true
    /// How long an unused connection is kept. Default: 30 s, below what most servers grant.
    public var idleTimeout: Duration = .seconds(30)
    /// How old a connection may become before it takes no more requests. Default: 10 minutes.
    public var maximumAge: Duration = .seconds(600)
    /// Connections to one origin at most, for each shard. Default: 1024; the session's concurrency is the usual limit.
    public var connectionsPerOrigin = 1024
    /// Requests that may be under way on one connection when no other connection may be made; above 1, idempotent
    /// requests are pipelined (RFC 9112, section 9.3.2). Default: 1.
    public var pipelineDepth = 1
    /// Bytes of a body that is received whole. Default: 256 MiB; a larger one ends with code 719. Streams have no limit.
    public var maximumBodySize = 256 << 20
    /// Fields for every request that does not set them itself. Default: User-Agent and Accept.
    public var defaultHeaders: Headers = ["User-Agent": "skein/0.1", "Accept": "*/*"]
    /// Which malformed HTTP/1.1 responses are read. Default: those that curl and browsers read, too.
    public var parsing = HTTPParsing.tolerant
    /// Limits of the HTTP/1.1 codec. Default: those of curl, lines of 100 KiB, 5000 fields, 300 KiB for a head.
    public var limits = HTTP1Limits.responses
    /// Whether redirects are followed, and how far. Default: yes, up to ten.
    public var redirects = RedirectPolicy()
    /// How names become addresses. Default: by Skein's own resolver, with the servers of the system's configuration.
    public var dns = DNSConfiguration()
    /// TLS for `https://`: whom to trust, what to show. Default: the server has to prove who it is, by the system's roots.
    public var tls = ClientTLSConfiguration()
    /// The proxy to go through. Default: none; ``ProxyUse/environment`` honours `HTTP_PROXY` and its kin.
    public var proxy = ProxyUse.none
    /// Which addresses requests may lead to, redirects included. Default: all; ``AddressPolicy/publicOnly`` for URLs of strangers.
    public var addresses = AddressPolicy.all
    /// The local address to connect from. Default: the system's choice.
    public var sourceAddress: String?
    /// HTTP/2: when it is spoken, its streams, its limits.
    public var http2 = HTTP2Configuration()

    /// Whether and how content codings of answers are undone. Default: gzip, deflate, Brotli and Zstandard are.
    public var decompression = DecompressionPolicy()
    /// The cookies of the session. Default: none, nothing is kept and nothing sent.
    public var cookies: CookieJar?
    /// Credentials by host, for requests that bring none. Default: none; ``HTTPCredentials/netrc(_:)`` reads a file.
    public var credentials = HTTPCredentials()
    /// Content of more bytes, and of unknown length, waits until the server asks for it (RFC 9110, section 10.1.1).
    /// Default: none waits.
    public var expectContinueAbove: Int?
    /// How long content waits for a server that does not say anything. Default: 1 s.
    public var expectContinueTimeout: Duration = .seconds(1)
    /// What is called while requests go their way.
    public var events: HTTPEvents?
    /// What requests go through before they are sent, the first is the outermost. Default: nothing.
    public var layers: [any HTTPLayer] = []
    /// Whether responses tell where their time went. Default: false.
    public var recordsTimings = false
    /// Who opens sockets. Default: the system.
    package var dial: Dial?

    /// The defaults.
    public init() {}

    /// With the codings that can be undone.
    var allDefaultHeaders: Headers {
        var headers = defaultHeaders
        if decompression.isEnabled, !headers.contains("Accept-Encoding") {
            headers["Accept-Encoding"] = ContentCoding.allCases.map(\.rawValue).joined(separator: ", ")
        }
        return headers
    }
}

/// What is done about content that was compressed for the way.
public struct DecompressionPolicy: Sendable {
    /// Whether codings are offered to servers and undone. Default: true.
    public var isEnabled = true
    /// How many times larger than what was sent content may become, once it is larger than 4 MiB; then it ends with code 719.
    /// Default: 250.
    public var maximumRatio = 250

    /// The defaults.
    public init() {}
}
