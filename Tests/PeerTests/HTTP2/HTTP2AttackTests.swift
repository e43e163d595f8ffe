import Foundation
import NIOCore
import PeerSupport
import SkeinEngine
import Testing

/// Attacks on a running server: it reports the reason, closes, releases everything, and serves the next client.
@Suite("HTTP/2 attacks", .serialized, .inTurn, .timeLimit(.minutes(5)))
struct HTTP2AttackTests {
    struct Attack: CustomTestStringConvertible, Sendable {
        let testDescription: String
        let reaction: UInt32
        let write: @Sendable (inout Frames, UInt32) -> Void

        init(_ name: String, reaction: UInt32 = 11, _ write: @escaping @Sendable (inout Frames, UInt32) -> Void) {
            testDescription = name
            self.reaction = reaction
            self.write = write
        }
    }

    static let attacks = [
        Attack("rapid reset") { frames, number in
            frames.raw(1, flags: 5, stream: 2 * number + 1, Frames.plainGet)
            frames.reset(2 * number + 1, 8)
        },
        Attack("requests that never end, over the limit of streams") { frames, number in
            frames.raw(1, flags: Frames.endHeaders, stream: 2 * number + 1, Frames.plainGet)
        },
        Attack("SETTINGS") { frames, _ in frames.settings([(4, 70_000)]) },
        Attack("PING") { frames, _ in frames.raw(6, Array(repeating: 1, count: 8)) },
        Attack("empty DATA") { frames, number in
            if number == 0 { frames.headers(1, Frames.post, flags: Frames.endHeaders) }
            frames.data(1, 0)
        },
        Attack("CONTINUATION") { frames, number in
            if number == 0 { frames.raw(1, stream: 1) }
            frames.raw(9, stream: 1, Array(repeating: 0x82, count: 100))
        },
        Attack("a table of header bombs") { frames, number in
            let bomb = [("x-bomb", String(repeating: "~", count: 3900))]
            let block = number == 0 ? Frames.plainGet + frames.block(bomb) : Frames.plainGet
            frames.raw(1, flags: 5, stream: 2 * number + 1, block + Array(repeating: 0xBE, count: 300))
        },
        Attack("a window that overflows", reaction: 3) { frames, _ in frames.windowUpdate(0, 0x7FFF_FFFF) },
    ]

    /// In a separate process, so that its memory is not shared with other tests.
    @Test("a hundred thousand frames", arguments: attacks)
    func attack(_ attack: Attack) async throws {
        let server = try PeerProcess(
            CommandTests.skein, ["respond", "hello world", "--listen", "127.0.0.1:0"],
            log: TestFolder.path("respond.log"))
        let address = try await server.untilPrinted("listening on 127.0.0.1:")
        let port = try #require(Int(address))
        var frames = Frames()
        frames.preface()
        frames.settings()
        for number in 0..<100_000 as Range<UInt32> { attack.write(&frames, number) }
        #expect(try await runToEnd("curl", ["-sS", "http://127.0.0.1:\(port)/"]).output == "hello world")
        let before = try server.residentBytes
        let client = try await RawClient.connect(port)
        try? await client.send(frames.take())
        #expect(lastCode(await client.bytesToEnd()) == attack.reaction)
        let grown = try server.residentBytes - before
        #expect(grown < 16 << 20, "\(grown >> 10) KiB")
        #expect(try await runToEnd("curl", ["-sS", "http://127.0.0.1:\(port)/"]).output == "hello world")
        #expect(await server.stop() == 0)
    }

    @Test("a client that does not read loses its streams, and a silent one its connection")
    func stalls() async throws {
        try await ServerTests.serving {
            $0.bodyTimeout = .milliseconds(300)
            $0.headerTimeout = .seconds(3)
            $0.keepAliveTimeout = .milliseconds(300)
        } _: { port in
            let silent = try await RawClient.connect(port)
            try await silent.send("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
            let stalled = try await RawClient.connect(port)
            var frames = Frames()
            frames.preface()
            frames.settings([(4, 0)])
            for number in 0..<100 as Range<UInt32> {
                frames.headers(2 * number + 1, Frames.get.map { $0.0 == ":path" ? ($0.0, "/large") : $0 })
            }
            frames.headers(201, Frames.post.map { $0.0 == ":path" ? ($0.0, "/echo") : $0 }, flags: Frames.endHeaders)
            try await stalled.send(frames.take())
            _ = await silent.bytesToEnd()
            let written = all(await stalled.bytesToEnd())
            #expect(written.filter { $0.type == 3 }.count == 101)
            let idle = try await RawClient.connect(port)
            frames.preface()
            frames.settings()
            try await idle.send(frames.take())
            #expect(lastCode(await idle.bytesToEnd()) == 0)
        }
    }

    private func all(_ bytes: ByteBuffer) -> [(type: UInt8, payload: [UInt8])] {
        var bytes = bytes
        var frames: [(type: UInt8, payload: [UInt8])] = []
        while let (head, _, _) = bytes.readMultipleIntegers(as: (UInt32, UInt8, UInt32).self) {
            frames.append((UInt8(truncatingIfNeeded: head), bytes.readBytes(length: Int(head >> 8)) ?? []))
        }
        return frames
    }

    /// The code of the last GOAWAY.
    private func lastCode(_ bytes: ByteBuffer) -> UInt32? {
        all(bytes).last { $0.type == 7 }?.payload[4..<8].reduce(0) { $0 << 8 | UInt32($1) }
    }
}
