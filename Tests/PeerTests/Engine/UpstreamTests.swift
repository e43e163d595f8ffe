import Foundation
import GRPCCore
import Logging
import NIOCore
import PeerSupport
import Skein
import SkeinCore
import SkeinEngine
import SkeinGRPC
import SkeinHTTP
import Synchronization
import Testing

/// The reverse proxy between third-party clients and back ends.
@Suite("Reverse proxy", .serialized, .inTurn, .timeLimit(.minutes(5)))
struct UpstreamTests {
    /// Serves one back end at the root.
    private func proxying(
        _ url: String, _ change: (inout UpstreamConfiguration) -> Void = { _ in },
        _ test: (Int, HTTPServer) async throws -> Void
    ) async throws {
        var options = UpstreamConfiguration()
        change(&options)
        var engine = Engine()
        engine.mount("/", .upstream(url, options))
        try await serving(engine, test)
    }

    /// curl's result: the head without fields that differ from one response to the next and without the framing, and a
    /// hash of the content.
    private func response(_ url: String, _ arguments: [String]) async throws -> String {
        let body = TestFolder.path("body")
        let run = try await runToEnd(
            "curl", ["-sS", "--max-time", "60", "-o", body, "-D", "-", url] + arguments)
        // The last head: 100 (Continue) may stand before it.
        let lines = run.output.replacing("\r\n", with: "\n").components(separatedBy: "\n\n").last { !$0.isEmpty } ?? ""
        let fields = lines.split(separator: "\n").dropFirst().map { line in
            let parts = line.split(separator: ":", maxSplits: 1)
            return "\(parts[0].lowercased()):\(parts.count > 1 ? parts[1] : "")"
        }
        .filter { line in
            !["connection", "keep-alive", "date", "transfer-encoding", "content-length"].contains {
                line.hasPrefix("\($0):")
            }
        }
        let status = lines.split(separator: " ").dropFirst().first?.prefix(3) ?? ""
        // curl writes the head into that file, too.
        let content = arguments.contains("-I") ? Data() : FileManager.default.contents(atPath: body) ?? Data()
        try? FileManager.default.removeItem(atPath: body)
        return "\(status) \(fields.sorted()) \(content.count) \(content.hashValue) \(run.errors)"
    }

    @Test("HTTP/1.1 and HTTP/2 on either side: curl gets what nginx sends, in content and fields")
    func matrix() async throws {
        let nginx = try await Peers.shared.nginxPort()
        let nginx2 = try await Peers.shared.nginxHTTP2Ports().many
        for (back, isHTTP2) in [("http://127.0.0.1:\(nginx)", false), ("http://127.0.0.1:\(nginx2)", true)] {
            try await proxying(back, { $0.http2 = isHTTP2 ? .priorKnowledge : nil }) { port, _ in
                for front in [["--http1.1"], ["--http2-prior-knowledge"], ["--http1.0"]] {
                    for (path, arguments) in [
                        ("/hello", []), ("/varied", []), ("/small.txt", ["-I"]), ("/big", ["-I"]), ("/none", []),
                        ("/varied", ["-r", "1000-2000000"]), ("/moved", []),
                        ("/br/words.txt", ["-H", "Accept-Encoding: br"]), ("/basic", []), ("/close", []),
                        ("/small.txt", ["-H", "If-Modified-Since: Fri, 01 Jan 2038 00:00:00 GMT"]),
                        ("/sink/\(UInt32.random(in: .min ... .max))", ["-T", "/bin/ls"]),
                    ] {
                        let direct = try await response("http://127.0.0.1:\(nginx)\(path)", ["--http1.1"] + arguments)
                        let through = try await response("http://127.0.0.1:\(port)\(path)", front + arguments)
                        let isUpload = arguments.contains("-T")
                        if arguments == ["-I"] { #expect(through.contains("200"), "\(through)") }
                        #expect(
                            isUpload
                                ? through.hasPrefix("20") && direct.hasPrefix("20") : through == normal(direct, nginx),
                            "\(back) \(front) \(path) \(arguments)\n\(through)\n\(direct)")
                    }
                }
            }
        }
    }

