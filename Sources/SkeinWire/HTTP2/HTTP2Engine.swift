// HTTP/2 without I/O, for both sides: bytes in, events out; commands in, bytes out. All of RFC 9113 that two peers can
// see of each other is in this value and its extensions: `+Receiving` reads frames, `+Messages` turns header blocks into
// heads, `+Sending` writes, `+Connection` looks after what belongs to no stream.

import DequeModule
import NIOCore
import SkeinCore

/// One side of an HTTP/2 connection (RFC 9113).
///
/// Append what arrives and take events until there are none; give commands; write ``output`` to the socket after each.
/// After an error is thrown, write the output once more (it holds the GOAWAY) and close.
///
/// Not copyable: a connection has one, and a question to it must not cost a copy of all its tables.
package struct HTTP2Engine: ~Copyable {
    /// What the peer did.
    package enum Event {
        /// A client asks; without content when the head says so, and then the stream's receiving half has ended.
        case request(HTTP2Stream, RequestHead)
        /// A client asks with a header list over the limit; the owner answers with 431 and nothing else.
        case oversizedRequest(HTTP2Stream)
        /// An interim response: 100, 103.
        case informational(HTTP2Stream, ResponseHead)
        /// The server answers; without content when the head says so.
        case response(HTTP2Stream, ResponseHead)
        /// Content. What is consumed has to be given back by ``HTTP2Engine/consumed(_:on:)``.
        case data(HTTP2Stream, ByteBuffer, isLast: Bool)
        /// The message ends with trailers.
        case trailers(HTTP2Stream, Headers)
        /// The stream is over before its messages are.
        case reset(HTTP2Stream, StreamReset)
        /// The server promises the response to a request that it made up; the response comes on the new stream.
        case promise(HTTP2Stream, on: HTTP2Stream, RequestHead)
        /// Little is left of what was to be sent on a stream whose owner wants to know.
        case drained(HTTP2Stream)
        /// The peer has announced settings: how many streams may be opened may have changed.
        case settings
        /// The peer takes no more streams.
        case goAway(HTTP2ErrorCode, String)
        /// The answer to a ping of the owner's.
        case pong
    }

    /// How a stream ended before its time.
    package struct StreamReset: Error, Equatable {
        package let code: HTTP2ErrorCode
        package let reason: String
        package let byPeer: Bool
        /// Whether the peer has done nothing about the request, so that it may be sent again.
        package let isUnprocessed: Bool
    }

    /// What the next bytes of the peer are.
    enum Reading {
        case preface
        case frame
        /// The rest of a DATA frame, handed on as it arrives.
        case data(DataRest)
        case skip(Int)
    }

    struct DataRest {
        let id: UInt32
        var left: Int
        let padding: Int
        let isLast: Bool
    }

    /// A header block whose frames have not all arrived.
    struct OpenBlock {
        let stream: UInt32
        let isLast: Bool
        /// The stream that the block promises.
        let promised: UInt32?
        var bytes: ByteBuffer
        var frames = 1
    }

    /// How far the connection's end has come.
    enum Leaving: Equatable {
        case no
        /// The peer is told to open no more streams, but may not have heard of it.
        case announced
        /// Streams above this one are not looked at any more.
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

    /// What is to be written to the socket. The owner takes it and leaves it empty.
    package var output = ByteBuffer()
    var packer = FieldBlockEncoder()
    var schedule = SendSchedule()
    var sendWindow = FlowWindow(65_535)
    /// Bytes of content sent on all streams, and how many there were at a moment: what the connection's rate is judged by.
    var sentBytes = 0
    var rateMark: (at: NIODeadline, sent: Int, wasSlow: Bool)?

    var events = Deque<Event>()
    var streams = StreamTable()
    /// What the peer has announced.
    package internal(set) var peer = HTTP2Settings()
    var highestOfPeer: UInt32 = 0
    var nextOfOurs: UInt32
    /// Streams that we have reset, whose late frames are nobody's fault.
    var lately = RecentStreams()

    var receiveWindow = FlowWindow(65_535)
    var unannounced = 0
    var windows: ReceiveWindows

    var leaving = Leaving.no
    var peerLeaves = false
    package internal(set) var hasFailed = false

    /// A side of a new connection; what it says first is in ``output``.
    /// - Parameters:
    ///   - acceptsPush: as a client, whether promised responses are wanted.
    ///   - allowsExtendedConnect: as a server, whether CONNECT may ask for a protocol (RFC 8441).
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

    /// Takes bytes as they arrived.
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

    /// Whether streams may be opened now or when others have ended.
    package var takesStreams: Bool {
        !peerLeaves && !hasFailed && leaving == .no && nextOfOurs <= UInt32(FlowWindow.maximum)
    }

    /// Whether the peer has said what it allows.
    package var isSettled: Bool { hasPeerSettings }

    /// Whether nothing is under way and nothing more will be.
    package var isDrained: Bool {
        guard streams.count == 0 else { return false }
        if case .above = leaving { return true }
        return peerLeaves
    }
}

/// The latest streams that were reset here; older ones are forgotten.
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
