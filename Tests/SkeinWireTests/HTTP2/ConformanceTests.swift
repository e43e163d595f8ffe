import NIOCore
import PeerSupport
import SkeinWire
import Testing

/// What RFC 9113 requires of an endpoint whose peer violates a rule: the frames, and the reaction.
struct Violation: CustomTestStringConvertible, Sendable {
    enum Reaction: Equatable {
        case connection(HTTP2ErrorCode)
        case stream(UInt32, HTTP2ErrorCode)
        case none
    }

    let rule: String
    let reaction: Reaction
    let write: @Sendable (inout Frames) -> Void

    init(_ rule: String, _ reaction: Reaction, _ write: @escaping @Sendable (inout Frames) -> Void) {
        self.rule = rule
        self.reaction = reaction
        self.write = write
    }

    var testDescription: String { rule }
}

private typealias Rule = Violation

@Suite("RFC 9113, requirements for a server")
struct ServerConformanceTests {
    static let frames: [Violation] = [
        Rule("4.1: unknown frame types are ignored", .none) { $0.raw(0xFE, flags: 0xFF, stream: 3, [1, 2]) },
        Rule("4.1: unknown flags are ignored", .none) { $0.raw(6, flags: 0x16, [1, 2, 3, 4, 5, 6, 7, 8]) },
        Rule("4.1: the reserved bit is ignored", .none) {
            $0.raw(6, stream: 0x8000_0000, Array(repeating: 0, count: 8))
        },
        Rule("4.2: a frame over the maximum size", .connection(.frameSizeError)) { $0.raw(0xFE, [], length: 16_385) },
        Rule("4.2: HEADERS over the maximum size", .connection(.frameSizeError)) {
            $0.raw(1, flags: 5, stream: 1, [], length: 70_000)
        },
        Rule("4.3: a header block that cannot be unpacked", .connection(.compressionError)) {
            $0.raw(1, flags: 5, stream: 1, [0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x7F])
        },
        Rule("4.3: an index beyond the table", .connection(.compressionError)) {
            $0.raw(1, flags: 5, stream: 1, [0xFD])
        },
        Rule("5.1: DATA on an idle stream", .connection(.protocolError)) { $0.data(1, 1) },
        Rule("5.1: RST_STREAM on an idle stream", .connection(.protocolError)) { $0.reset(1) },
        Rule("5.1: WINDOW_UPDATE on an idle stream", .connection(.protocolError)) { $0.windowUpdate(1, 1) },
        Rule("5.1: PRIORITY on an idle stream is allowed", .none) { $0.raw(2, stream: 1, [0, 0, 0, 3, 9]) },
        Rule("5.1: DATA after END_STREAM", .stream(1, .streamClosed)) {
            $0.headers(1, Frames.get)
            $0.data(1, 1)
        },
        Rule("5.1: HEADERS after END_STREAM", .stream(1, .streamClosed)) {
            $0.headers(1, Frames.get)
            $0.headers(1, [("a", "b")])
        },
        Rule("5.1: WINDOW_UPDATE after END_STREAM is allowed", .none) {
            $0.headers(1, Frames.get)
            $0.windowUpdate(1, 1)
        },
        Rule("5.1: DATA after RST_STREAM", .connection(.streamClosed)) {
            $0.headers(1, Frames.post, flags: Frames.endHeaders)
            $0.reset(1)
            $0.data(1, 1)
        },
        Rule("5.1: WINDOW_UPDATE and RST_STREAM on a closed stream are allowed", .none) {
            $0.headers(1, Frames.post, flags: Frames.endHeaders)
            $0.reset(1)
            $0.windowUpdate(1, 1)
            $0.reset(1)
        },
        Rule("5.1.1: a stream of an even number", .connection(.protocolError)) { $0.headers(2, Frames.get) },
        Rule("5.1.1: a stream below one that was opened", .connection(.streamClosed)) {
            $0.headers(5, Frames.get)
            $0.headers(3, Frames.get)
        },
        Rule("5.3.1: a stream that depends on itself", .connection(.protocolError)) {
            $0.raw(1, flags: 0x25, stream: 1, [0, 0, 0, 1, 9] + $0.block(Frames.get))
        },
        Rule("6.1: DATA on stream 0", .connection(.protocolError)) { $0.data(0, 1) },
        Rule("6.1: DATA with padding longer than the frame", .connection(.protocolError)) {
            $0.headers(1, Frames.post, flags: Frames.endHeaders)
            $0.raw(0, flags: Frames.padded, stream: 1, [4, 1, 2, 3])
        },
        Rule("6.1: padded DATA", .none) {
            $0.headers(1, Frames.post, flags: Frames.endHeaders)
            $0.raw(0, flags: Frames.padded | Frames.end, stream: 1, [2, 1, 0, 0])
        },
        Rule("6.1: padded DATA of no length", .connection(.frameSizeError)) {
            $0.headers(1, Frames.post, flags: Frames.endHeaders)
            $0.raw(0, flags: Frames.padded, stream: 1)
        },
        Rule("6.2: HEADERS on stream 0", .connection(.protocolError)) { $0.headers(0, Frames.get) },
        Rule("6.2: HEADERS with padding longer than the frame", .connection(.protocolError)) {
            $0.raw(1, flags: 5 | Frames.padded, stream: 1, [200] + $0.block(Frames.get))
        },
        Rule("6.2: HEADERS too short for their priority", .connection(.frameSizeError)) {
            $0.raw(1, flags: 5 | Frames.priority, stream: 1, [0, 0])
        },
        Rule("6.2: padded HEADERS with priority", .none) {
            $0.raw(1, flags: 0x2D, stream: 1, [2, 0, 0, 0, 0, 9] + $0.block(Frames.get) + [0, 0])
        },
        Rule("6.3: PRIORITY on stream 0", .connection(.protocolError)) { $0.raw(2, [0, 0, 0, 3, 9]) },
        Rule("6.3: PRIORITY of a wrong size", .stream(1, .frameSizeError)) {
            $0.headers(1, Frames.post, flags: Frames.endHeaders)
            $0.raw(2, stream: 1, [0, 0])
        },
        Rule("6.4: RST_STREAM on stream 0", .connection(.protocolError)) { $0.reset(0) },
        Rule("6.4: RST_STREAM of a wrong size", .connection(.frameSizeError)) {
            $0.headers(1, Frames.get)
            $0.raw(3, stream: 1, [0])
        },
        Rule("6.5: SETTINGS on a stream", .connection(.protocolError)) { $0.raw(4, stream: 1) },
        Rule("6.5: SETTINGS of a wrong size", .connection(.frameSizeError)) { $0.raw(4, [0, 1, 2]) },
        Rule("6.5: an acknowledgement with a payload", .connection(.frameSizeError)) {
            $0.raw(4, flags: Frames.ack, [0, 1, 0, 0, 0, 0])
        },
        Rule("6.5.2: ENABLE_PUSH of 2", .connection(.protocolError)) { $0.settings([(2, 2)]) },
        Rule("6.5.2: INITIAL_WINDOW_SIZE above 2^31-1", .connection(.flowControlError)) { $0.settings([(4, 1 << 31)]) },
        Rule("6.5.2: MAX_FRAME_SIZE below 16384", .connection(.protocolError)) { $0.settings([(5, 16_383)]) },
        Rule("6.5.2: MAX_FRAME_SIZE above 16777215", .connection(.protocolError)) { $0.settings([(5, 1 << 24)]) },
        Rule("6.5.2: unknown settings are ignored", .none) { $0.settings([(0xFF, 1), (0xFFFF, .max)]) },
        Rule("RFC 8441, 3: ENABLE_CONNECT_PROTOCOL of 2", .connection(.protocolError)) { $0.settings([(8, 2)]) },
        Rule("6.6: a client pushes", .connection(.protocolError)) {
            $0.headers(1, Frames.get)
            $0.raw(5, flags: Frames.endHeaders, stream: 1, [0, 0, 0, 2] + $0.block(Frames.get))
        },
        Rule("6.7: PING on a stream", .connection(.protocolError)) {
            $0.raw(6, stream: 1, Array(repeating: 0, count: 8))
        },
        Rule("6.7: PING of a wrong size", .connection(.frameSizeError)) { $0.raw(6, [0, 1, 2]) },
        Rule("6.8: GOAWAY on a stream", .connection(.protocolError)) {
            $0.raw(7, stream: 1, Array(repeating: 0, count: 8))
        },
        Rule("6.8: GOAWAY of a wrong size", .connection(.frameSizeError)) { $0.raw(7, [0, 0]) },
        Rule("6.9: WINDOW_UPDATE of a wrong size", .connection(.frameSizeError)) { $0.raw(8, [0, 0, 1]) },
        Rule("6.9: WINDOW_UPDATE of 0 on the connection", .connection(.protocolError)) { $0.windowUpdate(0, 0) },
        Rule("6.9: WINDOW_UPDATE of 0 on a stream", .stream(1, .protocolError)) {
            $0.headers(1, Frames.get)
            $0.windowUpdate(1, 0)
        },
        Rule("6.9.1: the connection's window above 2^31-1", .connection(.flowControlError)) {
            $0.windowUpdate(0, 0x7FFF_FFFF)
        },
        Rule("6.9.1: a stream's window above 2^31-1", .stream(1, .flowControlError)) {
            $0.headers(1, Frames.get)
            $0.windowUpdate(1, 0x7FFF_FFFF)
        },
        Rule("6.9.2: a change of settings that makes a window too large", .connection(.flowControlError)) {
            $0.headers(1, Frames.get)
            $0.windowUpdate(1, 0x7FFF_0000)
            $0.settings([(4, 0x7FFF_FFFF)])
        },
        Rule("6.10: CONTINUATION without HEADERS", .connection(.protocolError)) { $0.raw(9, flags: 4, stream: 1) },
        Rule("6.10: CONTINUATION behind END_HEADERS", .connection(.protocolError)) {
            $0.headers(1, Frames.get)
            $0.raw(9, flags: 4, stream: 1)
        },
        Rule("6.10: another frame in a header block", .connection(.protocolError)) {
            $0.raw(1, flags: 1, stream: 1, $0.block(Frames.get))
            $0.raw(6, Array(repeating: 0, count: 8))
        },
        Rule("6.10: CONTINUATION of another stream", .connection(.protocolError)) {
            $0.raw(1, flags: 1, stream: 1, $0.block(Frames.get))
            $0.raw(9, flags: 4, stream: 3)
        },
        Rule("6.10: a header block in three frames", .none) {
            let block = $0.block(Frames.get)
            $0.raw(1, flags: 1, stream: 1, Array(block[..<1]))
            $0.raw(9, stream: 1, Array(block[1..<2]))
            $0.raw(9, flags: 4, stream: 1, Array(block[2...]))
        },
        Rule("RFC 9218, 7.1: PRIORITY_UPDATE on a stream", .connection(.protocolError)) {
            $0.raw(0x10, stream: 1, [0, 0, 0, 1])
        },
        Rule("RFC 9218, 7.1: PRIORITY_UPDATE too short", .connection(.frameSizeError)) { $0.raw(0x10, [0, 0]) },
    ]