    @Test("TLS in front and behind, HTTP/1.1 and HTTP/2: curl gets what nginx sends")
    func secure() async throws {
        let nginx = try await Peers.shared.nginxPort()
        let certificates = try await Certificates.shared.folder()
        // A proxy behind a proxy, so that the back end uses TLS, too: a separate process, because a request that
        // returns to the same proxy is refused.
        let back = try await Ports.free()
        let inner = try PeerProcess(
            CommandTests.skein,
            [
                "proxy", "--mount", "/=http://127.0.0.1:\(nginx)", "--listen", "127.0.0.1:\(back)", "--tls-cert",
                "\(certificates)/good.pem",
            ], log: TestFolder.path("inner.log"))
        _ = try await inner.untilPrinted("listening on ")
        for http2 in [HTTP2Use?.none, .never] {
            var options = UpstreamConfiguration()
            options.http2 = http2
            options.host = .replaced
            var engine = Engine()
            engine.configuration.client.http.tls.roots = .file("\(certificates)/ca.pem")
            engine.mount("/", .upstream("https://localhost:\(back)", options))
            try await serving(try await engine.secured()) { (port, _) async throws in
                for front in ["--http1.1", "--http2"] {
                    for path in ["/hello", "/varied", "/none", "/br/words.txt", "/big"] {
                        let direct = try await response("http://127.0.0.1:\(nginx)\(path)", [])
                        let through = try await response(
                            "https://localhost:\(port)\(path)", [front, "--cacert", "\(certificates)/ca.pem"])
                        #expect(through == direct, "\(front) \(path)")
                    }
                }
            }
        }
        await inner.stop()
    }

    /// nginx's redirects name nginx; clients of the proxy are redirected to the proxy.
    private func normal(_ response: String, _ back: Int) -> String {
        response.replacing("http://127.0.0.1:\(back)/", with: "/")
    }

    @Test("large content is streamed both ways; a client that leaves ends the request to the back end")
    func streaming() async throws {
        let services = try await Peers.shared.servicesPort()
        let nginx2 = try await Peers.shared.nginxHTTP2Ports().many
        let file = TestFolder.path("large-upload")
        try Data((0..<8 << 20).flatMap { withUnsafeBytes(of: UInt32($0)) { Array($0) } }).write(
            to: URL(filePath: file))
        let digest = try await runToEnd("sha256sum", [file]).output.prefix(64)
        var engine = Engine()
        engine.configuration.maximumBodySize = 1 << 30
        engine.mount("/services", .upstream("http://127.0.0.1:\(services)"))
        var options = UpstreamConfiguration()
        options.http2 = .priorKnowledge
        engine.mount("/", .upstream("http://127.0.0.1:\(nginx2)", options))
        try await serving(engine) { port, server in
            for arguments in [
                ["--http1.1"], ["--http1.1", "-H", "Transfer-Encoding: chunked"], ["--http2-prior-knowledge"],
            ] {
                let run = try await runToEnd(
                    "curl",
                    ["-sS", "--max-time", "60", "-X", "PUT", "-T", file, "http://127.0.0.1:\(port)/services/echo"]
                        + arguments)
                #expect(run.output.contains(digest), "\(arguments) \(run.output.prefix(200)) \(run.errors)")
            }
            let before = ProcessMemory.resident ?? 0
            for version in ["--http1.1", "--http2-prior-knowledge"] {
                // 1 GiB, of which the client reads a part.
                let part = try await runToEnd(
                    "curl",
                    [
                        "-sS", "--max-time", "1", "--limit-rate", "10M", version, "-o", "/dev/null",
                        "http://127.0.0.1:\(port)/huge",
                    ])
                #expect(part.code == 28, "\(part.errors)")
            }
            #expect((ProcessMemory.resident ?? 0) - before < 192 << 20)
            for _ in 0..<200 where server.connectionCount > 0 { try await Task.sleep(for: .milliseconds(20)) }
            #expect(server.connectionCount == 0)
        }
    }

