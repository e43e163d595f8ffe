// Settings of HTTP/2.

import SkeinWire

/// When the client speaks HTTP/2.
public enum HTTP2Use: String, Sendable, CaseIterable {
    /// Never (aquests' `force_http1`).
    case never
    /// Negotiated by ALPN over TLS; in clear text, HTTP/1.1.
    case negotiated
    /// From the first byte, also in clear text: the caller knows that the server supports it (RFC 9113, section 3.3).
    case priorKnowledge
    /// In clear text, when the server accepts the upgrade offered by the first request (`Upgrade: h2c`, RFC 7540,
    /// section 3.2); else HTTP/1.1.
    case upgrade
}

/// Settings of HTTP/2, each with a safe default.
public struct HTTP2Configuration: Sendable {
    /// When HTTP/2 is used. Default: where it is negotiated.
    public var use = HTTP2Use.negotiated
    /// Concurrent requests on one connection; the server's limit applies, too. Default: the server's limit.
    public var streamsPerConnection = Int.max
    /// Connections to one origin at most, for each shard. Another one is opened when the streams of the first are used
    /// up. Default: 4.
    public var connectionsPerOrigin = 4
    /// The silence on a connection with requests in flight after which the client sends a PING. Default: 20 s.
    public var pingInterval: Duration = .seconds(20)
    /// The time limit for its acknowledgement; then the connection is closed with code 720. Default: 10 s.
    public var pingTimeout: Duration = .seconds(10)
    /// Receives pushed responses; nil refuses them (SETTINGS_ENABLE_PUSH 0). Called on an event loop.
    public var onPush: (@Sendable (HTTPResponse) -> Void)?
    /// Limits of the codec. Default: those of a client, with the size of heads as for HTTP/1.1 and windows that grow up
    /// to 8 MiB a stream.
    public var limits: HTTP2Limits

    /// The defaults.
    public init() {
        limits = HTTP2Limits()
        limits.headerList = HTTP1Limits.responses.headerBlock
        limits.headerBlock = HTTP1Limits.responses.headerBlock
        limits.fieldCount = HTTP1Limits.responses.fieldCount
        limits.streamWindow = 256 << 10
        limits.maximumStreamWindow = 8 << 20
        limits.connectionWindow = 2 << 20
    }
}