    private static func request(_ change: (inout [(String, String)]) -> Void) -> [(String, String)] {
        var fields = Frames.get
        change(&fields)
        return fields
    }

    private static let faults: [(String, @Sendable (inout [(String, String)]) -> Void)] = [
        ("8.2.1: an upper-case name", { $0.append(("X-Test", "a")) }),
        ("8.2.1: a name with a space", { $0.append(("x test", "a")) }),
        ("8.2.1: a value with a line break", { $0.append(("x", "a\r\nb: c")) }),
        ("8.2.1: a value with NUL", { $0.append(("x", "a\0")) }),
        ("8.2.1: a value that starts with a blank", { $0.append(("x", " a")) }),
        ("8.2.1: a value that ends with a tab", { $0.append(("x", "a\t")) }),
        ("8.2.2: Connection", { $0.append(("connection", "close")) }),
        ("8.2.2: Keep-Alive", { $0.append(("keep-alive", "1")) }),
        ("8.2.2: Proxy-Connection", { $0.append(("proxy-connection", "close")) }),
        ("8.2.2: Transfer-Encoding", { $0.append(("transfer-encoding", "chunked")) }),
        ("8.2.2: Upgrade", { $0.append(("upgrade", "h2c")) }),
        ("8.2.2: TE other than trailers", { $0.append(("te", "gzip")) }),
        ("8.3: an unknown pseudo-field", { $0.append((":test", "a")) }),
        ("8.3: a response's pseudo-field", { $0.append((":status", "200")) }),
        ("8.3: a pseudo-field behind a field", { $0.insert(("x", "a"), at: 0) }),
        ("8.3.1: no :method", { $0.removeAll { $0.0 == ":method" } }),
        ("8.3.1: no :scheme", { $0.removeAll { $0.0 == ":scheme" } }),
        ("8.3.1: no :path", { $0.removeAll { $0.0 == ":path" } }),
        ("8.3.1: an empty :path", { $0[2].1 = "" }),
        ("8.3.1: a :path without a slash", { $0[2].1 = "a" }),
        ("8.3.1: a :path with a space", { $0[2].1 = "/a b" }),
        ("8.3.1: two :method", { $0.insert((":method", "GET"), at: 0) }),
        ("8.3.1: two :scheme", { $0.insert((":scheme", "http"), at: 0) }),
        ("8.3.1: two :path", { $0.insert((":path", "/"), at: 0) }),
        ("8.3.1: user information in :authority", { $0[3].1 = "u@a" }),
        ("8.3.1: neither :authority nor Host", { $0.removeLast() }),
        ("8.3.1: a Host that differs from :authority", { $0.append(("host", "b")) }),
        ("8.3.1: an invalid method", { $0[0].1 = "G T" }),
        ("8.5: CONNECT with a :path", { $0[0].1 = "CONNECT" }),
        (
            "8.5: :protocol that was not allowed",
            {
                $0[0].1 = "CONNECT"; $0.append((":protocol", "websocket"))
            }
        ),
        ("8.1.1: a Content-Length without content", { $0.append(("content-length", "3")) }),
        ("8.1.1: a Content-Length that is not a number", { $0.append(("content-length", "+0")) }),
    ]

