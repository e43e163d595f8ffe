// What can be set for a WebSocket, on either side.

import SkeinCore
import SkeinWire

/// Settings of a WebSocket; the defaults suit both sides and a peer that nobody knows.
public struct WebSocketConfiguration: Sendable {
    /// Subprotocols: what a client offers or a server accepts, in the order of preference. Default: none.
    public var subprotocols: [String] = []
    /// What the peer may make us hold.
    public var limits = WebSocketLimits()
    /// Compression of messages, where the peer agrees (RFC 7692). Default: on; nil for off.
    public var compression: Compression? = Compression()
    /// The silence after which the peer is asked by a Ping whether it is there. Default: 20 s; nil for never.
    public var pingInterval: Duration? = .seconds(20)
    /// How long its answer may take before the connection is given up. Default: 20 s.
    public var pingTimeout: Duration = .seconds(20)
    /// The time after which a message that has begun must be complete, or have grown by 1 KiB for each second of it; else the socket
    /// is closed with 1008. Default: 60 s.
    public var messageTimeout: Duration = .seconds(60)
    /// How long the peer may take to answer a Close. Default: 10 s.
    public var closeTimeout: Duration = .seconds(10)
    /// Bytes of received messages that nobody has taken, above which the peer has to wait. Default: 256 KiB.
    public var maximumWaiting = 256 << 10
    /// Bytes of sent messages that the peer has not taken, above which ``WebSocket/trySend(_:)`` refuses. Default: 1 MiB.
    public var maximumUnsent = 1 << 20
    /// As a client: whether and how a lost connection is made again. Default: not.
    public var reconnect: Reconnect?
    /// As a client: whether sockets may be streams of an HTTP/2 connection, if the server can do that (RFC 8441). Default: false.
    public var usesHTTP2 = false

    /// The defaults.
    public init() {}

    /// How messages are made smaller.
    public struct Compression: Hashable, Sendable {
        /// The base-two logarithm of our window, 9 to 15; it takes 2^(bits+2) bytes and some more while messages are compressed.
        /// Default: 12.
        public var windowBits = 12
        /// Whether each message is compressed by itself, which takes no memory between messages and makes less of them small.
        /// Default: false.
        public var startsOver = false
        /// Bytes of a message below which it is sent as it is. Default: 64.
        public var threshold = 64

        /// The defaults.
        public init() {}
    }

    /// How a lost connection is made again.
    public struct Reconnect: Hashable, Sendable {
        /// Attempts in a row that may fail. Default: 10.
        public var maximumAttempts = 10
        /// The wait before the second attempt; it doubles each time, and between half of it and all of it is waited. Default: 0.5 s.
        public var firstWait: Duration = .milliseconds(500)
        /// The longest wait. Default: 30 s.
        public var longestWait: Duration = .seconds(30)

        /// The defaults.
        public init() {}
    }
}
