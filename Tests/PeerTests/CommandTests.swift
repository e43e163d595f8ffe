import Foundation
import PeerSupport
import SkeinEngine
import Testing

/// The command line, as a user runs it.
@Suite("Command line", .serialized, .inTurn, .timeLimit(.minutes(5)))
struct CommandTests {
    static let skein = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent().appending(path: ".build/debug/skein").path

    private func run(_ arguments: String..., input: String? = nil) async throws -> Finished {
        try await runToEnd(Self.skein, arguments, input: input)
    }

    private func nginx() async throws -> String { "http://127.0.0.1:\(try await Peers.shared.nginxPort())" }

    @Test("demo shows every kind of call and succeeds")
    func demo() async throws {
        let finished = try await run("demo", "-n", "2000")
        #expect(finished.code == 0, "\(finished.errors)")
        for text in [
            "HTTP/1.1 200 OK", "500 Internal", "702 timeout", "714 connection failure", "701 exception", "12 tasks in",
            "200 Hello over a WebSocket.", "XML-RPC: sum          200 6", "over a WebSocket    200 15",
            "SQLite: threads       200 red, 120 m",
            "Hello, weaver.",
            "2000 tasks in",
        ] {
            #expect(finished.output.contains(text), "\(text)")
        }
    }

    @Test("get prints a line for each URL, also from files, and its exit code reports failures")
    func get() async throws {
        let base = try await nginx()
        let one = try await run("get", "\(base)/hello")
        #expect(one.output == "REQID 0. HTTP/1.1 200 OK 11 bytes received\n")
        #expect(one.code == 0)
        let file = try TestFolder.write("# a comment\n\(base)/hello\n\n  \(base)/small.txt\n", as: "urls")
        let many = try await run("get", "@\(file)", "\(base)/nothing", "http://127.0.0.1:1/", "--workers", "2")
        let lines = many.output.split(separator: "\n").map(String.init).sorted()
        #expect(lines.count == 4)
        #expect(lines[0] == "REQID 0. HTTP/1.1 200 OK 11 bytes received")
        #expect(lines[1] == "REQID 1. HTTP/1.1 200 OK 13 bytes received")
        #expect(lines[2].hasPrefix("REQID 2. HTTP/1.1 404 Not Found"))
        #expect(lines[3].hasPrefix("REQID 3. 714 connection failure (127.0.0.1:1): the connection was refused"))
        #expect(many.code == 1)
        let piped = try await run("get", "@-", input: "\(base)/hello\n")
        #expect(piped.code == 0)
    }