    static let messages = faults.map { rule, change in
        Violation(rule, .stream(1, .protocolError)) { $0.headers(1, request(change)) }
    }

    static let bodies: [Violation] = [
        Rule("8.1: a second head", .stream(1, .protocolError)) {
            $0.headers(1, Frames.post, flags: Frames.endHeaders)
            $0.headers(1, [("x", "a")], flags: Frames.endHeaders)
        },
        Rule("8.1: trailers with a pseudo-field", .stream(1, .protocolError)) {
            $0.headers(1, Frames.post, flags: Frames.endHeaders)
            $0.headers(1, [(":method", "GET")])
        },
        Rule("8.1: trailers with a framing field", .stream(1, .protocolError)) {
            $0.headers(1, Frames.post, flags: Frames.endHeaders)
            $0.headers(1, [("content-length", "0")])
        },
        Rule("8.1: trailers", .none) {
            $0.headers(1, Frames.post, flags: Frames.endHeaders)
            $0.data(1, 4)
            $0.headers(1, [("x-checksum", "a")])
        },
        Rule("8.1.1: more content than announced", .stream(1, .protocolError)) {
            $0.headers(1, Frames.post + [("content-length", "3")], flags: Frames.endHeaders)
            $0.data(1, 4)
        },
        Rule("8.1.1: less content than announced", .stream(1, .protocolError)) {
            $0.headers(1, Frames.post + [("content-length", "3")], flags: Frames.endHeaders)
            $0.data(1, 2, flags: Frames.end)
        },
        Rule("8.1.1: less content than announced, before trailers", .stream(1, .protocolError)) {
            $0.headers(1, Frames.post + [("content-length", "3")], flags: Frames.endHeaders)
            $0.data(1, 2)
            $0.headers(1, [("x", "a")])
        },
        Rule("8.1.1: content in several frames, as announced", .none) {
            $0.headers(1, Frames.post + [("content-length", "5")], flags: Frames.endHeaders)
            $0.data(1, 2)
            $0.data(1, 3, flags: Frames.end)
        },
        Rule("6.9.1: more DATA than a stream's window", .stream(1, .flowControlError)) {
            $0.headers(1, Frames.post, flags: Frames.endHeaders)
            for _ in 0..<5 { $0.data(1, 16_384) }
        },
        Rule("8.3.1: OPTIONS for the server", .none) {
            $0.headers(1, [(":method", "OPTIONS"), (":scheme", "http"), (":path", "*"), (":authority", "a")])
        },
        Rule("8.5: CONNECT", .none) { $0.headers(1, [(":method", "CONNECT"), (":authority", "a:443")], flags: 4) },
    ]

