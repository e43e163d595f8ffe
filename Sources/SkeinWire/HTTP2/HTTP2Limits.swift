// Limits for the frames and data of HTTP/2 peers.

/// Limits of an HTTP/2 connection. Exceeding one resets the stream or, for excessive load, closes the connection with
/// ENHANCE_YOUR_CALM.
public struct HTTP2Limits: Sendable, Hashable {
    /// Concurrent streams of the peer; further ones are refused. Default: 128.
    public var concurrentStreams = 128
    /// The size of a decoded header list, with 32 bytes per field added (RFC 9113, section 6.5.2). Default: 64 KiB. A
    /// larger request is answered with 431; one of more than four times as much closes the connection.
    public var headerList = 64 << 10
    /// Fields of a header list. Default: 128.
    public var fieldCount = 128
    /// The size of an encoded header block, over all of its frames. Default: 64 KiB.
    public var headerBlock = 64 << 10
    /// Frames of one header block. Default: 32.
    public var headerFrames = 32
    /// The payload size of a frame, 16 384 to 16 777 215. Default: 16 KiB, the minimum of the protocol.
    public var frameSize = 16 << 10
    /// The initial receive window of a stream in bytes. Default: 64 KiB.
    public var streamWindow = 64 << 10
    /// The maximum of that window, which grows with the bandwidth-delay product. Default: 1 MiB.
    public var maximumStreamWindow = 1 << 20
    /// The receive window of a connection in bytes. Default: 1 MiB.
    public var connectionWindow = 1 << 20
    /// Frames without useful content (SETTINGS, PING, PRIORITY, WINDOW_UPDATE, empty DATA, unknown ones). Default: a
    /// burst of a thousand, a hundred a second, and some more for each useful frame.
    public var idleFrames = FrameAllowance(burst: 1000, perSecond: 100)
    /// Streams that the peer resets, or causes us to reset or refuse. Default: a burst of 200, 50 a second, and one
    /// more for each successful stream.
    public var resets = FrameAllowance(burst: 200, perSecond: 50)

    /// The limits, each with its default.
    public init() {}
}

/// A limit for frames of a kind: a burst, and a rate.
public struct FrameAllowance: Sendable, Hashable {
    /// The burst.
    public var burst: Int
    /// The long-term rate in frames a second.
    public var perSecond: Int

    /// An allowance.
    public init(burst: Int, perSecond: Int) {
        self.burst = burst
        self.perSecond = perSecond
    }
}
