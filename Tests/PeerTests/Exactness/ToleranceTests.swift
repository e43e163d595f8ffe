import Foundation
import NIOCore
import PeerSupport
import Skein
import Testing

/// Responses that violate RFC 9112, compared with curl. Where the two differ, the reason for the difference is here and
/// in docs/Client.md.
@Suite("Tolerance", .serialized, .inTurn, .timeLimit(.minutes(3)))
struct ToleranceTests {
    private static let chunks = "5\r\nhello\r\n0\r\n\r\n"

    struct Case: Sendable, CustomStringConvertible {
        let name: String
        let response: [UInt8]
        /// Whether strict parsing accepts it, too.
        var isStrict = false
        /// Why curl and Skein differ; nil where they do not.
        var difference: String?

        var description: String { name }

        init(_ name: String, _ response: String, isStrict: Bool = false, difference: String? = nil) {
            self.init(name, bytes: Array(response.utf8), isStrict: isStrict, difference: difference)
        }

        init(_ name: String, bytes: [UInt8], isStrict: Bool = false, difference: String? = nil) {
            self.name = name
            response = bytes
            self.isStrict = isStrict
            self.difference = difference
        }

        /// With a field, and content of five bytes.
        static func field(_ name: String, _ field: String, isStrict: Bool = false, difference: String? = nil) -> Case {
            Case(
                name, "HTTP/1.1 200 OK\r\n\(field)\r\nContent-Length: 5\r\n\r\nhello", isStrict: isStrict,
                difference: difference)
        }

        /// With fields, and content in chunks.
        static func chunked(
            _ name: String, _ fields: String, _ content: String = ToleranceTests.chunks, isStrict: Bool = false
        )
            -> Case
        { Case(name, "HTTP/1.1 200 OK\r\n\(fields)\r\n\r\n\(content)", isStrict: isStrict) }
    }

    static let cases: [Case] = [
        .field("as it should be", "X-A: one", isStrict: true),
        .field("a folded field", "X-A: one\r\n two\r\n\tthree"),
        .field("a folded field that begins empty", "X-A:\r\n two"),
        Case("a status of 600", "HTTP/1.1 600 Odd\r\nContent-Length: 5\r\n\r\nhello"),
        Case("a status of 999", "HTTP/1.1 999 Odd\r\nContent-Length: 5\r\n\r\nhello"),
        Case("LF at the ends of lines", "HTTP/1.1 200 OK\nX-A: one\nContent-Length: 5\n\nhello"),
        Case("LF in chunks", "HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\n5\nhello\n0\n\n"),
        .chunked("a length beside chunks", "Content-Length: 99\r\nTransfer-Encoding: chunked"),
        Case("a length twice in a field", "HTTP/1.1 200 OK\r\nContent-Length: 5, 5\r\n\r\nhello"),
        Case(
            "a length in two fields", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\nhello",
            isStrict: true),
        Case(
            "two lengths", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
            difference: "both fail: curl because a byte is missing, Skein because the lengths differ"),
        Case("chunks in HTTP/1.0", "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\(chunks)"),
        .field("a transfer coding of identity", "Transfer-Encoding: identity"),
        .chunked("chunked in two fields", "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked"),
        .chunked(
            "a trailer that must not be one", "Transfer-Encoding: chunked",
            "5\r\nhello\r\n0\r\nContent-Length: 3\r\n\r\n"),
        .chunked(
            "an extension of a chunk", "Transfer-Encoding: chunked", "5;a=b\r\nhello\r\n0\r\n\r\n", isStrict: true),
        .chunked("blanks behind a size", "Transfer-Encoding: chunked", "5  \r\nhello\r\n0\r\n\r\n", isStrict: true),
        .chunked("a size that is no number", "Transfer-Encoding: chunked", "x\r\nhello\r\n0\r\n\r\n"),
        .chunked("an unknown transfer coding", "Transfer-Encoding: gzip, chunked"),
        .field("a blank before the colon", "X-A : one"), .field("a blank in a name", "X A: one"),
        .field("a line without a colon", "nonsense"), .field("CR alone", "X-A: a\rb"),
        .field("a control character", "X-A: a\u{1}b"), .field("a NUL", "X-A: a\u{0}b"),
        .field("a line of 90 000 bytes", "X-A: " + String(repeating: "a", count: 90_000), isStrict: true),
        .field("a thousand fields", (0..<1000).map { "X-\($0): a" }.joined(separator: "\r\n"), isStrict: true),
        Case(
            "bytes that are no UTF-8",
            bytes: Array("HTTP/1.1 200 OK\r\nX-A: caf".utf8) + [0xE9]
                + Array("\r\nContent-Length: 5\r\n\r\nhello".utf8), isStrict: true),
        Case("no reason", "HTTP/1.1 200\r\nContent-Length: 5\r\n\r\nhello", isStrict: true),
        Case("a blank line before the status", "\r\nHTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"),
        Case("a folded line behind the status", "HTTP/1.1 200 OK\r\n Foo: bar\r\nContent-Length: 5\r\n\r\nhello"),
        Case(
            "HTTP/1.2", "HTTP/1.2 200 OK\r\nContent-Length: 5\r\n\r\nhello", isStrict: true,
            difference: "RFC 9112, section 2.3: a higher minor version is read as the highest that is known"),
        Case(
            "a length that is folded", "HTTP/1.1 200 OK\r\nContent-Length:\r\n 5\r\n\r\nhello",
            difference: "RFC 9112, section 5.2: a fold is blanks, whatever the field; this curl refuses it"),
        Case(
            "a length with a sign", "HTTP/1.1 200 OK\r\nContent-Length: +5\r\n\r\nhello",
            difference: "RFC 9110, section 8.6: a length is digits, and a wrong one is not guessed at"),
        .field(
            "CR before a colon", "Content-Length\r: 99",
            difference: "a name with a CR in it is none: what stands before and behind us could read another field"),
        .field("an empty name", ": one", difference: "a field without a name says nothing"),
        Case(
            "gzip with bytes behind it",
            bytes: Array("HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 29\r\n\r\n".utf8) + gzipped
                + Array("tail".utf8)),
        Case(
            "gzip of two members",
            bytes: Array("HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 50\r\n\r\n".utf8) + gzipped
                + gzipped,
            isStrict: true, difference: "RFC 1952, section 2.2: the members of a file stand one behind the other"),
    ]