    @Test("frames", arguments: frames + messages + bodies)
    func reaction(_ violation: Violation) {
        // At once, and one byte at a time: a frame that is split anywhere means the same.
        for step in [Int.max, 1] {
            var engine = HTTP2Engine.server()
            var frames = Frames()
            violation.write(&frames)
            check(violation, &engine, frames.take(), step: step)
        }
    }

    @Test("3.4: a client without the preface and SETTINGS is not an HTTP/2 client")
    func preface() {
        for isSettings in [true, false] {
            var engine = HTTP2Engine(.server, at: .uptimeNanoseconds(0))
            var frames = Frames()
            if isSettings {
                frames.preface()
                frames.raw(6, Array(repeating: 0, count: 8))
            } else {
                frames.raw(4)
            }
            #expect(engine.feed(frames.take()).error?.code == .protocolError)
            #expect(WrittenFrame.all(of: &engine).last?.code == .protocolError)
        }
    }

    @Test("5.1.2: a stream over the limit is refused, and may be opened again later")
    func streamsOverTheLimit() throws {
        var limits = HTTP2Limits()
        limits.concurrentStreams = 2
        var engine = HTTP2Engine.server(limits: limits)
        var frames = Frames()
        for id in [1, 3, 5] as [UInt32] { frames.headers(id, Frames.get) }
        let (events, error) = engine.feed(frames.take())
        #expect(error == nil)
        #expect(events.count == 2)
        #expect(WrittenFrame.all(of: &engine).filter { $0.type == 3 }.map(\.code) == [.refusedStream])
        guard case .request(let stream, _) = events[0] else { throw ConformanceError() }
        try engine.respond(.ok, headers: Headers(), contentType: nil, length: 0, date: nil, isLast: true, on: stream)
        frames.headers(7, Frames.get)
        #expect(engine.feed(frames.take()).events.count == 1)
    }