    @Test("a back end that fails in the middle never yields a complete-looking response")
    func brokenOff() async throws {
        for (index, end) in [ScriptedServer.Step.close, .reset].enumerated() {
            for head in ["Content-Length: 1000000", "Transfer-Encoding: chunked"] {
                let content = head.hasPrefix("T") ? "5\r\nhello\r\n" : "hello"
                let back = try await ScriptedServer.start { number in
                    let begin = ScriptedServer.Step.send("HTTP/1.1 200 OK\r\n\(head)\r\n\r\n\(content)")
                    return number == 0 ? [begin, .wait, .wait, end] : [begin, .close]
                }
                try await proxying("http://127.0.0.1:\(back.port)") { port, _ in
                    let client = try await RawClient.connect(port)
                    try await client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\na")
                    try await client.untilReceived("hello")
                    try await client.send("b")
                    try await Task.sleep(for: .milliseconds(50))
                    try? await client.send("c")
                    let all = await client.readToEnd()
                    #expect(all.hasPrefix("HTTP/1.1 200") && !all.hasSuffix("0\r\n\r\n"), "\(index) \(all)")
                    let run = try await runToEnd(
                        "curl",
                        [
                            "-sS", "--max-time", "10", "--http2-prior-knowledge", "-d", "abc",
                            "http://127.0.0.1:\(port)/",
                        ])
                    #expect(run.code != 0 && run.code != 28, "\(run.output) \(run.errors)")
                }
                await back.stop()
            }
        }
    }

    @Test("failures are 502 or 504, with the reason in the log and not in the response")
    func failures() async throws {
        let silent = try await ScriptedServer.start { _ in [.wait, .wait] }
        let garbage = try await ScriptedServer.start { _ in [.send("SSH-2.0-x\r\n\r\n"), .close] }
        let lines = Lines()
        var engine = Engine()
        engine.configuration.addresses = [.tcp("127.0.0.1", port: 0)]
        engine.configuration.logger = lines.logger
        var options = UpstreamConfiguration()
        options.responseTimeout = .milliseconds(300)
        engine.mount("/silent", .upstream("http://127.0.0.1:\(silent.port)", options))
        engine.mount("/garbage", .upstream("http://127.0.0.1:\(garbage.port)"))
        engine.mount("/refused", .upstream("http://127.0.0.1:1"))
        engine.mount("/unknown", .upstream("http://no.such.host.invalid"))
        engine.mount("/alias", .upstream("@unknown"))
        let server = engine.server()
        guard case .tcp(_, let port) = try await server.start()[0] else { return }
        for (path, status) in [("silent", "504"), ("garbage", "502"), ("refused", "502"), ("unknown", "502")] {
            let text = try await curl("-i", "http://127.0.0.1:\(port)/\(path)")
            #expect(text.hasPrefix("HTTP/1.1 \(status)"), "\(path) \(text)")
            #expect(!text.contains("127.0.0.1") && !text.contains("invalid"), "\(text)")
        }
        #expect(try await curl("-i", "http://127.0.0.1:\(port)/alias").hasPrefix("HTTP/1.1 500"))
        await server.stop()
        #expect(lines.text.contains("refused") && lines.text.contains("no.such.host.invalid"), "\(lines.text)")
        await silent.stop()
        await garbage.stop()

        // A back end whose address is the proxy itself.
        let own = try await Ports.free()
        var circle = Engine()
        circle.configuration.addresses = [.tcp("127.0.0.1", port: own)]
        circle.mount("/", .upstream("http://127.0.0.1:\(own)"))
        try await serving(circle) { port, _ in
            let text = try await curl("-i", "http://127.0.0.1:\(port)/")
            #expect(text.hasPrefix("HTTP/1.1 508"), "\(text)")
        }
    }

