import NIOCore
import PeerSupport
import SkeinWire
import Testing

/// Windows in both directions, and the order of the streams.
@Suite("HTTP/2 flow control and scheduling")
struct FlowControlTests {
    private func request(_ engine: inout HTTP2Engine, _ frames: inout Frames) throws -> HTTP2Stream {
        guard case .request(let stream, _)? = engine.feed(frames.take()).events.last else { throw ConformanceError() }
        return stream
    }

    private func respond(_ engine: inout HTTP2Engine, _ stream: HTTP2Stream, bytes: Int) throws {
        try engine.respond(
            .ok, headers: Headers(), contentType: nil, length: bytes, date: nil, isLast: false, on: stream)
        engine.send(ByteBuffer(repeating: 0x78, count: bytes), isLast: true, on: stream)
    }

    /// The engine's current output, taken as a socket would.
    private func drain(_ engine: inout HTTP2Engine) -> [WrittenFrame] {
        var frames: [WrittenFrame] = []
        while true {
            engine.fill(at: .uptimeNanoseconds(0))
            if engine.output.readableBytes == 0 { return frames }
            frames += WrittenFrame.all(of: &engine)
        }
    }

    @Test("no more is sent than the windows of stream and connection allow")
    func sendWindows() throws {
        var engine = HTTP2Engine.server()
        var frames = Frames()
        frames.headers(1, Frames.get)
        let stream = try request(&engine, &frames)
        try respond(&engine, stream, bytes: 200_000)
        func sent(_ frames: [WrittenFrame]) -> Int {
            frames.filter { $0.type == 0 }.reduce(0) { $0 + $1.payload.count }
        }
        #expect(sent(drain(&engine)) == 65_535)
        frames.windowUpdate(1, 100_000)
        _ = engine.feed(frames.take())
        #expect(sent(drain(&engine)) == 0)
        frames.windowUpdate(0, 50_000)
        _ = engine.feed(frames.take())
        #expect(sent(drain(&engine)) == 50_000)
        // A smaller initial window makes this one negative (section 6.9.2).
        frames.settings([(4, 1000)])
        frames.windowUpdate(0, 1_000_000)
        frames.windowUpdate(1, 14_535)
        _ = engine.feed(frames.take())
        #expect(sent(drain(&engine)) == 0)
        frames.windowUpdate(1, 1)
        _ = engine.feed(frames.take())
        #expect(sent(drain(&engine)) == 1)
        frames.windowUpdate(1, 1_000_000)
        _ = engine.feed(frames.take())
        let rest = drain(&engine)
        #expect(sent(rest) == 84_464)
        #expect(rest.last?.flags == Frames.end)
        #expect(engine.streamCount == 0)
    }

    @Test("no frame exceeds the peer's maximum")
    func frameSizes() throws {
        var engine = HTTP2Engine.server(settings: [(4, 1 << 20), (5, 20_000)])
        var frames = Frames()
        frames.windowUpdate(0, 1 << 20)
        frames.headers(1, Frames.get)
        let stream = try request(&engine, &frames)
        try engine.respond(
            .ok, headers: ["x": String(repeating: "~", count: 30_000)], contentType: nil, length: nil, date: nil,
            isLast: false, on: stream)
        engine.send(ByteBuffer(repeating: 0x78, count: 100_000), isLast: true, on: stream)
        let written = drain(&engine)
        #expect(written.map(\.payload.count).max() == 20_000)
        #expect(written.filter { $0.type == 9 }.count == 2)
        #expect(written.filter { $0.type == 0 }.count == 5)
    }

    @Test("consumed bytes are returned at half a window; unconsumed ones are not")
    func receiveWindow() throws {
        var limits = HTTP2Limits()
        limits.streamWindow = 40_000
        var engine = HTTP2Engine.server(limits: limits)
        var frames = Frames()
        frames.headers(1, Frames.post, flags: Frames.endHeaders)
        let stream = try request(&engine, &frames)
        frames.data(1, 16_000)
        frames.data(1, 16_000)
        _ = engine.feed(frames.take())
        #expect(drain(&engine).isEmpty)
        engine.consumed(19_999, on: stream)
        #expect(drain(&engine).isEmpty)
        engine.consumed(1, on: stream)
        let written = drain(&engine)
        #expect(written.first == WrittenFrame(type: 8, flags: 0, stream: 1, payload: Frames.payload([20_000])))
    }