    @Test("8.2.3: cookie crumbs are joined to one field; 8.3.1: :authority is the Host")
    func requestFields() throws {
        var engine = HTTP2Engine.server()
        var frames = Frames()
        frames.headers(1, Frames.get + [("cookie", "a=1"), ("x", "y"), ("cookie", "b=2")])
        guard case .request(_, let head)? = engine.feed(frames.take()).events.first else { throw ConformanceError() }
        #expect(head.headers["Cookie"] == "a=1; b=2")
        #expect(head.headers["Host"] == "a")
        #expect(head.target == "/")
        #expect(head.version == .http2)
        #expect(head.bodyLength == .none)
    }

    @Test("RFC 8441: an extended CONNECT names its protocol if enabled")
    func extendedConnect() throws {
        var engine = HTTP2Engine(.server, allowsExtendedConnect: true, at: .uptimeNanoseconds(0))
        var frames = Frames()
        frames.preface()
        frames.settings()
        frames.headers(
            1,
            [
                (":method", "CONNECT"), (":protocol", "websocket"), (":scheme", "http"), (":path", "/chat"),
                (":authority", "a"),
            ], flags: Frames.endHeaders)
        let events = engine.feed(frames.take()).events
        guard case .request(_, let head)? = events.last else { throw ConformanceError() }
        #expect(head.protocolName == "websocket")
        #expect(head.target == "/chat")
        #expect(WrittenFrame.all(of: &engine).first?.payload.suffix(6) == [0, 8, 0, 0, 0, 1])
    }
}

@Suite("RFC 9113, requirements for a client")
struct ClientConformanceTests {
    static let ok = [(":status", "200")]

    static let frames: [Violation] = [
        Rule("6.5.2: a server that allows pushes to itself", .connection(.protocolError)) { $0.settings([(2, 1)]) },
        Rule("6.6: a push that was not allowed", .connection(.protocolError)) {
            $0.raw(5, flags: Frames.endHeaders, stream: 1, [0, 0, 0, 2] + $0.block(Frames.get))
        },
        Rule("5.1.1: a response on a stream that was not opened", .connection(.protocolError)) { $0.headers(3, ok) },
        Rule("5.1.1: a server opens a stream", .connection(.protocolError)) { $0.headers(2, ok) },
        Rule("8.1: DATA before the head", .stream(1, .protocolError)) { $0.data(1, 1) },
        Rule("8.1: a final head behind interim ones", .none) {
            $0.headers(1, [(":status", "103"), ("link", "</a>")], flags: Frames.endHeaders)
            $0.headers(1, ok)
        },
        Rule("8.1: an interim head that ends the stream", .stream(1, .protocolError)) {
            $0.headers(1, [(":status", "103")])
        },
        Rule("8.1: trailers that do not end the stream", .stream(1, .protocolError)) {
            $0.headers(1, ok, flags: Frames.endHeaders)
            $0.headers(1, [("x", "a")], flags: Frames.endHeaders)
        },
        Rule("8.3.2: no :status", .stream(1, .protocolError)) { $0.headers(1, [("x", "a")]) },
        Rule("8.3.2: a :status of two digits", .stream(1, .protocolError)) { $0.headers(1, [(":status", "20")]) },
        Rule("8.3.2: a request's pseudo-field", .stream(1, .protocolError)) { $0.headers(1, ok + [(":path", "/")]) },
        Rule("8.6: a 101", .stream(1, .protocolError)) { $0.headers(1, [(":status", "101")], flags: 4) },
        Rule("8.1.1: a Content-Length without content", .stream(1, .protocolError)) {
            $0.headers(1, ok + [("content-length", "3")])
        },
        Rule("8.1.1: a 304 may have a Content-Length", .none) {
            $0.headers(1, [(":status", "304"), ("content-length", "3")])
        },
        Rule("5.1: DATA behind the end", .connection(.streamClosed)) {
            $0.headers(1, ok)
            $0.data(1, 1)
        },
        Rule("RFC 9218, 7.1: PRIORITY_UPDATE from a server", .connection(.protocolError)) {
            $0.raw(0x10, [0, 0, 0, 1])
        },
    ]

