// HTTP/2 without I/O, for both sides: bytes in, events out; commands in, bytes out. It implements RFC 9113 in this
// value and its extensions: `+Receiving` parses frames, `+Messages` handles header blocks, `+Sending` writes,
// `+Connection` handles connection-level frames.

import DequeModule
import NIOCore
import SkeinCore

/// One side of an HTTP/2 connection (RFC 9113).
///
/// Append received bytes and take events until there are none; give commands; write ``output`` to the socket after
/// each.
/// After an error is thrown, write the output once more (it holds the GOAWAY) and close.
///
/// Not copyable: a connection has one, and accesses must not copy its tables.
package struct HTTP2Engine: ~Copyable {
    /// An event caused by the peer.
    package enum Event {
        /// A request; if its head announces no content, the stream's receiving side has ended.
        case request(HTTP2Stream, RequestHead)
        /// A request with a header list over the limit; the owner responds with 431 only.
        case oversizedRequest(HTTP2Stream)
        /// An interim response: 100, 103.
        case informational(HTTP2Stream, ResponseHead)
        /// A response; if its head announces no content, the receiving side has ended.
        case response(HTTP2Stream, ResponseHead)
        /// Content. Consumed bytes must be reported by ``HTTP2Engine/consumed(_:on:)``.
        case data(HTTP2Stream, ByteBuffer, isLast: Bool)
        /// The message ends with trailers.
        case trailers(HTTP2Stream, Headers)
        /// The stream ended early.
        case reset(HTTP2Stream, StreamReset)
        /// The server promises the response to a pushed request; the response arrives on the new stream.
        case promise(HTTP2Stream, on: HTTP2Stream, RequestHead)
        /// Few pending bytes are left on a stream whose owner has requested this event.
        case drained(HTTP2Stream)
        /// The peer has sent settings: the limit of streams may have changed.
        case settings
        /// The peer accepts no more streams.
        case goAway(HTTP2ErrorCode, String)
        /// The acknowledgement of the owner's ping.
        case pong
    }

    /// The early end of a stream.
    package struct StreamReset: Error, Equatable {
        package let code: HTTP2ErrorCode
        package let reason: String
        package let byPeer: Bool
        /// Whether the peer has not processed the request, so that it may be sent again.
        package let isUnprocessed: Bool
    }

    /// The state of parsing.
    enum Reading {
        case preface
        case frame
        /// The rest of a DATA frame, passed on as it arrives.
        case data(DataRest)
        case skip(Int)
    }

    struct DataRest {
        let id: UInt32
        var left: Int
        let padding: Int
        let isLast: Bool
    }

    /// An incomplete header block.
    struct OpenBlock {
        let stream: UInt32
        let isLast: Bool
        /// The stream that the block promises.
        let promised: UInt32?
        var bytes: ByteBuffer
        var frames = 1
    }

    /// The progress of the shutdown.
    enum Leaving: Equatable {
        case no
        /// The peer is told to open no more streams, but may not know it yet.
        case announced
        /// Streams above this one are ignored.
        case above(UInt32)
    }

    let role: HTTP2Role
    let limits: HTTP2Limits
    let acceptsPush: Bool
    let allowsExtendedConnect: Bool

    var input = ByteBuffer()
    var now: NIODeadline
    var reading: Reading
    var openBlock: OpenBlock?
    var fields: FieldBlockDecoder
    var hasPeerSettings = false
    var idleFrames: FloodGuard
    var resets: FloodGuard

    /// The bytes for the socket. The owner takes them and leaves it empty.
    package var output = ByteBuffer()
    var packer = FieldBlockEncoder()
    var schedule = SendSchedule()
    var sendWindow = FlowWindow(65_535)
    /// Bytes of content sent on all streams, and their number at a moment, for the connection's rate.
    var sentBytes = 0
    var rateMark: (at: NIODeadline, sent: Int, wasSlow: Bool)?

    var events = Deque<Event>()
    var streams = StreamTable()
    /// The peer's settings.
    package internal(set) var peer = HTTP2Settings()
    var highestOfPeer: UInt32 = 0
    var nextOfOurs: UInt32
    /// Streams that we have reset, on which late frames are not errors.
    var lately = RecentStreams()

    var receiveWindow = FlowWindow(65_535)
    var unannounced = 0
    var windows: ReceiveWindows

    var leaving = Leaving.no
    var peerLeaves = false
    package internal(set) var hasFailed = false

    /// One side of a new connection; its first bytes are in ``output``.
    /// - Parameters:
    ///   - acceptsPush: as a client, whether pushes are accepted.
    ///   - allowsExtendedConnect: as a server, whether extended CONNECT is supported (RFC 8441).
    package init(
        _ role: HTTP2Role, limits: HTTP2Limits = HTTP2Limits(), acceptsPush: Bool = false,
        allowsExtendedConnect: Bool = false, at now: NIODeadline
    ) {
        self.role = role
        self.limits = limits
        self.acceptsPush = acceptsPush
        self.allowsExtendedConnect = allowsExtendedConnect
        self.now = now
        reading = role == .server ? .preface : .frame
        nextOfOurs = role == .server ? 2 : 1
        fields = FieldBlockDecoder(limits: limits)
        idleFrames = FloodGuard(limits.idleFrames, now: now)
        resets = FloodGuard(limits.resets, now: now)
        windows = ReceiveWindows(limits)
        introduce()
    }

    /// Adds received bytes.
    package mutating func append(_ bytes: ByteBuffer, at now: NIODeadline) {
        self.now = now
        if !hasFailed { input.absorb(bytes) }
    }

    /// The next event, or nil until more bytes arrive.
    /// - Throws: the violation; the connection ends with it.
    package mutating func next() throws(HTTP2Error) -> Event? {
        if let event = events.popFirst() { return event }
        if hasFailed { return nil }
        streams.recycle()
        do {
            while true {
                switch try readNext() {
                case .event(let event): return event
                case .more: if let event = events.popFirst() { return event }
                case .starved: return nil
                }
            }
        } catch {
            fail(error)
            throw error
        }
    }

    /// Open streams.
    package var streamCount: Int { streams.count }

    /// Whether a stream may be opened now.
    package var canOpen: Bool {
        !peerLeaves && !hasFailed && leaving == .no && nextOfOurs <= UInt32(FlowWindow.maximum)
            && streams.oursCount < (hasPeerSettings ? peer.maximumConcurrentStreams : 100)
    }

    /// Whether streams may be opened now or after others have ended.
    package var takesStreams: Bool {
        !peerLeaves && !hasFailed && leaving == .no && nextOfOurs <= UInt32(FlowWindow.maximum)
    }

    /// Whether the peer's settings have arrived.
    package var isSettled: Bool { hasPeerSettings }

    /// Whether the shutdown is complete.
    package var isDrained: Bool {
        guard streams.count == 0 else { return false }
        if case .above = leaving { return true }
        return peerLeaves
    }
}

/// The streams that were reset recently; older ones are dropped.
struct RecentStreams {
    private var ids = Set<UInt32>()
    private var order = Deque<UInt32>()

    func contains(_ id: UInt32) -> Bool { ids.contains(id) }

    mutating func insert(_ id: UInt32) {
        guard ids.insert(id).inserted else { return }
        order.append(id)
        if order.count > 1024, let oldest = order.popFirst() { ids.remove(oldest) }
    }
}
