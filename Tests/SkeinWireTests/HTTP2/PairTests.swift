import NIOCore
import PeerSupport
import SkeinWire
import Testing

/// A client and a server of ours, connected in memory, with bytes split anywhere.
@Suite("HTTP/2 in memory")
struct PairTests {
    private final class Pair {
        var client: HTTP2Engine
        var server: HTTP2Engine
        var random: SeededGenerator
        var received: [UInt32: Int] = [:]
        var answered: [UInt32: Int] = [:]
        var trailers: [UInt32: String] = [:]
        var serverTrailers: [UInt32: String] = [:]

        init(seed: UInt64, limits: HTTP2Limits = HTTP2Limits()) {
            client = HTTP2Engine(.client, limits: limits, at: .uptimeNanoseconds(0))
            server = HTTP2Engine(.server, limits: limits, at: .uptimeNanoseconds(0))
            random = SeededGenerator(seed: seed)
        }

        /// Transfers bytes until there are none left.
        func run() throws {
            while true {
                let forth = take(&client)
                let back = take(&server)
                if forth.readableBytes == 0, back.readableBytes == 0 { return }
                try pieces(of: forth) { piece in
                    server.append(piece, at: .uptimeNanoseconds(0))
                    while let event = try server.next() { try serve(event) }
                }
                try pieces(of: back) { piece in
                    client.append(piece, at: .uptimeNanoseconds(0))
                    while let event = try client.next() { collect(event) }
                }
            }
        }

        private func take(_ engine: inout HTTP2Engine) -> ByteBuffer {
            engine.fill(at: .uptimeNanoseconds(0))
            defer { engine.output.clear() }
            return engine.output
        }

        /// Splits bytes at random.
        private func pieces(of bytes: ByteBuffer, _ deliver: (ByteBuffer) throws -> Void) rethrows {
            var rest = bytes
            while rest.readableBytes > 0 {
                let length = min(rest.readableBytes, Int.random(in: 1...40_000, using: &random))
                guard let piece = rest.readSlice(length: length) else { return }
                try deliver(piece)
            }
        }

        private func serve(_ event: HTTP2Engine.Event) throws {
            switch event {
            case .request(let stream, let head):
                received[stream.id] = 0
                if head.bodyLength == .none { try answer(stream) }
            case .data(let stream, let bytes, let isLast):
                received[stream.id, default: 0] += bytes.readableBytes
                server.consumed(bytes.readableBytes, on: stream)
                if isLast { try answer(stream) }
            case .trailers(let stream, let trailers):
                serverTrailers[stream.id] = trailers["x-sum"]
                try answer(stream)
            case .reset: throw ConformanceError()
            default: break
            }
        }

        private func answer(_ stream: HTTP2Stream) throws {
            try server.respond(
                .ok, headers: ["X-Number": "\(stream.id)"], contentType: "text/plain", length: nil, date: "now",
                isLast: false, on: stream)
            server.send(ByteBuffer(repeating: 1, count: received[stream.id] ?? 0), isLast: false, on: stream)
            try server.finish(["x-sum": "\(received[stream.id] ?? 0)"], on: stream)
        }

        private func collect(_ event: HTTP2Engine.Event) {
            switch event {
            case .response(let stream, _): answered[stream.id] = 0
            case .data(let stream, let bytes, _):
                answered[stream.id, default: 0] += bytes.readableBytes
                client.consumed(bytes.readableBytes, on: stream)
            case .trailers(let stream, let fields): trailers[stream.id] = fields["x-sum"]
            default: break
            }
        }
    }

    @Test("a hundred streams with content and trailers both ways", arguments: [1, 2, 3])
    func exchange(seed: UInt64) throws {
        let pair = Pair(seed: seed)
        try pair.run()
        var sizes: [UInt32: Int] = [:]
        for number in 0..<100 {
            let size = [0, 1, 16_384, 16_385, 70_000, 300_000][number % 6]
            let stream = try pair.client.open(
                method: .post, scheme: "http", authority: "a", path: "/\(number)", headers: ["X-A": "b"],
                bodyLength: size > 0 && number % 2 == 0 ? .known(size) : .streamed, hasTrailers: true)
            pair.client.send(ByteBuffer(repeating: 1, count: size), isLast: false, on: stream)
            try pair.client.finish(["x-sum": "\(size)"], on: stream)
            sizes[stream.id] = size
            if number % 7 == 0 { try pair.run() }
        }
        try pair.run()
        #expect(pair.received == sizes)
        #expect(pair.answered == sizes)
        #expect(pair.trailers == sizes.mapValues { "\($0)" })
        #expect(pair.serverTrailers == sizes.mapValues { "\($0)" })
        #expect(pair.client.streamCount == 0 && pair.server.streamCount == 0)
    }

    @Test("a graceful shutdown: two GOAWAYs, between which requests in transit are still answered")
    func shutdown() throws {
        let pair = Pair(seed: 1)
        try pair.run()
        pair.server.beginShutdown()
        // In transit before the client has received it.
        _ = try pair.client.ask()
        try pair.run()
        #expect(pair.answered == [1: 0])
        #expect(pair.client.canOpen == false)
        #expect(pair.server.isDrained == true)
        #expect(pair.client.isDrained == true)
    }

    @Test("large content through windows of 64 KiB")
    func largeBody() async throws {
        var limits = HTTP2Limits()
        limits.maximumStreamWindow = limits.streamWindow
        let pair = Pair(seed: 9, limits: limits)
        try pair.run()
        let stream = try pair.client.ask(.post, body: .streamed)
        // The same megabyte repeatedly: the test is about the windows, not the memory.
        let megabyte = ByteBuffer(repeating: 7, count: 1 << 20)
        for number in 0..<128 {
            pair.client.send(megabyte, isLast: number == 127, on: stream)
            if number % 8 == 7 {
                try pair.run()
                await Task.yield()
            }
        }
        #expect(pair.received[stream.id] == 128 << 20)
        #expect(pair.answered[stream.id] == 128 << 20)
    }
}