    @Test("get prints bodies, headers and JSON records, and writes files")
    func outputs() async throws {
        let base = try await nginx()
        #expect(try await run("get", "--body", "\(base)/small.txt").output == "a small file\n")
        let headers = try await run("get", "--headers", "\(base)/hello").output
        #expect(headers.hasPrefix("HTTP/1.1 200 OK\nServer: nginx"))
        let json = try await run(
            "get", "--json", "--body", "--headers", "\(base)/hello", "http://127.0.0.1:1/", "-c", "1"
        ).output
        let records = try json.split(separator: "\n").map {
            try JSONDecoder().decode(JSONValue.self, from: Data($0.utf8))
        }
        #expect(records[0]["status"]?.integer == 200)
        #expect(records[0]["body"]?.string == "hello world")
        #expect(records[1]["error"]?["code"]?.integer == 714)
        let path = TestFolder.path("big")
        #expect(
            try await run("get", "\(base)/big", "--output", path).output
                == "REQID 0. HTTP/1.1 200 OK 8388608 bytes received\n")
        #expect(try FileManager.default.attributesOfItem(atPath: path)[.size] as? Int == 8 << 20)
    }

    @Test("post sends text, files and standard input, with headers")
    func post() async throws {
        let url = "http://127.0.0.1:\(try await Peers.shared.httpbinPort())/post"
        let text = try await run("post", url, "--data", "a=b", "--body")
        #expect(text.output.contains(#""a":"b""#))
        let file = try TestFolder.write(#"{"c": "d"}"#, as: "json")
        let json = try await run("post", url, "--data", "@\(file)", "--header", "X-Id: 7", "--body")
        #expect(json.output.contains(#""c":"d""#))
        #expect(json.output.contains(#""X-Id":"7""#))
        #expect(try await run("post", url, "--data", "-", "--body", input: "e=f").output.contains(#""e":"f""#))
    }

    @Test("forms, files, compression, retries, a cache and cookies by options")
    func clientOptions() async throws {
        let services = "http://127.0.0.1:\(try await Peers.shared.servicesPort())"
        let file = try TestFolder.write("a file", as: "upload.txt")
        let form = try await run("post", "--form", "a=1", "--upload", "f=@\(file)", "--body", "\(services)/form")
        #expect(form.output.contains(#""a":["1"]"#) && form.output.contains("text/plain"), "\(form.output)")
        let plain = try await run("post", "--form", "a=b c", "--form", "a=d", "--body", "\(services)/form")
        #expect(plain.output.contains(#""a":["b c","d"]"#), "\(plain.output)")
        let coded = try await run("put", "--data", "@\(file)", "--compress", "gzip", "--body", "\(services)/echo")
        #expect(coded.output.contains(#""Content-Encoding":"gzip""#), "\(coded.output)")
        let waited = try await run("put", "--data", "text", "--expect", "--body", "\(services)/echo")
        #expect(waited.output.contains(#""size":4"#), "\(waited.output)\(waited.errors)")
        let again = try await run("get", "--retry", "2", "--body", "\(services)/flaky/\(UUID().uuidString)/2")
        #expect(again.output == "attempt 3")
        let folder = TestFolder.path("cache")
        let kept = "\(services)/kept/\(UUID().uuidString)?control=max-age%3D60"
        #expect(try await run("get", "--cache", folder, "--json", kept).output.contains(#""cache":"miss""#))
        #expect(try await run("get", "--cache", folder, "--json", kept).output.contains(#""cache":"hit""#))
        let empty = try TestFolder.write("", as: "empty.txt")
        let nothing = try await run("post", "--data", "@\(empty)", "--body", "\(services)/echo")
        #expect(nothing.output.contains(#""size":0"#), "\(nothing.output)\(nothing.errors)")
        let pipe = try await run("post", "--data", "@/dev/stdin", "--body", "\(services)/echo", input: "piped")
        #expect(pipe.output.contains(#""size":5"#), "\(pipe.output)\(pipe.errors)")
        let output = TestFolder.path("output.json")
        _ = try await run("get", "--cookie", "a=b", "--output", output, "\(services)/echo")
        #expect(try String(contentsOfFile: output, encoding: .utf8).contains(#""Cookie":"a=b""#))
        let unsaved = try await runToEnd(
            Self.skein, ["get", "--cookie-jar", "\(file)/jar", "\(services)/echo"])
        #expect(unsaved.code == 1 && unsaved.errors.contains("cannot be written"), "\(unsaved.errors)")
        for wrong in [
            ["post", "--form", "a", services], ["post", "--upload", "a=b", services], ["get", "--resume", services],
            ["post", "--data", "x", "--form", "a=b", services], ["get", "--digest", "a", services],
            ["get", "--auth", "a:b", "--bearer", "c", services], ["post", "--compress", "rar", services],
        ] {
            #expect(try await runToEnd(Self.skein, wrong).code == 2, "\(wrong)")
        }
    }

    @Test(
        "a command line that makes no sense is explained, with exit code 2",
        arguments: [
            (["get"], "url"), (["get", "http://a/", "--data", "@/no/such/file"], "/no/such/file"),
            (["get", "@/no/such/file"], "/no/such/file"),
            (["get", "http://a/", "--header", "nonsense"], "Name: value"),
            (["get", "http://a/", "--header", "X: a\nb"], "line break"),
            (["get", "http://a/", "--timeout", "0"], "--timeout"), (["get", "http://a/", "-c", "0"], "--concurrency"),
            (["get", "http://a/", "http://b/", "--output", "x"], "--output"), (["load", "htp:/a"], "htp:/a"),
            (["load", "http://a/", "-m", "2", "--http1"], "one request at a time"), (["load"], "url"),
            (["respond", "x", "--listen", "nowhere"], "HOST:PORT"), (["fly"], "fly"),
        ])
    func usage(arguments: [String], mention: String) async throws {
        let finished = try await runToEnd(Self.skein, arguments)
        #expect(finished.code == 2)
        #expect(finished.errors.contains(mention), "\(finished.errors)")
        #expect(finished.output.isEmpty)
    }

    @Test("help teaches every command", arguments: ["", "get", "post", "load", "respond", "demo"])
    func help(command: String) async throws {
        let finished = try await runToEnd(Self.skein, command.isEmpty ? ["--help"] : [command, "--help"])
        #expect(finished.code == 0)
        #expect(finished.output.contains("USAGE: skein"))
    }

    @Test("load reports what scripts need")
    func load() async throws {
        let base = try await nginx()
        let finished = try await run(
            "load", "-n", "500", "-c", "7", "--threads", "2", "--http1", "--json", "\(base)/hello", "\(base)/small.txt")
        #expect(finished.code == 0)
        let report = try JSONDecoder().decode(JSONValue.self, from: Data(finished.output.utf8))
        #expect(report["requests"]?.integer == 500)
        #expect(report["bytes"]?.integer == 250 * 11 + 250 * 13)
        #expect(report["status"]?["200"]?.integer == 500)
        #expect(report["errors"] == .object([:]))
        for name in ["min", "mean", "p50", "p90", "p99", "p999", "max"] { #expect(report["latency_ms"]?[name] != nil) }
        #expect(report["requests_per_second"] != nil)
        #expect(report["duration_s"] != nil)
        let failing = try await run("load", "-n", "5", "-c", "1", "--json", "http://127.0.0.1:1/")
        #expect(failing.code == 1)
        let errors = try JSONDecoder().decode(JSONValue.self, from: Data(failing.output.utf8))["errors"]
        #expect(errors == .object(["714": .integer(5)]))
    }

    @Test("load speaks WebSocket, XML-RPC, JSON-RPC and gRPC")
    func loadCalls() async throws {
        let (socket, guide) = (try await WebSocketClientTests.url(), try await GRPCTests.url())
        let (xml, json) = (try await RPCTests.xmlPort(), try await RPCTests.jsonPort())
        let loads: [([String], Int)] = [
            (["--data", "hello", "\(socket)/echo"], 200), (["\(socket)/close?code=1000"], 710),
            (["--xml-rpc", "echo", "--data", "[1, 2]", "http://127.0.0.1:\(xml)/RPC2"], 200),
            (["--xml-rpc", "broken", "http://127.0.0.1:\(xml)/RPC2"], 500),
            (["--json-rpc", "math.add", "--data", "[1, 2]", "http://127.0.0.1:\(json)/"], 200),
            (["--grpc", "routeguide.RouteGuide/GetFeature", guide], 200),
            (["--grpc", "routeguide.RouteGuide/None", guide], 501),
        ]
        for (arguments, code) in loads {
            let finished = try await runToEnd(Self.skein, ["load", "-n", "50", "-c", "5", "--json"] + arguments)
            let report = try JSONDecoder().decode(JSONValue.self, from: Data(finished.output.utf8))
            let counts = report[code < 700 ? "status" : "errors"]
            #expect(
                counts == .object([String(code): .integer(50)]), "\(arguments): \(finished.output)\(finished.errors)")
            #expect(finished.code == (code == 200 ? 0 : 1))
        }
    }

    @Test("ws: one line per message, both ways; failures are named")
    func webSocket() async throws {
        let url = try await WebSocketClientTests.url()
        let lines = try await run("ws", "--wait", "0.2", "\(url)/echo", input: "one\ntwo\n")
        #expect(lines.code == 0 && lines.output == "one\ntwo\n", "\(lines.errors)")
        let counted = try await run("ws", "--count", "1", "--json", "--binary", "--send", "hi", "\(url)/echo")
        #expect(
            counted.code == 0 && counted.output == "{\"data\":{\"$base64\":\"aGk=\"},\"opcode\":2}\n",
            "\(counted.errors)")
        let refused = try await run("ws", "--send", "hi", "\(url)/forbidden")
        #expect(refused.code == 1 && refused.errors.contains("403"), "\(refused.errors)")
        let closed = try await run("ws", "--send", "hi", "--wait", "5", "\(url)/close?code=1011&reason=broken")
        #expect(closed.code == 1 && closed.errors.contains("1011 broken"), "\(closed.errors)")
    }

    @Test("HTTP/2 by prior knowledge and by upgrade, and a load with streams")
    func http2() async throws {
        let http2 = "http://127.0.0.1:\(try await Peers.shared.nginxHTTP2Ports().many)/hello"
        #expect(try await run("get", "--http2", http2).output == "REQID 0. HTTP/2.0 200 OK 11 bytes received\n")
        let upgrading = "http://127.0.0.1:\(try await Peers.shared.hypercornPort())/"
        #expect(try await run("get", "--http2-upgrade", "--body", upgrading).output == "2 GET 0")
        #expect(try await run("get", "--http1", "--body", upgrading).output == "1.1 GET 0")
        for flags in [["--http2"], []] {
            let finished = try await runToEnd(
                Self.skein, ["load", "-n", "2000", "-c", "2", "-m", "10", "--json"] + flags + [http2])
            let report = try JSONDecoder().decode(JSONValue.self, from: Data(finished.output.utf8))
            #expect(report["status"] == .object(["200": .integer(2000)]))
            #expect(report["connections"]?.integer == 2)
        }
    }

    @Test("TLS: get and load trust the given roots, respond presents its certificate")
    func tls() async throws {
        let (port, roots) = try await TLSTests.goodPort()
        let url = "https://localhost:\(port)/"
        let trusted = try await run("get", "--cacert", roots, url)
        #expect(trusted.output.hasPrefix("REQID 0. HTTP/2.0 200 OK"), "\(trusted.output)")
        let refused = try await run("get", url)
        #expect(refused.code == 1 && refused.output.contains("713 TLS handshake failure"))
        let insecure = try await run("get", "--insecure", "--http1", url)
        #expect(insecure.output.hasPrefix("REQID 0. HTTP/1.1 200 OK"))
        #expect(insecure.errors.contains("without verification"))
        let folder = try await Certificates.shared.folder()
        let mutual = try await TLSTests.mutualPort()
        let shown = try await run(
            "get", "--cacert", roots, "--cert", "\(folder)/client.pem", "--body", "https://localhost:\(mutual)/")
        #expect(shown.output.contains("CN=a client"))
        for flags in [["--http1"], ["-m", "5"]] {
            let finished = try await runToEnd(
                Self.skein, ["load", "-n", "200", "-c", "2", "--cacert", roots, "--json"] + flags + [url])
            let report = try JSONDecoder().decode(JSONValue.self, from: Data(finished.output.utf8))
            #expect(report["status"] == .object(["200": .integer(200)]), "\(finished.output)\(finished.errors)")
        }
        let server = try PeerProcess(
            Self.skein, ["respond", "hello", "--listen", "127.0.0.1:0", "--tls-cert", "\(folder)/good.pem"],
            log: TestFolder.path("respond.log"))
        let address = try await server.untilPrinted("listening on ")
        let answer = try await runToEnd(
            "curl", ["-sS", "--cacert", roots, "-w", " %{http_version}", "https://\(address)/"])
        #expect(answer.output == "hello 2", "\(answer.errors)")
        #expect(await server.stop() == 0)
    }

    @Test("load keeps its rate, and reports a stalled server honestly")
    func openLoop() async throws {
        // One client, 100 requests a second, and a server that takes 50 ms for each: the queue grows, and so must the
        // latency.
        let server = HTTPServer(ServerConfiguration(addresses: [.tcp("127.0.0.1", port: 0)], threads: 1)) { request in
            try await request.shard.sleep(until: .after(.milliseconds(50)))
            return .text("late")
        }
        guard case .tcp(_, let port)? = try await server.start().first else { throw PeerError("no port") }
        let finished = try await run(
            "load", "-n", "30", "-c", "1", "--rate", "100", "--json", "http://127.0.0.1:\(port)/")
        let report = try JSONDecoder().decode(JSONValue.self, from: Data(finished.output.utf8))
        guard let highest = report["latency_ms"]?["max"]?.double else {
            throw PeerError("no latency: \(finished.output)")
        }
        #expect(highest > 1000)
        await server.stop()
        let paced = try await run(
            "load", "--duration", "1", "--rate", "200", "-c", "5", "--json", "\(try await nginx())/hello")
        let count = try JSONDecoder().decode(JSONValue.self, from: Data(paced.output.utf8))["requests"]?.integer ?? 0
        #expect((199...201).contains(count))
    }

    @Test("respond serves until it is stopped", arguments: [[], ["--immediate"]])
    func respond(flags: [String]) async throws {
        let server = try PeerProcess(
            Self.skein, ["respond", "hello", "--listen", "127.0.0.1:0", "--threads", "2"] + flags,
            log: TestFolder.path("respond.log"))
        let address = try await server.untilPrinted("listening on ")
        let answer = try await runToEnd("curl", ["-sS", "http://\(address)/"])
        #expect(answer.output == "hello")
        #expect(await server.stop() == 0)
    }
}
