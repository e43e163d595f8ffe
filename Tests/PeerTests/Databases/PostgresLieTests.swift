import NIOCore
import PeerSupport
import Skein
import SkeinPostgres
import Testing

/// Servers that send messages that PostgreSQL never sends.
@Suite("PostgreSQL: malicious servers", .timeLimit(.minutes(1)))
struct PostgresLieTests {
    private static let greeting: [UInt8] =
        message("R", [0, 0, 0, 0]) + message("K", [0, 0, 0, 1, 0, 0, 0, 2]) + message("Z", [0x49])

    private static func message(_ type: Character, _ body: [UInt8], length: UInt32? = nil) -> [UInt8] {
        [type.asciiValue ?? 0] + withUnsafeBytes(of: (length ?? UInt32(body.count + 4)).bigEndian) { Array($0) } + body
    }

    @Test(
        "in place of a session: it fails with the reason",
        arguments: [
            "HTTP/1.1 400 Bad Request\r\n\r\n", "R\0\0\0\u{8}\0\0\0\u{7}", "Z\0\0\0\u{5}I", "R\0\0\0\u{4}",
            "E\0\0\0\u{10}SFATAL\0C28000\0",
            "S\u{7F}\u{7F}\u{7F}\u{7F}",
        ])
    func greetings(text: String) async throws {
        let server = try await ScriptedServer.start { _ in [.send(text)] }
        let skein = SkeinClient()
        let db = try skein.postgres("postgres://u@127.0.0.1:\(server.port)/d?sslmode=disable&timeout=5")
        let response = await db.execute("SELECT 1").dispatch()
        #expect(response.failure != nil && response.failure?.code != .timeout, "\(response.reason)")
        await skein.shutdown()
    }

    @Test("bytes before the negotiated encryption are refused: the connection ends")
    func injected() async throws {
        let server = try await ScriptedServer.start { _ in [.send("SE\0\0\0\u{5}x")] }
        let skein = SkeinClient()
        let db = try skein.postgres("postgres://u@127.0.0.1:\(server.port)/d?sslmode=require&timeout=5")
        #expect(await db.execute("SELECT 1").dispatch().failure?.code == .tlsHandshakeFailed)
        await skein.shutdown()
    }

    @Test("a server that asks for a clear-text password over an unverified connection does not get it")
    func greedy() async throws {
        let question = "R\0\0\0\u{8}\0\0\0\u{3}"
        let server = try await ScriptedServer.start { _ in [.send("N"), .wait, .send(question), .wait] }
        let skein = SkeinClient()
        // The same server by an address that is not known to be local.
        let address = "postgres://u:secret@0.0.0.0:\(server.port)/d?timeout=5"
        let failure = await (try skein.postgres(address)).execute("SELECT 1").dispatch().failure
        #expect(failure?.code == .unknownAuthentication && failure?.message.contains("clear text") == true)
        await skein.shutdown()
    }

    static let nonsense: [[UInt8]] = [
        message("D", [], length: 1 << 30), message("D", [0, 1, 0, 0, 0, 1, 0x31]),
        message("1", []) + message("Z", [0x49]),
        message("t", [0, 1, 0, 0, 0, 23]) + message("W", [0]), message("C", Array("SELECT 1".utf8)),
        message("Z", [0x49]) + message("Z", [0x49]), message("A", [1]),
        message("1", []) + message("t", [0, 0]) + message("T", [0, 2, 0x61, 0]), message("y", []),
    ]

    @Test("an error instead of a response fails the statement only", arguments: nonsense)
    func answers(bytes: [UInt8]) async throws {
        let server = try await ScriptedServer.start { _ in
            [
                .sendBytes(ByteBuffer(bytes: Self.greeting)), .until("SELECT"), .sendBytes(ByteBuffer(bytes: bytes)),
                .wait, .sendBytes(ByteBuffer(bytes: bytes)), .wait, .close,
            ]
        }
        let skein = SkeinClient()
        let db = try skein.postgres("postgres://u@127.0.0.1:\(server.port)/d?sslmode=disable&timeout=2")
        let real = try skein.postgres(try await PostgresPeer.shared.get().url())
        let response = await db.execute("SELECT 1").dispatch()
        #expect(response.failure != nil)
        #expect(try await real.execute("SELECT 1").one(Int.self) == 1)
        await skein.shutdown()
    }
}