    @Test("interim responses and trailers are forwarded, also between versions")
    func partsBeside() async throws {
        let back = try await ScriptedServer.start { _ in
            [
                .until("\r\n\r\n"),
                .send(
                    "HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\n"
                        + "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n5\r\nhello\r\n0\r\nX-Sum: 42\r\n\r\n"
                ), .close,
            ]
        }
        try await proxying("http://127.0.0.1:\(back.port)") { port, _ in
            let client = try await RawClient.connect(port)
            try await client.send("GET / HTTP/1.1\r\nHost: a\r\nTE: trailers\r\nConnection: TE, close\r\n\r\n")
            let all = await client.readToEnd()
            #expect(all.contains("HTTP/1.1 102 Processing") && all.contains("Link: </a.css>; rel=preload"), "\(all)")
            #expect(all.hasSuffix("5\r\nhello\r\n0\r\nX-Sum: 42\r\n\r\n"), "\(all)")
            let verbose = try await curl("-v", "--http2-prior-knowledge", "http://127.0.0.1:\(port)/")
            #expect(verbose.contains("HTTP/2 103") && verbose.contains("x-sum: 42"), "\(verbose)")
        }
        await back.stop()

        // Trailers of requests, as the back end receives them.
        let received = try await ScriptedServer.start { _ in
            [.until("x-sum: 7\r\n\r\n"), .send("HTTP/1.1 204 No Content\r\n\r\n"), .close]
        }
        try await proxying("http://127.0.0.1:\(received.port)") { port, _ in
            let client = try await RawClient.connect(port)
            try await client.send(
                "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n1\r\na\r\n0\r\nx-sum: 7\r\n\r\n"
            )
            #expect(await client.readToEnd().hasPrefix("HTTP/1.1 204"))
        }
        await received.stop()
    }

    private func tryEcho(_ socket: WebSocket, _ version: String) async throws {
        var messages = socket.makeAsyncIterator()
        for text in ["hello", "ä€😀", String(repeating: "x", count: 300_000)] {
            try await socket.send(.text(text))
            let message = try await messages.next()
            #expect(message == .text(version + text))
        }
        await socket.close()
    }

    @Test("WebSockets over HTTP/1.1 and HTTP/2 to Python's server, and Python's client to ours through the proxy")
    func webSockets() async throws {
        let process = try PeerProcess(
            Peers.python(), ["\(Peers.scripts)/sockets.py", "serve"], log: TestFolder.path("proxied-sockets.log"))
        let back = try await process.untilPrinted("listening ")
        let hypercorn = try await Peers.shared.hypercornPort()
        var engine = Engine()
        engine.mount("/", .upstream("http://127.0.0.1:\(back)"))
        var options = UpstreamConfiguration()
        options.http2 = .priorKnowledge
        engine.mount("/two", .upstream("http://127.0.0.1:\(hypercorn)", options))
        try await serving(engine) { port, _ in
            for use in [HTTP2Use.never, .priorKnowledge] {
                var configuration = SkeinClient.Configuration()
                configuration.http.http2.use = use
                let client = SkeinClient(configuration)
                for (path, version) in [("/echo", ""), ("/two", "2 ")] {
                    let socket = try await client.webSocket("ws://127.0.0.1:\(port)\(path)")
                    try await tryEcho(socket, version)
                }
                let refused = try? await client.webSocket("ws://127.0.0.1:\(port)/forbidden")
                #expect(refused == nil)
                await client.shutdown()
            }
        }
        await process.stop()

        var own = Engine()
        own.get("/echo") { request in
            var options = WebSocketConfiguration()
            options.subprotocols = ["echo.v1"]
            return try request.webSocket(options) { for try await message in $0 { try await $0.send(message) } }
        }
        own.get("/bye") { try $0.webSocket { await $0.close(.policyViolation, "bye") } }
        own.get("/fail") { try $0.webSocket { _ in throw CocoaError(.fileNoSuchFile) } }
        own.get("/fragments") { try $0.webSocket { try await $0.send(.text("abc")) } }
        own.get("/large") {
            try $0.webSocket { try await $0.send(.binary(ByteBuffer(repeating: 1, count: 900_000))) }
        }
        try await serving(own) { back, _ in
            try await proxying("http://127.0.0.1:\(back)") { port, server in
                let run = try await runToEnd(
                    Peers.python(), ["\(Peers.scripts)/sockets.py", "try", "ws://127.0.0.1:\(port)"])
                #expect(run.code == 0 && run.output.contains("\"echo\": \"all\""), "\(run.output) \(run.errors)")
            }
        }
    }

