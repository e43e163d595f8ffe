import NIOCore
import Testing

@testable import SkeinWire

/// The rules of RFC 6455, sections 5 to 8, as frames and their results, in both roles, whole and byte by byte.
@Suite("WebSocket frames")
struct WebSocketDecoderTests {
    typealias Row = (String, [ScriptedFrame], String)

    private static let long = String(repeating: "x", count: 126)

    /// 5.2: the head.
    static let heads: [Row] = [
        ("an unmasked text", [.init(0x81, "Hello")], "text Hello"),
        ("an empty text", [.init(0x81)], "text "),
        ("125 bytes", [.init(0x81, String(long.dropLast()))], "text \(long.dropLast())"),
        ("126 bytes, in two", [.init(0x81, long)], "text \(long)"),
        ("65 536 bytes, in eight", [.init(0x82, bytes: .init(repeating: 0, count: 65_536))], "binary 65536 bytes"),
        ("a length in more bytes than it needs: 2", [.init(0x81, bytes: [65], lengthBytes: 2)], "fails with 1002"),
        ("a length in more bytes than it needs: 8", [.init(0x81, bytes: [65], lengthBytes: 8)], "fails with 1002"),
        ("the highest bit of a length", [.init(0x82, bytes: [], claim: 1 << 63)], "fails with 1002"),
        ("a frame over the limit", [.init(0x82, bytes: [], claim: 1 << 40)], "fails with 1009"),
        ("RSV1 without an extension", [.init(0xC1, "a")], "fails with 1002"),
        ("RSV2", [.init(0xA1, "a")], "fails with 1002"),
        ("RSV3", [.init(0x91, "a")], "fails with 1002"),
        ("RSV1 on a control frame", [.init(0xC9, "a")], "fails with 1002"),
        ("the other side's masking", [.init(0x81, bytes: [65], isMaskedWrongly: true)], "fails with 1002"),
        ("what came before a violation", [.init(0x81, "a"), .init(0x83)], "text a, fails with 1002"),
    ]

    /// 5.4: fragments.
    static let fragments: [Row] = [
        ("two", [.init(0x01, "Hel"), .init(0x80, "lo")], "text Hello"),
        ("three, of bytes", [.init(0x02, "a"), .init(0x00, "b"), .init(0x80, "c")], "binary 3 bytes"),
        ("empty ones", [.init(0x01), .init(0x00), .init(0x80)], "text "),
        ("a ping between", [.init(0x01, "a"), .init(0x89, "p"), .init(0x80, "b")], "ping p, text ab"),
        ("a pong between", [.init(0x01, "a"), .init(0x8A, "p"), .init(0x80, "b")], "pong p, text ab"),
        ("a close between", [.init(0x01, "a"), .init(0x88), .init(0x80, "b")], "close 1005"),
        ("a continuation of nothing", [.init(0x80, "a")], "fails with 1002"),
        ("an open continuation of nothing", [.init(0x00, "a")], "fails with 1002"),
        ("a continuation behind the end", [.init(0x81, "a"), .init(0x80, "b")], "text a, fails with 1002"),
        ("a message in a message", [.init(0x01, "a"), .init(0x81, "b")], "fails with 1002"),
        ("bytes in a text", [.init(0x01, "a"), .init(0x02, "b")], "fails with 1002"),
    ]

    /// 5.5: control frames.
    static let controls: [Row] = [
        ("a ping", [.init(0x89, "p")], "ping p"), ("an empty ping", [.init(0x89)], "ping "),
        ("a ping of 125 bytes", [.init(0x89, String(long.dropLast()))], "ping \(long.dropLast())"),
        ("a ping of 126 bytes", [.init(0x89, long)], "fails with 1002"),
        ("a pong that nobody asked for", [.init(0x8A, "p")], "pong p"),
        ("a pong of 126 bytes", [.init(0x8A, long)], "fails with 1002"),
        ("a ping in fragments", [.init(0x09, "p"), .init(0x80, "q")], "fails with 1002"),
        ("a close in fragments", [.init(0x08)], "fails with 1002"),
        (
            "a close of 126 bytes", [.init(0x88, bytes: [3, 0xE8] + .init(repeating: 65, count: 124))],
            "fails with 1002"
        ),
        ("a close", [.init(0x88, bytes: [3, 0xE8])], "close 1000"),
        ("a close with a reason", [.init(0x88, bytes: [3, 0xE9] + Array("bye".utf8))], "close 1001 bye"),
        ("a close without a code", [.init(0x88)], "close 1005"),
        ("a close with half a code", [.init(0x88, bytes: [3])], "fails with 1002"),
        ("a close whose reason is no text", [.init(0x88, bytes: [3, 0xE8, 0xFF])], "fails with 1007"),
        ("what follows a close", [.init(0x88), .init(0x81, "a"), .init(0x83)], "close 1005"),
    ]