    /// `hello`, as gzip makes it.
    private static let gzipped: [UInt8] = [
        0x1F, 0x8B, 8, 0, 0, 0, 0, 0, 0, 3, 0xCB, 0x48, 0xCD, 0xC9, 0xC9, 7, 0, 0x86, 0xA6, 0x10, 0x36, 5, 0, 0, 0,
    ]

    private func serve(_ response: [UInt8]) async throws -> ScriptedServer {
        try await ScriptedServer.start { _ in [.sendBytes(ByteBuffer(bytes: response)), .close] }
    }

    @Test("responses that curl accepts are accepted, and those it refuses are refused", arguments: cases)
    func besideCurl(item: Case) async throws {
        let server = try await serve(item.response)
        let url = "http://127.0.0.1:\(server.port)/"
        let curl = try await runToEnd(
            "curl", ["-s", "--compressed", "--max-time", "10", "-o", "-", "-w", " %{http_code}", url])
        let skein = SkeinClient()
        let response = await skein.get(url).dispatch()
        if item.difference == nil {
            #expect((response.failure == nil) == (curl.code == 0), "\(response.reason), curl \(curl.code)")
            if curl.code == 0 {
                #expect("\(String(buffer: response.content)) \(response.statusCode)" == curl.output)
            }
        } else {
            let isSame =
                (response.failure == nil) == (curl.code == 0)
                && (curl.code != 0 || "\(String(buffer: response.content)) \(response.statusCode)" == curl.output)
            // Two failures for different reasons are named, too.
            #expect(!isSame || curl.code != 0, "the difference is gone")
        }
        await server.stop()
        await skein.shutdown()
    }

    @Test("strict parsing accepts exactly what RFC 9112 allows a server to send", arguments: cases)
    func strict(item: Case) async throws {
        let server = try await serve(item.response)
        var configuration = SkeinClient.Configuration()
        configuration.http.parsing = .strict
        let skein = SkeinClient(configuration)
        let response = await skein.get("http://127.0.0.1:\(server.port)/").dispatch()
        #expect((response.failure == nil) == item.isStrict, "\(response.reason)")
        await server.stop()
        await skein.shutdown()
    }

    @Test(
        "a violation has the code of its place: the head, or the content with its trailers",
        arguments: [
            ("HTTP/1.1 200 OK\nContent-Length: 0\r\n\r\n", SkeinError.Code.responseHeaderError),
            ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\nhello\r\n0\r\n\r\n", .bodyError),
            ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX: a\n\r\n", .bodyError),
            ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX : a\r\n\r\n", .bodyError),
        ])
    func places(response: String, code: SkeinError.Code) async throws {
        let server = try await serve(Array(response.utf8))
        var configuration = SkeinClient.Configuration()
        configuration.http.parsing = .strict
        let skein = SkeinClient(configuration)
        let answer = await skein.get("http://127.0.0.1:\(server.port)/").dispatch()
        #expect(answer.failure?.code == code, "\(answer.reason)")
        await server.stop()
        await skein.shutdown()
    }