    @Test("grpcio's server behind the proxy: all four kinds of call, and its errors")
    func remoteCalls() async throws {
        let back = try await GRPCTests.url()
        try await proxying(back, { $0.http2 = .priorKnowledge }) { port, _ in
            let skein = SkeinClient()
            let transport = try SkeinClientTransport("http://127.0.0.1:\(port)", skein: skein)
            try await withGRPCClient(transport: transport) { client in
                let guide = Routeguide_RouteGuide.Client(wrapping: client)
                #expect(try await guide.getFeature(.with { $0.latitude = 7 }).name == "place 7")
                let area = Routeguide_Rectangle.with { $0.hi = .with { $0.latitude = 500 } }
                let names = try await guide.listFeatures(area) { response in
                    try await response.messages.reduce(into: []) { $0.append($1.name) }
                }
                #expect(names == (0..<500).map { "place \($0)" })
                let summary = try await guide.recordRoute { writer in
                    for number in 0..<500 { try await writer.write(.with { $0.latitude = Int32(number) }) }
                }
                #expect(summary.pointCount == 500)
                let heard = try await guide.routeChat { writer in
                    for number in 0..<100 { try await writer.write(.with { $0.message = "\(number)" }) }
                } onResponse: { response in
                    try await response.messages.reduce(into: []) { $0.append($1.message) }
                }
                #expect(heard == (0..<100).map { "heard \($0)" })
            }
            await skein.shutdown()
        }
    }

    @Test(
        "members of an alias are killed and brought back under load: no failed request, and sockets of the others stay")
    func members() async throws {
        let folder = TestFolder.path("members")
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        let app = """
            async def app(scope, receive, send):
                if scope["type"] == "websocket":
                    await receive()
                    await send({"type": "websocket.accept"})
                    while (event := await receive())["type"] == "websocket.receive":
                        await send({"type": "websocket.send", "text": event["text"]})
                    return
                if scope["type"] != "http":
                    return
                while (await receive()).get("more_body"):
                    pass
                await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
                await send({"type": "http.response.body", "body": b"ok"})
            """
        try app.write(toFile: "\(folder)/member_app.py", atomically: true, encoding: .utf8)
        @Sendable func start(_ port: Int) async throws -> PeerProcess {
            let process = try PeerProcess(
                Peers.python("hypercorn"), ["-w", "0", "-b", "127.0.0.1:\(port)", "member_app:app"],
                environment: ["PYTHONPATH": folder], log: TestFolder.path("members.log"))
            try await Ports.untilOpen(port)
            return process
        }
        let ports = [try await Ports.free(), try await Ports.free(), try await Ports.free()]
        var processes: [PeerProcess] = []
        for port in ports { processes.append(try await start(port)) }
        var engine = Engine()
        var alias = try Alias(.http, ports.map { "127.0.0.1:\($0)" })
        alias.balancing.policy = .roundRobin
        engine.alias("@members", alias)
        engine.mount("/", .upstream("@members"))
        engine.mount("/direct", .upstream("http://127.0.0.1:\(ports[2])"))
        try await serving(engine) { port, server in
            let client = SkeinClient(concurrency: 64)
            let socket = try await client.webSocket("ws://127.0.0.1:\(port)/direct/socket")
            let failed = Mutex<[String]>([])
            let count = Mutex(0)
            let load = Task {
                while !Task.isCancelled {
                    let corequests = (0..<20).map { client.get("http://127.0.0.1:\(port)/\($0)") }
                    for corequest in corequests {
                        let response = await corequest.dispatch()
                        count.withLock { $0 += 1 }
                        if response.statusCode != 200, !Task.isCancelled {
                            failed.withLock { $0.append(response.reportLine) }
                        }
                    }
                    try? await Task.sleep(for: .milliseconds(20))
                }
            }
            for index in 0..<2 {
                try await Task.sleep(for: .milliseconds(400))
                await processes[index].stop(SIGKILL)
                try await Task.sleep(for: .milliseconds(600))
                processes[index] = try await start(ports[index])
            }
            try await Task.sleep(for: .milliseconds(500))
            load.cancel()
            await load.value
            #expect(failed.withLock { $0 } == [])
            #expect(count.withLock { $0 } > 100)
            try await socket.send("still there")
            let message = try await socket.receive()
            #expect(message == .text("still there"))
            await socket.close()
            await client.shutdown()
        }
        for process in processes { await process.stop() }
    }

