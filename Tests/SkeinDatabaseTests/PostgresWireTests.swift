import Crypto
import Foundation
import NIOCore
import SkeinCore
import SkeinSQL
import Testing

@testable import SkeinPostgres
@testable import SkeinTransport

/// `scripts/fuzz` sets it to ten million.
let fuzzInputs = ProcessInfo.processInfo.environment["SKEIN_FUZZ"].flatMap { Int($0) } ?? 20_000

@Suite("PostgreSQL's messages")
struct PostgresWireTests {
    /// A message as a server writes it.
    static func message(_ type: Character, _ body: [UInt8], length: UInt32? = nil) -> [UInt8] {
        [type.asciiValue ?? 0] + withUnsafeBytes(of: (length ?? UInt32(body.count + 4)).bigEndian) { Array($0) } + body
    }

    static let conversation: [(bytes: [UInt8], message: PostgresMessage)] = [
        (message("R", [0, 0, 0, 0]), .authenticationOK),
        (message("R", [0, 0, 0, 5, 1, 2, 3, 4]), .authenticationMD5(salt: [1, 2, 3, 4])),
        (message("R", [0, 0, 0, 10] + Array("SCRAM-SHA-256\0\0".utf8)), .authenticationSASL(["SCRAM-SHA-256"])),
        (message("S", Array("server_version\u{0}15\0".utf8)), .parameterStatus("server_version", "15")),
        (message("K", [0, 0, 0, 7, 0, 0, 0, 9]), .backendKey(process: 7, secret: 9)),
        (message("1", []), .parseComplete), (message("2", []), .bindComplete), (message("3", []), .closeComplete),
        (message("t", [0, 2, 0, 0, 0, 23, 0, 0, 0, 25]), .parameterDescription([23, 25])),
        (
            message(
                "T", [0, 1] + Array("a\0".utf8) + [0, 0, 0, 0, 0, 0, 0, 0, 0, 23, 0, 4, 255, 255, 255, 255, 0, 0]),
            .rowDescription([PostgresColumn(name: "a", type: 23)])
        ),
        (message("D", [0, 1, 255, 255, 255, 255]), .dataRow(ByteBuffer(bytes: [0, 1, 255, 255, 255, 255]))),
        (message("C", Array("INSERT 0 15\0".utf8)), .commandComplete(PostgresTag(command: "INSERT", rows: 15))),
        (message("C", Array("CREATE TABLE\0".utf8)), .commandComplete(PostgresTag(command: "CREATE TABLE", rows: 0))),
        (message("I", []), .emptyQuery), (message("s", []), .portalSuspended), (message("n", []), .noData),
        (
            message("A", [0, 0, 0, 3] + Array("jobs\u{0}weave\0".utf8)),
            .notification(PostgresNotification(channel: "jobs", payload: "weave", process: 3))
        ),
        (message("Z", [0x54]), .ready(.inTransaction)),
    ]

    @Test("a byte stream split anywhere yields the same messages")
    func cuts() throws {
        let bytes = Self.conversation.flatMap(\.bytes)
        for cut in 0...bytes.count {
            var decoder = PostgresDecoder(limit: 1000)
            var messages: [PostgresMessage] = []
            for part in [bytes[..<cut], bytes[cut...]] {
                decoder.append(ByteBuffer(bytes: part))
                while let message = try decoder.next() { messages.append(message) }
            }
            #expect(messages == Self.conversation.map(\.message))
        }
    }

    @Test(
        "lengths that lie and messages that are none are refused",
        arguments: [
            message("D", [], length: 0), message("D", [], length: 3), message("D", [], length: 1 << 30),
            message("D", [], length: .max), message("Z", [0x58]), message("Z", []),
            message("Z", [0x49], length: 70_000),
            message("1", [0]), message("t", [0, 9, 1]), message("T", [0, 1, 0x61]), message("C", Array("SELECT".utf8)),
            message("K", [1]), message("S", [0x61]), message("A", [0, 0, 0, 1, 0x61]), message("E", [0x4D, 0x61]),
            message("y", []),
        ])
    func lies(bytes: [UInt8]) {
        var decoder = PostgresDecoder(limit: 1 << 20)
        decoder.append(ByteBuffer(bytes: bytes))
        #expect(throws: PostgresProtocolError.self) { try decoder.next() }
    }

