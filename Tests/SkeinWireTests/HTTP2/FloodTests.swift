import NIOCore
import PeerSupport
import SkeinWire
import Testing

/// Attacks that are cheap for the attacker: each ends the connection with ENHANCE_YOUR_CALM after a bounded amount of
/// work.
@Suite("HTTP/2 floods")
struct FloodTests {
    struct Attack: CustomTestStringConvertible, Sendable {
        let testDescription: String
        let write: @Sendable (inout Frames, UInt32) -> Void

        init(_ name: String, _ write: @escaping @Sendable (inout Frames, UInt32) -> Void) {
            testDescription = name
            self.write = write
        }
    }

    static let attacks = [
        Attack("rapid reset") { frames, number in
            frames.headers(2 * number + 1, Frames.get)
            frames.reset(2 * number + 1)
        },
        Attack("resets provoked by malformed requests") { frames, number in
            frames.headers(2 * number + 1, [(":method", "GET")])
        },
        Attack("resets provoked by wrong windows") { frames, number in
            frames.headers(2 * number + 1, Frames.get)
            frames.windowUpdate(2 * number + 1, 0)
        },
        Attack("streams over the limit") { frames, number in
            frames.headers(2 * number + 1, Frames.post, flags: Frames.endHeaders)
        },
        Attack("SETTINGS") { frames, _ in frames.settings() },
        Attack("acknowledgements") { frames, _ in frames.settingsAck() },
        Attack("PING") { frames, _ in frames.raw(6, Array(repeating: 1, count: 8)) },
        Attack("answers to PINGs never sent") { frames, _ in
            frames.raw(6, flags: Frames.ack, Array(repeating: 1, count: 8))
        },
        Attack("PRIORITY") { frames, number in frames.raw(2, stream: 2 * number + 1, [0, 0, 0, 0, 1]) },
        Attack("PRIORITY_UPDATE") { frames, number in frames.raw(0x10, [0, 0, 0, 1, 0x75, 0x3D, 0x31]) },
        Attack("WINDOW_UPDATE") { frames, _ in frames.windowUpdate(0, 1) },
        Attack("GOAWAY") { frames, _ in frames.goAway(0) },
        Attack("unknown frames") { frames, _ in frames.raw(0xAA) },
        Attack("empty DATA") { frames, number in
            if number == 0 { frames.headers(1, Frames.post, flags: Frames.endHeaders) }
            frames.data(1, 0)
        },
        Attack("empty CONTINUATION") { frames, number in
            if number == 0 { frames.raw(1, flags: 0, stream: 1) }
            frames.raw(9, stream: 1)
        },
        Attack("CONTINUATION that never ends") { frames, number in
            if number == 0 { frames.raw(1, flags: 0, stream: 1) }
            frames.raw(9, stream: 1, Array(repeating: 0x82, count: 1000))
        },
    ]

    @Test("a hundred thousand frames", arguments: attacks)
    func flood(_ attack: Attack) {
        var engine = HTTP2Engine.server()
        var frames = Frames()
        var written = 0
        for number in 0..<100_000 as Range<UInt32> {
            attack.write(&frames, number)
            let (_, error) = engine.feed(frames.take())
            written += engine.output.readableBytes
            guard let error else {
                engine.output.clear()
                continue
            }
            #expect(error.code == .enhanceYourCalm)
            #expect(WrittenFrame.all(of: &engine).last?.code == .enhanceYourCalm)
            #expect(number < 3000)
            #expect(written < 256 << 10)
            return
        }
        Issue.record("the attack was borne to its end")
    }

    @Test("time and useful work refill the allowances")
    func allowance() {
        var engine = HTTP2Engine.server()
        var frames = Frames()
        // One ping a second, without limit.
        for second in 0..<5000 as Range<UInt64> {
            frames.raw(6, Array(repeating: 1, count: 8))
            #expect(engine.feed(frames.take(), at: .uptimeNanoseconds(second * 1_000_000_000)).error == nil)
        }
        // And one for each request.
        for number in 0..<5000 as Range<UInt32> {
            frames.raw(6, Array(repeating: 1, count: 8))
            frames.headers(2 * number + 1, Frames.get)
            for case .request(let stream, _) in engine.feed(frames.take(), at: .uptimeNanoseconds(5000 * 1_000_000_000))
                .events
            {
                try? engine.respond(
                    .ok, headers: Headers(), contentType: nil, length: 0, date: nil, isLast: true, on: stream)
            }
            engine.output.clear()
        }
        #expect(engine.hasFailed == false)
    }

    @Test("a header list over the limit is answered with 431, a far larger one ends the connection")
    func headerBombs() {
        // One large field in the table, then one-byte references to it.
        for (copies, isFatal) in [(20, false), (200, true)] {
            var engine = HTTP2Engine.server()
            var frames = Frames()
            let block = frames.block(Frames.get + [("x-bomb", String(repeating: "~", count: 3900))])
            frames.raw(1, flags: 5, stream: 1, block + Array(repeating: 0xBE, count: copies))
            let (events, error) = engine.feed(frames.take())
            if isFatal {
                #expect(error?.code == .enhanceYourCalm)
            } else {
                #expect(error == nil)
                guard case .oversizedRequest? = events.first else {
                    Issue.record("no event for the request")
                    return
                }
            }
        }
    }
}