    @Test("a back end without WebSockets, and one that sends 103 for ever")
    func misleading() async throws {
        let back = try await ScriptedServer.start { _ in
            [.until("\r\n\r\n"), .send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nhtml")]
        }
        try await proxying("http://127.0.0.1:\(back.port)") { port, _ in
            var configuration = SkeinClient.Configuration()
            configuration.http.http2.use = .priorKnowledge
            let client = SkeinClient(configuration)
            let socket = try? await client.webSocket("ws://127.0.0.1:\(port)/")
            #expect(socket == nil)
            await client.shutdown()
        }
        await back.stop()
        let talking = try await ScriptedServer.start { _ in
            [
                .until("\r\n\r\n"),
                .send(String(repeating: "HTTP/1.1 103 Early Hints\r\nConnection: x\r\nX: 1\r\n\r\n", count: 1000)),
                .send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok"), .close,
            ]
        }
        try await proxying("http://127.0.0.1:\(talking.port)") { port, _ in
            let client = try await RawClient.connect(port)
            try await client.send("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
            let all = await client.readToEnd()
            let hints = all.components(separatedBy: "HTTP/1.1 103").count - 1
            #expect(hints == 16 && all.hasSuffix("ok") && !all.contains("Connection: x"), "\(hints)")
        }
        await talking.stop()
    }

    @Test("server-sent events arrive one by one")
    func events() async throws {
        let (events, source) = AsyncStream.makeStream(of: ServerSentEvent.self)
        var back = Engine()
        back.get("/events") { _ in .events(events) }
        try await serving(back) { back, _ in
            try await proxying("http://127.0.0.1:\(back)") { port, _ in
                let client = try await RawClient.connect(port)
                try await client.send("GET /events HTTP/1.1\r\nHost: a\r\n\r\n")
                // Each is sent when the previous one has arrived.
                for number in 0..<5 {
                    source.yield(ServerSentEvent("\(number)"))
                    try await client.untilReceived("data: \(number)")
                }
                source.finish()
                await client.close()
            }
        }
    }
}

/// Collected log lines.
final class Lines: Sendable {
    private let lines = Mutex<[String]>([])

    var text: String { lines.withLock { $0.joined(separator: "\n") } }
    func add(_ line: String) { lines.withLock { $0.append(line) } }
    var logger: Logger { Logger(label: "test") { _ in LineHandler(lines: self) } }

    private struct LineHandler: LogHandler {
        let lines: Lines
        var metadata: Logger.Metadata = [:]
        var logLevel = Logger.Level.trace

        subscript(metadataKey key: String) -> Logger.Metadata.Value? {
            get { metadata[key] }
            set { metadata[key] = newValue }
        }

        func log(event: LogEvent) { lines.add("\(event.message)") }
    }
}