    @Test("any bytes are parsed or refused, and rows stay within their bounds")
    func fuzzed() async {
        var random = SystemRandomNumberGenerator()
        let layout = PostgresLayout(
            [16, 20, 1700, 1007, 3904, 2249, 4451, 1186, 869, 3802].map { PostgresColumn(name: "c", type: $0) },
            isBinary: true)
        for number in 0..<fuzzInputs {
            if number % 100 == 0 { await Task.yield() }  // other tests are waiting for the thread
            var bytes = Self.conversation.randomElement(using: &random)?.bytes ?? []
            for _ in 0..<Int.random(in: 0..<4, using: &random) where !bytes.isEmpty {
                bytes[Int.random(in: 0..<bytes.count, using: &random)] = .random(in: 0...255, using: &random)
            }
            var decoder = PostgresDecoder(limit: 1 << 16)
            decoder.append(ByteBuffer(bytes: bytes))
            while let message = try? decoder.next() { _ = message }
            var row: [UInt8] = [0, 10]
            for _ in 0..<10 {
                let cell = (0..<Int.random(in: 0..<24, using: &random)).map { _ in
                    Bool.random(using: &random)
                        ? UInt8.random(in: 0...255, using: &random) : UInt8.random(in: 0...3, using: &random)
                }
                row += [0, 0, 0, UInt8(cell.count)] + cell
            }
            if Bool.random(using: &random) { row[Int.random(in: 0..<row.count, using: &random)] &+= 1 }
            let rows = PostgresRowSet(layout)
            guard (try? rows.append(ByteBuffer(bytes: row))) != nil else { continue }
            for column in 0..<10 {
                _ = try? rows.value(0, column)
                _ = rows.integer(0, column)
                _ = rows.text(0, column)
            }
        }
    }

    @Test("an array that announces too many elements allocates no memory")
    func promises() {
        let array: [UInt8] = [0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 23, 0x7F, 0xFF, 0xFF, 0xFF, 0, 0, 0, 1]
        #expect(throws: SkeinError.self) {
            try array.withUnsafeBytes { try PostgresValueReader.read($0, 1007, isBinary: true) }
        }
    }
}

@Suite("SCRAM")
struct SCRAMTests {
    @Test("the example of RFC 7677")
    func example() throws {
        var client = SCRAMClient<SHA256>(
            user: "user", password: "pencil", binding: .unsupported, nonce: "rOprNGfwEbeRWgbNEkqO")
        #expect(client.first == "n,,n=user,r=rOprNGfwEbeRWgbNEkqO")
        let answer = try client.answer(
            "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096")
        #expect(
            answer
                == "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
        )
        try client.verify("v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=")
        #expect(throws: SkeinError.self) { try client.verify("v=AAAATRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=") }
        #expect(throws: SkeinError.self) { try client.verify("e=other-error") }
    }

    @Test(
        "challenges that are none, or cost too little or too much, are refused",
        arguments: [
            "", "r=other,s=AAAA,i=4096", "r=abc,s=AAAA,i=4096", "r=abcd,s=,i=4096", "r=abcd,s=AAAA,i=1",
            "r=abcd,s=AAAA,i=2000000000",
        ])
    func challenges(text: String) {
        var client = SCRAMClient<SHA256>(user: "", password: "x", binding: .unsupported, nonce: "abc")
        #expect(throws: SkeinError.self) { try client.answer(text) }
    }

    @Test(
        "passwords are made comparable",
        arguments: [("I\u{AD}X", "IX"), ("\u{AA}", "a"), ("\u{2168}", "IX"), ("a\u{A0}b", "a b"), ("plain", "plain")])
    func preparation(given: String, expected: String) { #expect(SASLprep.prepare(given) == expected) }

    @Test("composite texts are parsed up to the server's depth")
    func textForms() {
        #expect(PostgresTextReader.value("{{a,NULL},{\"NULL\",\"\\\"\"}}", 1002) == [["a", .null], ["NULL", "\""]])
        #expect(PostgresTextReader.value("(1,\"a \"\"b\"\"\",,)", 2249) == .record(["1", "a \"b\"", .null, .null]))
        #expect(PostgresTextReader.value("()", 2249) == .record([.null]))
        #expect(PostgresTextReader.value("{\"(1,\\\"x y\\\")\",NULL}", 2287) == [.record(["1", "x y"]), .null])
        for text in [
            String(repeating: "{", count: 1_000_000), String(repeating: "(", count: 100_000), "{", "{a", "{a}b",
            "[2:3]={1,2}", "(", "",
        ] {
            for type: UInt32 in [1002, 2249, 2287, 651] {
                #expect(PostgresTextReader.value(text, type) == nil, "\(text.prefix(20))")
            }
        }
    }
}
