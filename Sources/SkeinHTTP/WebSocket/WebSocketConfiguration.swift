// Settings of a WebSocket, on either side.

import SkeinCore
import SkeinWire

/// Settings of a WebSocket; the defaults suit both sides and an untrusted peer.
public struct WebSocketConfiguration: Sendable {
    /// Subprotocols that a client offers or a server accepts, in the order of preference. Default: none.
    public var subprotocols: [String] = []
    /// The limits for received messages.
    public var limits = WebSocketLimits()
    /// Compression of messages, where the peer agrees (RFC 7692). Default: on; nil for off.
    public var compression: Compression? = Compression()
    /// The silence after which a Ping is sent. Default: 20 s; nil for never.
    public var pingInterval: Duration? = .seconds(20)
    /// The time limit for the Pong; then the connection is closed. Default: 20 s.
    public var pingTimeout: Duration = .seconds(20)
    /// The time after which a message in progress must be complete, or have grown by 1 KiB for each second; else the
    /// socket is closed with 1008. Default: 60 s.
    public var messageTimeout: Duration = .seconds(60)
    /// The time limit for the peer's Close in answer to ours. Default: 10 s.
    public var closeTimeout: Duration = .seconds(10)
    /// Bytes of received messages that the application has not taken, above which reading stops. Default: 256 KiB.
    public var maximumWaiting = 256 << 10
    /// Bytes of sent messages that the peer has not read, above which ``WebSocket/trySend(_:)`` refuses. Default: 1
    /// MiB.
    public var maximumUnsent = 1 << 20
    /// As a client: how a lost connection is reopened. Default: nil, never.
    public var reconnect: Reconnect?
    /// As a client: whether sockets may be HTTP/2 streams, if the server supports it (RFC 8441). Default: false.
    public var usesHTTP2 = false

    /// The defaults.
    public init() {}

    /// The compression of messages.
    public struct Compression: Hashable, Sendable {
        /// The base-two logarithm of our window, 9 to 15; compression uses 2^(bits+2) bytes and some more. Default: 12.
        public var windowBits = 12
        /// Whether each message is compressed independently, which needs no memory between messages but compresses
        /// less. Default: false.
        public var startsOver = false
        /// The size in bytes below which a message is not compressed. Default: 64.
        public var threshold = 64

        /// The defaults.
        public init() {}
    }

    /// How a lost connection is reopened.
    public struct Reconnect: Hashable, Sendable {
        /// Failed attempts in a row before giving up. Default: 10.
        public var maximumAttempts = 10
        /// The wait before the second attempt; it doubles each time, with a random factor between 0.5 and 1. Default:
        /// 0.5 s.
        public var firstWait: Duration = .milliseconds(500)
        /// The longest wait. Default: 30 s.
        public var longestWait: Duration = .seconds(30)

        /// The defaults.
        public init() {}
    }
}