    /// 5.6, 8.1: texts.
    static let texts: [Row] = [
        ("a character over two frames", [.init(0x01, bytes: [0xE2, 0x82]), .init(0x80, bytes: [0xAC])], "text €"),
        ("half a character", [.init(0x81, bytes: [0xE2, 0x82])], "fails with 1007"),
        (
            "half a character at the end of fragments", [.init(0x01, "a"), .init(0x80, bytes: [0xE2])],
            "fails with 1007"
        ),
        ("a byte that no text has", [.init(0x81, bytes: [0xFF])], "fails with 1007"),
        ("an overlong slash", [.init(0x81, bytes: [0xC0, 0xAF])], "fails with 1007"),
        ("an overlong euro", [.init(0x81, bytes: [0xF0, 0x82, 0x82, 0xAC])], "fails with 1007"),
        ("half a surrogate pair", [.init(0x81, bytes: [0xED, 0xA0, 0x80])], "fails with 1007"),
        ("above U+10FFFF", [.init(0x81, bytes: [0xF4, 0x90, 0x80, 0x80])], "fails with 1007"),
        (
            "the last character", [.init(0x81, "\u{10FFFF}\u{D7FF}\u{E000}\u{800}")],
            "text \u{10FFFF}\u{D7FF}\u{E000}\u{800}"
        ),
        ("wrong before the end is here", [.init(0x01, bytes: [0x61, 0xFF])], "fails with 1007"),
        ("wrong in a frame whose end is not here", [.init(0x81, bytes: [0xFF], claim: 100)], "fails with 1007"),
        ("bytes are no text", [.init(0x82, bytes: [0xFF])], "binary 1 bytes"),
    ]

    @Test("frames and the resulting events", arguments: heads + fragments + controls + texts)
    func rule(row: Row) {
        let (name, frames, expected) = row
        for role in [WebSocketRole.server, .client] {
            for size in [Int.max, 1, 3] {
                let outcome = WebSocketOutcome.decode(frames, as: role, pieceSize: size)
                #expect(outcome.description == expected, "\(name), as \(role), in pieces of \(size)")
            }
        }
    }

    @Test("unknown opcodes", arguments: [3, 4, 5, 6, 7, 11, 12, 13, 14, 15] as [UInt8])
    func reserved(opcode: UInt8) {
        for role in [WebSocketRole.server, .client] {
            #expect(WebSocketOutcome.decode([.init(0x80 | opcode)], as: role).code == .protocolError)
        }
    }

    @Test(
        "codes of a Close",
        arguments: [
            (0, false), (999, false), (1000, true), (1001, true), (1002, true), (1003, true), (1004, false),
            (1005, false), (1006, false), (1007, true), (1008, true), (1009, true), (1010, true), (1011, true),
            (1012, true), (1013, true), (1014, true), (1015, false), (1016, false), (1100, false), (2000, false),
            (2999, false), (3000, true), (3999, true), (4000, true), (4999, true), (5000, false), (65535, false),
        ] as [(UInt16, Bool)])
    func codes(code: UInt16, isAllowed: Bool) {
        let frame = ScriptedFrame(0x88, bytes: withUnsafeBytes(of: code.bigEndian, Array.init))
        let outcome = WebSocketOutcome.decode([frame], as: .server)
        #expect(outcome.description == (isAllowed ? "close \(code)" : "fails with 1002"))
    }

    @Test("limits: message in one frame, in fragments, number of fragments")
    func limits() {
        var limits = WebSocketLimits()
        limits.messageSize = 10
        limits.fragments = 3
        func code(_ frames: [ScriptedFrame]) -> WebSocketCloseCode? {
            WebSocketOutcome.decode(frames.flatMap { $0.bytes(to: .server) }, as: .server, limits: limits).code
        }
        #expect(code([.init(0x82, "0123456789")]) == nil)
        #expect(code([.init(0x82, "0123456789a")]) == .messageTooLarge)
        #expect(code([.init(0x02, "01234"), .init(0x80, "56789")]) == nil)
        #expect(code([.init(0x02, "01234"), .init(0x80, "56789a")]) == .messageTooLarge)
        #expect(code([.init(0x02), .init(0x00), .init(0x00), .init(0x80)]) == .messageTooLarge)
        limits.messageSize = .max
        limits.frameSize = .max
        #expect(
            code([.init(0x02, "a"), .init(0x80, bytes: [], claim: UInt64(Int.max))]) == .messageTooLarge)
    }

    @Test("the examples of section 5.7")
    func examples() {
        let masked: [UInt8] = [0x81, 0x85, 0x37, 0xFA, 0x21, 0x3D, 0x7F, 0x9F, 0x4D, 0x51, 0x58]
        #expect(WebSocketOutcome.decode(masked, as: .server).description == "text Hello")
        let pong: [UInt8] = [0x8A, 0x85, 0x37, 0xFA, 0x21, 0x3D, 0x7F, 0x9F, 0x4D, 0x51, 0x58]
        #expect(WebSocketOutcome.decode(pong, as: .server).description == "pong Hello")
    }
}
