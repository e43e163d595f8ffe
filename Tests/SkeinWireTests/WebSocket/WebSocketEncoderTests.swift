import NIOCore
import PeerSupport
import Testing

@testable import SkeinWire

/// What one side writes, the other side reads.
@Suite("WebSocket messages")
struct WebSocketEncoderTests {
    @Test("a server's frames are the bytes of section 5.7")
    func examples() throws {
        var encoder = WebSocketEncoder(.server)
        var output = ByteBuffer()
        try encoder.write("Hello", into: &output)
        #expect(Array(output.readableBytesView) == [0x81, 0x05, 0x48, 0x65, 0x6C, 0x6C, 0x6F])
        output.clear()
        encoder.writeFragment(.text, ByteBuffer(string: "Hel"), isFirst: true, isLast: false, into: &output)
        encoder.writeFragment(.text, ByteBuffer(string: "lo"), isFirst: false, isLast: true, into: &output)
        #expect(Array(output.readableBytesView) == [0x01, 0x03, 0x48, 0x65, 0x6C, 0x80, 0x02, 0x6C, 0x6F])
        output.clear()
        try encoder.write(.binary([UInt8](repeating: 0, count: 256)), into: &output)
        #expect(Array(output.readableBytesView.prefix(4)) == [0x82, 0x7E, 0x01, 0x00])
        output.clear()
        try encoder.write(.binary([UInt8](repeating: 0, count: 65_536)), into: &output)
        #expect(Array(output.readableBytesView.prefix(10)) == [0x82, 0x7F, 0, 0, 0, 0, 0, 1, 0, 0])
    }

    @Test("a client uses a new mask each time")
    func masks() throws {
        var encoder = WebSocketEncoder(.client)
        var keys = Set<[UInt8]>()
        for _ in 0..<200 {
            var output = ByteBuffer()
            try encoder.write("a", into: &output)
            keys.insert(Array(output.readableBytesView[2..<6]))
        }
        #expect(keys.count > 195)
    }