    @Test("folds and CRs become spaces, bytes are preserved, statuses above 599 throw as 500")
    func values() async throws {
        let fields = "HTTP/1.1 704 Odd\r\nX-A: one\r\n two\r\nX-B: a\rb\r\nX-C: caf".utf8
        let server = try await serve(Array(fields) + [0xE9] + Array("\r\nContent-Length: 0\r\n\r\n".utf8))
        let skein = SkeinClient()
        let response = await skein.get("http://127.0.0.1:\(server.port)/").dispatch()
        #expect(response.failure == nil && response.statusCode == 704)
        #expect(response.header("X-A") == "one   two")
        #expect(response.header("X-B") == "a b")
        #expect(response.header("X-C") == "café")
        #expect(response.headers.rawValue("x-c").map(Array.init) == Array("caf".utf8) + [0xE9])
        let error = #expect(throws: SkeinError.self) { try response.raiseForStatus() }
        #expect(error?.code.rawValue == 500)
        // Forwarded as received.
        var passed = Headers()
        passed.merge(response.headers)
        #expect(passed.rawValue("X-C").map(Array.init) == Array("caf".utf8) + [0xE9])
        await server.stop()
        await skein.shutdown()
    }

    @Test(
        "a connection is not used again behind a response whose end could be another one",
        arguments: [
            "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n\(chunks)",
            "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n\(chunks)",
        ])
    func closed(response: String) async throws {
        let server = try await ScriptedServer.start { _ in [.send(response), .wait, .send(response), .wait] }
        let skein = SkeinClient()
        for _ in 0..<2 {
            let answer = await skein.get("http://127.0.0.1:\(server.port)/").dispatch()
            #expect(String(buffer: answer.content) == "hello")
        }
        #expect(server.connectionCount == 2)
        await server.stop()
        await skein.shutdown()
    }

    @Test(
        "a cookie of bytes that are no UTF-8 goes back as it came; over HTTP/2 such a field is refused with a sentence")
    func latin1Cookie() async throws {
        let head =
            Array("HTTP/1.1 302 Found\r\nLocation: /next\r\nContent-Length: 0\r\nSet-Cookie: a=caf".utf8) + [0xE9]
        let server = try await ScriptedServer.start { _ in
            [
                .sendBytes(ByteBuffer(bytes: head + Array("\r\n\r\n".utf8))), .wait,
                .send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"),
            ]
        }
        var configuration = SkeinClient.Configuration()
        configuration.http.cookies = CookieJar()
        let skein = SkeinClient(configuration)
        let response = await skein.get("http://127.0.0.1:\(server.port)/").dispatch()
        #expect(response.statusCode == 200)
        #expect(response.request.headers.rawValue("Cookie").map(Array.init) == Array("a=caf".utf8) + [0xE9])
        await server.stop()
        configuration.http.http2.use = .priorKnowledge
        let second = SkeinClient(configuration)
        var headers = Headers()
        headers.add("X-A", bytes: [0xE9])
        let refused = await second.request(
            .get, "http://127.0.0.1:\(try await Peers.shared.nginxHTTP2Ports().many)/hello", headers: headers
        ).dispatch()
        #expect(refused.failure?.message.contains("not UTF-8") == true, "\(refused.reason)")
        await skein.shutdown()
        await second.shutdown()
    }

    @Test("a redirect with invalid UTF-8 is followed percent-encoded, as in curl")
    func latin1Location() async throws {
        let head =
            Array("HTTP/1.1 302 Found\r\nContent-Length: 0\r\nLocation: /caf".utf8) + [0xE9] + Array("\r\n\r\n".utf8)
        let answer = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
        let skein = SkeinClient()
        let server = try await ScriptedServer.start { _ in
            [.sendBytes(ByteBuffer(bytes: head)), .until("GET /caf%E9 "), .send(answer)]
        }
        let response = await skein.get("http://127.0.0.1:\(server.port)/").dispatch()
        #expect(response.statusCode == 200 && response.url.target == "/caf%E9")
        await server.stop()
        let again = try await ScriptedServer.start { _ in
            [.sendBytes(ByteBuffer(bytes: head)), .wait, .send(answer)]
        }
        let curl = try await runToEnd(
            "curl", ["-sL", "-o", "/dev/null", "-w", "%{url_effective}", "http://127.0.0.1:\(again.port)/"])
        #expect(curl.output.lowercased().hasSuffix("/caf%e9"))
        await again.stop()
        await skein.shutdown()
    }
}
