import Foundation
import NIOCore
import PeerSupport
import Skein
import SkeinHTTP
import SkeinWire
import Testing

/// Content of requests and responses, against httpbin, nginx and services on Flask.
@Suite("Content", .serialized, .inTurn, .timeLimit(.minutes(5)))
struct ContentTests {
    private func nginx() async throws -> String { "http://127.0.0.1:\(try await Peers.shared.nginxPort())" }
    private func httpbin() async throws -> String { "http://127.0.0.1:\(try await Peers.shared.httpbinPort())" }
    private func services() async throws -> String { "http://127.0.0.1:\(try await Peers.shared.servicesPort())" }

    /// The SHA-256 of a file, computed by a third-party program.
    private func hash(_ path: String) async throws -> String {
        String(try await runToEnd("sha256sum", [path]).output.prefix { $0 != " " })
    }

    // MARK: Responses

    @Test("gzip, deflate, Brotli and Zstandard are decoded, over HTTP/1.1 and HTTP/2; a switch disables it")
    func decoded() async throws {
        let skein = SkeinClient()
        for coding in ["gzip", "deflate", "brotli"] {
            let response = await skein.get("\(try await httpbin())/\(coding)").dispatch()
            #expect(response.header("Content-Encoding") != nil, "\(coding)")
            #expect(
                try response.json()[coding == "gzip" ? "gzipped" : coding == "brotli" ? "brotli" : "deflated"]
                    == .bool(true))
        }
        let zstd = await skein.get("\(try await services())/zstd").dispatch()
        #expect(try zstd.text() == String(repeating: "a thread of zstandard ", count: 1000))
        let words = String(repeating: "a thread of many words. ", count: 2000)
        for path in ["/gz/words.txt", "/br/words.txt"] {
            let headers: Headers = ["Accept-Encoding": path.hasPrefix("/gz") ? "gzip" : "br"]
            for use in [HTTP2Use.never, .priorKnowledge] {
                var configuration = SkeinClient.Configuration()
                configuration.http.http2.use = use
                let port =
                    use == .never ? try await Peers.shared.nginxPort() : try await Peers.shared.nginxHTTP2Ports().many
                let session = SkeinClient(configuration)
                let url = "http://127.0.0.1:\(port)\(path)"
                let response = await session.get(url, headers: headers).dispatch()
                #expect(response.header("Content-Encoding") == headers["Accept-Encoding"])
                #expect(try response.text() == words)
                let streamed = try await session.stream(.get, url, headers: headers).dispatch()
                #expect(try await streamed.stream?.collect(upTo: 1 << 20) == ByteBuffer(string: words))
                var raw = HTTPRequest(.get, try HTTPURL(url), headers: headers)
                raw.decompresses = false
                #expect(await session.start(raw).dispatch().content.readableBytes < 1000)
                #expect(await session.head(url, headers: headers).dispatch().statusCode == 200)
            }
        }
        var configuration = SkeinClient.Configuration()
        configuration.http.decompression.isEnabled = false
        let plain = await SkeinClient(configuration).get("\(try await httpbin())/headers").dispatch()
        #expect(try plain.json()["headers"]?["Accept-Encoding"] == nil)
    }

    @Test("ten megabytes that expand to ten gigabytes end at the limit, in constant memory")
    func bomb() async throws {
        let url = "\(try await nginx())/bomb"
        let whole = await SkeinClient().get(url).dispatch()
        #expect(whole.statusCode == 719, "\(whole.reportLine)")
        var configuration = SkeinClient.Configuration()
        configuration.http.decompression.maximumRatio = 100_000
        configuration.http.maximumBodySize = 8 << 20
        #expect(await SkeinClient(configuration).get(url).dispatch().statusCode == 719)
        let out = TestFolder.path("out")
        let command = try PeerProcess(
            CommandTests.skein, ["get", url, "--output", out], log: TestFolder.path("bomb.log"))
        let line = try await command.untilPrinted("REQID 0. ")
        #expect(line.hasPrefix("719 too large content"), "\(line)")
        await command.stop()
        let measured = try await runToEnd(
            Peers.python(),
            [
                "-c",
                """
                import resource, subprocess, sys
                subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL)
                print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
                """, CommandTests.skein, "get", url, "--output", out,
            ])
        let idle = try await runToEnd(
            Peers.python(),
            [
                "-c",
                """
                import resource, subprocess, sys
                subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL)
                print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
                """, CommandTests.skein, "get", "\(try await nginx())/hello",
            ])
        let bytes = try #require(Int(measured.output.trimmingCharacters(in: .whitespacesAndNewlines)))
        let before = try #require(Int(idle.output.trimmingCharacters(in: .whitespacesAndNewlines)))
        #expect(bytes - before < 32 << 10, "\(bytes) KiB, \(before) KiB without")
    }

    @Test("text by its charset, JSON as a tree, lines one by one")
    func readers() async throws {
        let base = try await services()
        let skein = SkeinClient()
        let latin = await skein.get("\(base)/as", parameters: ["type": "text/plain", "text": "é"]).dispatch()
        #expect(try latin.text() == "é")
        let binary = await skein.get("\(base)/as", parameters: ["type": "image/png", "text": "x"]).dispatch()
        #expect(throws: SkeinError.self) { try binary.text() }
        let marked = await skein.get("\(base)/as", parameters: ["type": "text/plain", "text": "\u{EF}\u{BB}\u{BF}Ã©"])
            .dispatch()
        #expect(try marked.text() == "é")  // a byte order mark says more than the type
        let lines = try await skein.stream(.get, "\(try await httpbin())/stream/5").dispatch()
        var raw = lines.raw
        var count = 0
        while let line = try await raw.readLine() {
            #expect(line.hasPrefix("{") && line.hasSuffix("}"))
            count += 1
        }
        #expect(count == 5)
        let xml = try await skein.get("\(try await httpbin())/xml").dispatch().xml()
        #expect(
            xml.name == "slideshow" && xml.all("slide").count == 2
                && xml["slide"]?["title"]?.text == "Wake up to WonderWidgets!")
        var whole = await skein.get("\(try await nginx())/small.txt").dispatch().raw
        #expect(String(buffer: try await whole.read(8)) == "a small ")
        #expect(String(buffer: try await whole.read()) == "file\n")
        #expect(try await whole.read().readableBytes == 0)
    }

    @Test("content of another type is 718, longer content is 719, before it is read")
    func validated() async throws {
        let base = try await httpbin()
        let skein = SkeinClient()
        func code(_ path: String, _ change: (inout HTTPRequest) -> Void) async throws -> Int {
            var request = HTTPRequest(.get, try HTTPURL(path))
            change(&request)
            return await skein.start(request).dispatch().statusCode
        }
        #expect(try await code("\(base)/html") { $0.acceptedTypes = ["application/json"] } == 718)
        #expect(try await code("\(base)/html") { $0.acceptedTypes = ["application/json", "text/*"] } == 200)
        #expect(try await code("\(base)/json") { $0.acceptedTypes = ["application/json"] } == 200)
        #expect(try await code("\(base)/status/404") { $0.acceptedTypes = ["application/json"] } == 404)
        #expect(try await code("\(try await services())/as?type=nonsense&text=x") { $0.acceptedTypes = ["a/b"] } == 717)
        let big = "\(try await nginx())/big"
        #expect(try await code(big) { $0.maximumBodySize = 1000 } == 719)
        #expect(try await code(big) { $0.maximumBodySize = 8 << 20 } == 200)
        var streamed = HTTPRequest(.get, try HTTPURL("\(base)/stream/100"), isStreamed: true)
        streamed.maximumBodySize = 1000
        let stream = try #require(await skein.start(streamed).dispatch().stream)
        await #expect(throws: SkeinError.self) { for try await _ in stream {} }
    }

    // MARK: Requests

    @Test("a form with files, streamed from the disk, its length known beforehand")
    func multipart() async throws {
        let path = TestFolder.path("ä \"file\".txt")
        let content = Data((0..<3 << 20).map { UInt8(truncatingIfNeeded: $0 &* 31 >> 3) })
        try content.write(to: URL(filePath: path))
        let skein = SkeinClient()
        let body = HTTPBody.multipart([
            .field("a", "one"), .field("a", "two"), .file("file", path: path),
            FormPart("json", .json(["b": 1]), fileName: "b.json"),
        ])
        let response = await skein.post("\(try await services())/form", body: body).dispatch()
        let json = try response.json()
        #expect(json["fields"] == .object(["a": .array([.string("one"), .string("two")])]), "\(response.reportLine)")
        #expect(json["files"]?["file"]?["name"]?.string?.hasSuffix("ä \"file\".txt") == true, "\(json)")
        #expect(json["files"]?["file"]?["type"] == .string("text/plain; charset=utf-8"))
        #expect(json["files"]?["file"]?["sha256"]?.string == (try await hash(path)))
        #expect(json["files"]?["json"]?["type"] == .string("application/json"))
        let announced = await skein.post("\(try await services())/echo", body: body).dispatch()
        #expect(
            try announced.json()["headers"]?["Content-Length"]?.string
                == "\(try announced.json()["size"]?.integer ?? 0)")
        let pieces = AsyncStream<ByteBuffer> {
            $0.yield(ByteBuffer(string: "unknown "))
            $0.yield(ByteBuffer(string: "length"))
            $0.finish()
        }
        let streamed = HTTPBody.multipart([.field("a", "b"), FormPart("s", .stream(pieces))])
        let other = await skein.post("\(try await httpbin())/post", body: streamed).dispatch()
        #expect(
            try other.json()["form"] == .object(["a": .string("b"), "s": .string("unknown length")]),
            "\(other.reportLine)")
    }

    @Test("a file as a body, over HTTP/1.1 and HTTP/2; a missing one, and one that shrinks, are errors")
    func files() async throws {
        let path = TestFolder.path("upload.json")
        try Data(repeating: UInt8(ascii: "7"), count: 5 << 20).write(to: URL(filePath: path))
        let skein = SkeinClient()
        let echo = await skein.put("\(try await services())/echo", body: .file(path)).dispatch()
        #expect(try echo.json()["sha256"]?.string == (try await hash(path)))
        #expect(try echo.json()["headers"]?["Content-Type"] == .string("application/json"))
        var configuration = SkeinClient.Configuration()
        configuration.http.http2.use = .priorKnowledge
        let http2 = "http://127.0.0.1:\(try await Peers.shared.hypercornPort())/"
        #expect(
            try await SkeinClient(configuration).put(http2, body: .file(path)).dispatch().text() == "2 PUT \(5 << 20)")
        let missing = await skein.put("\(try await services())/echo", body: .file("/none/such")).dispatch()
        #expect(missing.statusCode == 701 && missing.failure?.peer == "/none/such", "\(missing.reportLine)")
        let body = HTTPBody.file(path)
        truncate(path, 1000)
        let shrunk = await skein.put("\(try await services())/echo", body: body).dispatch()
        #expect(shrunk.statusCode == 701, "\(shrunk.reportLine)")
    }

    @Test("compressed requests are decoded by the server", arguments: ContentCoding.allCases)
    func compressed(coding: ContentCoding) async throws {
        let path = TestFolder.path("plain")
        let text = String(repeating: "the same again and again ", count: 10_000)
        try text.write(toFile: path, atomically: true, encoding: .utf8)
        for body in [HTTPBody.text(text), .file(path)] {
            let response = await SkeinClient().post("\(try await services())/echo", body: body.compressed(coding))
                .dispatch()
            let echo = try response.json()
            #expect(echo["headers"]?["Content-Encoding"] == .string(coding.rawValue))
            #expect(echo["headers"]?["Content-Type"]?.string == body.contentType)
            #expect((echo["size"]?.integer ?? .max) < text.utf8.count / 10)
        }
    }

    @Test(
        "content that waits is sent when nginx asks for it, when a server is silent, and not at all when it is refused")
    func expected() async throws {
        var configuration = SkeinClient.Configuration()
        configuration.http.expectContinueAbove = 1000
        configuration.http.expectContinueTimeout = .milliseconds(200)
        let skein = SkeinClient(configuration)
        let large = HTTPBody.bytes(ByteBuffer(repeating: 1, count: 100_000))
        let stored = await skein.put("\(try await nginx())/sink/\(UUID().uuidString)", body: large).dispatch()
        #expect(stored.statusCode == 201, "\(stored.reportLine)")
        #expect(stored.request.headers["Expect"] == "100-continue")
        let small = await skein.put("\(try await nginx())/sink/\(UUID().uuidString)", body: .text("small")).dispatch()
        #expect(small.statusCode == 201 && !small.request.headers.contains("Expect"))

        let silent = try await ScriptedServer.start { _ in
            [.wait, .send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")]
        }
        let late = await skein.put(
            "http://127.0.0.1:\(silent.port)/", body: .bytes(ByteBuffer(repeating: 1, count: 2000))
        )
        .dispatch()
        #expect(late.statusCode == 200, "\(late.reportLine)")
        await silent.stop()

        let refusing = try await ScriptedServer.start { _ in
            [.send("HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\nno")]
        }
        let sent = Tally()
        let counted = AsyncStream<ByteBuffer> {
            sent.add()
            return nil
        }
        for _ in 0..<2 {
            let refused = await skein.put("http://127.0.0.1:\(refusing.port)/", body: .stream(counted)).dispatch()
            #expect(refused.statusCode == 413, "\(refused.reportLine)")
        }
        #expect(sent.count == 0)
        #expect(refusing.connectionCount == 2)  // in the middle of a request, the first could not be used again
        await refusing.stop()

        let ignorant = try await ScriptedServer.start { number in
            number == 0
                ? [.send("HTTP/1.1 417 Expectation Failed\r\nContent-Length: 0\r\n\r\n")]
                : [.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")]
        }
        let again = await skein.put("http://127.0.0.1:\(ignorant.port)/", body: large).dispatch()
        #expect(again.statusCode == 200 && !again.request.headers.contains("Expect"), "\(again.reportLine)")
        await ignorant.stop()

        // After another request on one connection: the responses to that one do not affect the content.
        let behind = try await ScriptedServer.start { _ in
            [
                .until("\r\n\r\n"), .send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"),
                .until("Expect: 100-continue\r\n"), .send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"),
                .send("HTTP/1.1 100 Continue\r\n\r\n"), .until("\u{1}"),
                .send("HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n"),
            ]
        }
        var pipelining = configuration
        pipelining.http.pipelineDepth = 4
        pipelining.http.connectionsPerOrigin = 1
        pipelining.http.expectContinueTimeout = .seconds(30)
        let piped = SkeinClient(pipelining)
        #expect(await piped.get("http://127.0.0.1:\(behind.port)/").dispatch().statusCode == 200)
        let first = piped.get("http://127.0.0.1:\(behind.port)/")
        let second = piped.put("http://127.0.0.1:\(behind.port)/", body: large)
        #expect(await first.dispatch().statusCode == 200)
        #expect(await second.dispatch(timeout: .seconds(10)).statusCode == 201)
        await behind.stop()

        configuration.http.http2.use = .priorKnowledge
        let http2 = SkeinClient(configuration)
        let url = "http://127.0.0.1:\(try await Peers.shared.hypercornPort())/"
        #expect(try await http2.put(url, body: large).dispatch().text() == "2 PUT 100000")
    }
}