    @Test("a Close has an allowed code and at most 125 bytes")
    func closes() {
        func close(_ code: WebSocketCloseCode, _ reason: String = "") -> String {
            var encoder = WebSocketEncoder(.client)
            var output = ByteBuffer()
            encoder.writeClose(WebSocketClosing(code, reason), into: &output)
            return WebSocketOutcome.decode(Array(output.readableBytesView), as: .server).description
        }
        #expect(close(.normal, "bye") == "close 1000 bye")
        #expect(close(.none, "bye") == "close 1005")
        #expect(close(.abnormal) == "close 1005")
        #expect(
            close(.goingAway, String(repeating: "ü", count: 100)) == "close 1001 " + String(repeating: "ü", count: 61))
    }

    @Test("messages of every size in both directions", arguments: [WebSocketRole.client, .server])
    func roundTrips(role: WebSocketRole) throws {
        var encoder = WebSocketEncoder(role)
        var output = ByteBuffer()
        let messages = [0, 1, 7, 8, 9, 125, 126, 127, 1000, 65_535, 65_536, 200_000].map { count in
            WebSocketMessage.binary((0..<count).map { UInt8(truncatingIfNeeded: $0 &* 31) })
        }
        for message in messages { try encoder.write(message, into: &output) }
        for size in [Int.max, 1000, 7] {
            let outcome = WebSocketOutcome.decode(
                Array(output.readableBytesView), as: role == .client ? .server : .client, pieceSize: size)
            #expect(outcome.events == messages.map { .message($0) })
        }
    }

    // MARK: Compression (RFC 7692)

    private static let text = String(repeating: "a thread of many words. ", count: 50)

    @Test(
        "compressed messages, with every window that there is, carried over and not",
        arguments: Array(9...15), [true, false])
    func compressed(bits: Int, startsOver: Bool) throws {
        let compression = WebSocketCompression(
            outgoingWindowBits: bits, outgoingStartsOver: startsOver, incomingWindowBits: bits,
            incomingStartsOver: startsOver)
        var encoder = WebSocketEncoder(.server, compression: compression)
        var output = ByteBuffer()
        var sizes: [Int] = []
        for _ in 0..<3 {
            let before = output.readableBytes
            try encoder.write(.text(Self.text), into: &output)
            sizes.append(output.readableBytes - before)
        }
        #expect(sizes[0] < Self.text.utf8.count / 4)
        #expect(startsOver ? sizes[1] == sizes[0] : sizes[1] < sizes[0])
        for size in [Int.max, 1] {
            let outcome = WebSocketOutcome.decode(
                Array(output.readableBytesView), as: .client, pieceSize: size, compression: compression)
            #expect(outcome.events == Array(repeating: .message(.text(Self.text)), count: 3))
        }
    }

    private static let both = WebSocketCompression()

    /// The examples of section 7.2.3, and violations of the rules.
    private static let frames: [(String, [ScriptedFrame], String)] = [
        ("one block", [.init(0xC1, bytes: [0xF2, 0x48, 0xCD, 0xC9, 0xC9, 0x07, 0x00])], "text Hello"),
        (
            "in fragments", [.init(0x41, bytes: [0xF2, 0x48, 0xCD]), .init(0x80, bytes: [0xC9, 0xC9, 0x07, 0x00])],
            "text Hello"
        ),
        (
            "the window is carried over",
            [
                .init(0xC1, bytes: [0xF2, 0x48, 0xCD, 0xC9, 0xC9, 0x07, 0x00]),
                .init(0xC1, bytes: [0xF2, 0x00, 0x11, 0x00, 0x00]),
            ], "text Hello, text Hello"
        ),
        (
            "a block without compression",
            [.init(0xC1, bytes: [0x00, 0x05, 0x00, 0xFA, 0xFF, 0x48, 0x65, 0x6C, 0x6C, 0x6F, 0x00])], "text Hello"
        ),
        (
            "a last block", [.init(0xC1, bytes: [0xF3, 0x48, 0xCD, 0xC9, 0xC9, 0x07, 0x00, 0x00])], "text Hello"
        ),
        (
            "what follows a last block",
            [
                .init(0xC1, bytes: [0xF3, 0x48, 0xCD, 0xC9, 0xC9, 0x07, 0x00, 0x00]),
                .init(0xC1, bytes: [0xF2, 0x00, 0x11, 0x00, 0x00]),
            ], "text Hello, text Hello"
        ),
        (
            "two blocks",
            [.init(0xC1, bytes: [0xF2, 0x48, 0x05, 0x00, 0x00, 0x00, 0xFF, 0xFF, 0xCA, 0xC9, 0xC9, 0x07, 0x00])],
            "text Hello"
        ),
        ("an empty message", [.init(0xC1, bytes: [0x00])], "text "),
        ("not compressed after all", [.init(0x81, "Hello")], "text Hello"),
        ("RSV1 on a continuation", [.init(0x41, bytes: [0xF2]), .init(0xC0, bytes: [0x48])], "fails with 1002"),
        ("RSV1 on a ping", [.init(0xC9)], "fails with 1002"),
        ("RSV2", [.init(0xE1, bytes: [0x00])], "fails with 1002"),
        ("no deflate", [.init(0xC1, bytes: [0xFF, 0xFF, 0xFF])], "fails with 1007"),
        ("a text that is none", [.init(0xC1, bytes: [0x00, 0x01, 0x00, 0xFE, 0xFF, 0xFF, 0x00])], "fails with 1007"),
    ]

    @Test("compressed frames and the resulting events", arguments: frames)
    func compressedFrames(row: (String, [ScriptedFrame], String)) {
        for role in [WebSocketRole.server, .client] {
            for size in [Int.max, 1] {
                let outcome = WebSocketOutcome.decode(
                    row.1.flatMap { $0.bytes(to: role) }, as: role, pieceSize: size, compression: Self.both)
                #expect(outcome.description == row.2, "\(row.0), as \(role), in pieces of \(size)")
            }
        }
    }

    @Test("a decompression bomb ends at the message limit")
    func bomb() throws {
        var encoder = WebSocketEncoder(.server, compression: Self.both)
        var output = ByteBuffer()
        try encoder.write(.binary(ByteBuffer(repeating: 0, count: 64 << 20)), into: &output)
        #expect(output.readableBytes < 100_000)
        let outcome = WebSocketOutcome.decode(
            Array(output.readableBytesView), as: .client, compression: Self.both)
        #expect(outcome.code == .messageTooLarge)
    }

    @Test("mutated frames cause no crash and no hang", arguments: [WebSocketCompression?.none, both])
    func fuzzed(compression: WebSocketCompression?) async throws {
        var mutator = Mutator(random: SeededGenerator(seed: 23))
        var encoder = WebSocketEncoder(.client, compression: compression, compressionThreshold: 1)
        var good = ByteBuffer()
        for message in [WebSocketMessage.text(Self.text), "", "ä€😀", .binary([0, 1, 2])] {
            try encoder.write(message, into: &good)
        }
        encoder.writeFragment(.text, ByteBuffer(string: "a"), isFirst: true, isLast: false, into: &good)
        encoder.writeControl(.ping, ByteBuffer(string: "p"), into: &good)
        encoder.writeFragment(.text, ByteBuffer(string: "b"), isFirst: false, isLast: true, into: &good)
        encoder.writeClose(WebSocketClosing(.normal, "bye"), into: &good)
        let bytes = Array(good.readableBytesView)
        var refused = 0
        for number in 0..<(FuzzTests.inputs / 8) {
            if number % 100 == 0 { await Task.yield() }  // other tests are waiting for the thread
            let input = mutator.mutate(bytes, with: bytes)
            let size = number % 3 == 0 ? Int.max : Int.random(in: 1...64, using: &mutator.random)
            let outcome = WebSocketOutcome.decode(input, as: .server, pieceSize: size, compression: compression)
            #expect(outcome.events.count <= input.count)
            if outcome.code != nil { refused += 1 }
        }
        #expect(refused > FuzzTests.inputs / 40)
    }
}
