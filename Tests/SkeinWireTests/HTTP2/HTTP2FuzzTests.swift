import NIOCore
import PeerSupport
import SkeinWire
import Testing

extension FuzzTests {
    /// Exchanges with every kind of frame, as bytes of the peer.
    private static let conversations: [[UInt8]] = {
        let violations =
            ServerConformanceTests.frames + ServerConformanceTests.messages + ServerConformanceTests.bodies
            + ClientConformanceTests.frames
        return violations.map { violation in
            var frames = Frames()
            frames.settings([(4, 70_000), (3, 10)])
            violation.write(&frames)
            frames.headers(7, Frames.post, flags: Frames.endHeaders)
            frames.data(7, 20, flags: Frames.end)
            return Array(frames.take().readableBytesView)
        }
    }()

    @Test("mutated HTTP/2 conversations", arguments: [5, 6])
    func http2(seed: UInt64) async throws {
        var mutator = Mutator(random: SeededGenerator(seed: seed))
        var failed = 0
        let preface = Array("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".utf8)
        for number in 0..<(Self.inputs / 4) {
            if number % 100 == 0 { await Task.yield() }
            let seeds = Self.conversations
            let input = mutator.mutate(seeds[number % seeds.count], with: seeds[(number / 7) % seeds.count])
            let isServer = number % 2 == 0
            var engine = HTTP2Engine(isServer ? .server : .client, acceptsPush: true, at: .uptimeNanoseconds(0))
            if !isServer { for _ in 0..<3 { _ = try engine.ask(.post, body: .streamed) } }
            if !drive(&engine, isServer ? preface + input : input, &mutator.random) { failed += 1 }
        }
        #expect(failed > Self.inputs / 100)
    }

    /// Feeds an input in two pieces and responds to requests, with commands that may come too late.
    /// - Returns: whether the engine accepted all of it.
    private func drive(_ engine: inout HTTP2Engine, _ input: [UInt8], _ random: inout SeededGenerator) -> Bool {
        let cut = Int.random(in: 0...input.count, using: &random)
        var streams: [HTTP2Stream] = []
        var events = 0
        for piece in [input[..<cut], input[cut...]] {
            let (seen, error) = engine.feed(ByteBuffer(bytes: piece))
            events += seen.count
            for event in seen {
                switch event {
                case .request(let stream, _), .oversizedRequest(let stream), .reset(let stream, _),
                    .response(let stream, _), .promise(let stream, _, _):
                    streams.append(stream)
                case .data(let stream, let bytes, _): engine.consumed(bytes.readableBytes, on: stream)
                default: break
                }
            }
            for stream in streams {
                switch Int.random(in: 0..<6, using: &random) {
                case 0: engine.cancel(stream, .cancel)
                case 1: try? engine.finish(["x": "y"], on: stream)
                case 2: engine.send(ByteBuffer(repeating: 1, count: 100_000), isLast: false, on: stream)
                default:
                    try? engine.respond(
                        .ok, headers: ["A": "b"], contentType: nil, length: 3, date: nil, isLast: false, on: stream)
                    engine.send(ByteBuffer(repeating: 1, count: 3), isLast: true, on: stream)
                }
            }
            engine.fill(at: .uptimeNanoseconds(0))
            engine.output.clear()
            if error != nil { return false }
        }
        if events > input.count + 2 { Issue.record("more events than bytes: \(input)") }
        return true
    }
}