    @Test("windows grow while a transfer fills them within a round trip, up to a limit")
    func growth() throws {
        var limits = HTTP2Limits()
        limits.streamWindow = 32_000
        limits.maximumStreamWindow = 100_000
        var engine = HTTP2Engine.server(limits: limits)
        var frames = Frames()
        frames.headers(1, Frames.post, flags: Frames.endHeaders)
        let stream = try request(&engine, &frames)
        var sizes: [[UInt8]] = []
        for _ in 0..<40 {
            frames.data(1, 16_000)
            _ = engine.feed(frames.take())
            engine.consumed(16_000, on: stream)
            for frame in drain(&engine) {
                if frame.type == 4 { sizes.append(frame.payload) }
                // The measurement's answer is two frames late.
                guard frame.type == 6 else { continue }
                frames.data(1, 16_000)
                frames.data(1, 16_000)
                frames.raw(6, flags: Frames.ack, frame.payload)
                #expect(engine.feed(frames.take()).error == nil)
                engine.consumed(32_000, on: stream)
            }
        }
        #expect(sizes.count >= 1)
        #expect(sizes.first == [0, 4, 0, 0, 0xFA, 0])
    }

    @Test("by urgency first; within one urgency round robin, or sequentially if the client says so")
    func priorities() throws {
        var engine = HTTP2Engine.server(settings: [(4, 1 << 20)])
        var frames = Frames()
        frames.windowUpdate(0, 1 << 20)
        let fields = ["u=5", "u=5", "u=1, i", "u=1, i", ""]
        var streams: [HTTP2Stream] = []
        for (number, field) in fields.enumerated() {
            frames.headers(UInt32(2 * number + 1), Frames.get + (field.isEmpty ? [] : [("priority", field)]))
            streams.append(try request(&engine, &frames))
        }
        for stream in streams {
            try engine.respond(
                .ok, headers: Headers(), contentType: nil, length: nil, date: nil, isLast: false, on: stream)
        }
        for stream in streams { engine.send(ByteBuffer(repeating: 1, count: 40_000), isLast: true, on: stream) }
        let order = drain(&engine).filter { $0.type == 0 }.map(\.stream)
        #expect(order == [5, 7, 5, 7, 5, 7, 9, 9, 9, 1, 1, 1, 3, 3, 3])
    }

    @Test("a PRIORITY_UPDATE changes the order during sending")
    func reprioritisation() throws {
        var engine = HTTP2Engine.server(settings: [(4, 1 << 20)])
        var frames = Frames()
        frames.windowUpdate(0, 1 << 20)
        for id in [1, 3] as [UInt32] {
            frames.headers(id, Frames.get)
            try respond(&engine, try request(&engine, &frames), bytes: 40_000)
        }
        frames.raw(0x10, Frames.payload([3]) + Array("u=0".utf8))
        _ = engine.feed(frames.take())
        #expect(drain(&engine).filter { $0.type == 0 }.map(\.stream) == [3, 3, 3, 1, 1, 1])
    }

    @Test("a stalled stream is reset, one with a slow consumer is not")
    func stalls() throws {
        var engine = HTTP2Engine.server()
        var frames = Frames()
        frames.headers(1, Frames.get)
        try respond(&engine, try request(&engine, &frames), bytes: 100_000)
        frames.headers(3, Frames.post, flags: Frames.endHeaders)
        frames.headers(5, Frames.post, flags: Frames.endHeaders)
        for _ in 0..<4 { frames.data(5, 16_384) }
        _ = engine.feed(frames.take())
        _ = drain(&engine)
        engine.resetStalled(before: .uptimeNanoseconds(1))
        #expect(drain(&engine).filter { $0.type == 3 }.map(\.stream) == [1, 3])
    }
}
