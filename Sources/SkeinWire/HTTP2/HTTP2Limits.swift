// What an HTTP/2 peer may make us hold, do or answer.

/// Limits of an HTTP/2 connection. What they stop ends the stream or, where the peer wastes our time, the connection with
/// ENHANCE_YOUR_CALM.
public struct HTTP2Limits: Sendable, Hashable {
    /// Streams that the peer may have open at one time; further ones are refused. Default: 128.
    public var concurrentStreams = 128
    /// Bytes of a header list, unpacked, counted with 32 more a field (RFC 9113, section 6.5.2). Default: 64 KiB. A larger
    /// request is answered with 431; one of more than four times as much ends the connection.
    public var headerList = 64 << 10
    /// Fields of a header list. Default: 128.
    public var fieldCount = 128
    /// Bytes of a header block as it is sent, over all of its frames. Default: 64 KiB.
    public var headerBlock = 64 << 10
    /// Frames of one header block. Default: 32.
    public var headerFrames = 32
    /// Bytes of a frame's payload, 16 384 to 16 777 215. Default: 16 KiB, the least that the protocol allows.
    public var frameSize = 16 << 10
    /// Bytes that may be under way to us on a new stream. Default: 64 KiB.
    public var streamWindow = 64 << 10
    /// Bytes up to which that window grows while a connection shows that it needs it. Default: 1 MiB.
    public var maximumStreamWindow = 1 << 20
    /// Bytes that may be under way to us on all streams of a connection. Default: 1 MiB.
    public var connectionWindow = 1 << 20
    /// Frames that carry nothing (SETTINGS, PING, PRIORITY, WINDOW_UPDATE, empty DATA, unknown ones). Default: a thousand
    /// at once, a hundred a second, and some more for each frame that carries something.
    public var idleFrames = FrameAllowance(burst: 1000, perSecond: 100)
    /// Streams that the peer resets, or makes us reset or refuse. Default: 200 at once, 50 a second, and one more for each
    /// that ends well.
    public var resets = FrameAllowance(burst: 200, perSecond: 50)

    /// The limits, each with its default.
    public init() {}
}

/// How many frames of a kind are borne: so many at once, and so many a second.
public struct FrameAllowance: Sendable, Hashable {
    /// Frames at once.
    public var burst: Int
    /// Frames a second in the long run.
    public var perSecond: Int

    /// An allowance.
    public init(burst: Int, perSecond: Int) {
        self.burst = burst
        self.perSecond = perSecond
    }
}