    @Test("frames", arguments: frames)
    func reaction(_ violation: Violation) throws {
        for step in [Int.max, 1] {
            var engine = HTTP2Engine.client()
            _ = try engine.ask()
            engine.output.clear()
            var frames = Frames()
            violation.write(&frames)
            check(violation, &engine, frames.take(), step: step)
        }
    }

    @Test("6.8: streams unprocessed by a GOAWAY may be retried; others are still answered")
    func goAway() throws {
        var engine = HTTP2Engine.client()
        for _ in 0..<3 { _ = try engine.ask() }
        var frames = Frames()
        frames.goAway(3)
        frames.headers(1, Self.ok)
        frames.headers(3, Self.ok)
        let (events, error) = engine.feed(frames.take())
        #expect(error == nil)
        let unprocessed = events.filter {
            if case .reset(let stream, let reset) = $0 { reset.isUnprocessed && stream.id == 5 } else { false }
        }
        #expect(unprocessed.count == 1)
        #expect(events.filter { if case .response = $0 { true } else { false } }.count == 2)
        #expect(engine.canOpen == false)
        #expect(engine.isDrained == true)
    }

    @Test("8.4: a promise is an event, and its response arrives on the promised stream")
    func push() throws {
        var engine = HTTP2Engine.client(acceptsPush: true)
        _ = try engine.ask()
        var frames = Frames()
        frames.raw(5, flags: Frames.endHeaders, stream: 1, [0, 0, 0, 2] + frames.block(Frames.get))
        frames.headers(2, Self.ok)
        frames.headers(1, Self.ok)
        let events = engine.feed(frames.take()).events
        guard case .promise(let promised, let parent, let head)? = events.first else { throw ConformanceError() }
        #expect(promised.id == 2 && parent.id == 1 && head.target == "/")
        guard case .response(let stream, _) = events[1] else { throw ConformanceError() }
        #expect(stream == promised)
    }

    @Test("5.1.2: no more streams are opened than the server allows")
    func streamLimit() throws {
        var engine = HTTP2Engine.client(settings: [(3, 2)])
        let first = try engine.ask()
        #expect(engine.canOpen == true)
        _ = try engine.ask()
        #expect(engine.canOpen == false)
        engine.cancel(first, .cancel)
        #expect(engine.canOpen == true)
    }
}

struct ConformanceError: Error {}

private func check(
    _ violation: Violation, _ engine: inout HTTP2Engine, _ bytes: ByteBuffer, step: Int,
    location: SourceLocation = #_sourceLocation
) {
    var rest = bytes
    var failure: HTTP2Error?
    while failure == nil, rest.readableBytes > 0, let piece = rest.readSlice(length: min(step, rest.readableBytes)) {
        failure = engine.feed(piece).error
    }
    let frames = WrittenFrame.all(of: &engine)
    let resets = frames.filter { $0.type == 3 }
    switch violation.reaction {
    case .connection(let code):
        #expect(failure?.code == code, sourceLocation: location)
        #expect(frames.last?.type == 7 && frames.last?.code == code, sourceLocation: location)
    case .stream(let id, let code):
        #expect(failure == nil, sourceLocation: location)
        #expect(resets.map(\.stream) == [id] && resets.first?.code == code, sourceLocation: location)
    case .none:
        #expect(failure == nil, sourceLocation: location)
        #expect(resets.isEmpty, sourceLocation: location)
    }
}
