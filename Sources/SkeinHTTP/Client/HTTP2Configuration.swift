// What a caller can set about HTTP/2.

import SkeinWire

/// When the client speaks HTTP/2.
public enum HTTP2Use: String, Sendable, CaseIterable {
    /// Never (aquests' `force_http1`).
    case never
    /// Where server and client agree on it while they make a TLS connection; in clear text, HTTP/1.1.
    case negotiated
    /// From the first byte, also in clear text: the server is known to speak it (RFC 9113, section 3.3).
    case priorKnowledge
    /// In clear text, when the server accepts the offer that the first request makes (`Upgrade: h2c`, RFC 7540,
    /// section 3.2); else HTTP/1.1.
    case upgrade
}

/// Settings of HTTP/2, each with a safe default.
public struct HTTP2Configuration: Sendable {
    /// When it is spoken. Default: where it is negotiated.
    public var use = HTTP2Use.negotiated
    /// Requests under way on one connection; the server's own limit holds, too. Default: as many as the server allows.
    public var streamsPerConnection = Int.max
    /// Connections to one origin at most, for each shard. A second one is made when the first has all the streams that
    /// it may have. Default: 4.
    public var connectionsPerOrigin = 4
    /// The silence on a connection with requests under way after which the server is asked for a sign of life.
    /// Default: 20 s.
    public var pingInterval: Duration = .seconds(20)
    /// How long that sign may take before the connection is given up with code 720. Default: 10 s.
    public var pingTimeout: Duration = .seconds(10)
    /// Takes responses that servers push; nil refuses them (SETTINGS_ENABLE_PUSH 0). Called on an event loop.
    public var onPush: (@Sendable (HTTPResponse) -> Void)?
    /// Limits of the codec. Default: those of a client, with heads as large as those of
    /// HTTP/1.1 and windows that grow up to 8 MiB a stream.
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
