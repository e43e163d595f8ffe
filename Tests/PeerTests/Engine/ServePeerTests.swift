import Foundation
import NIOCore
import PeerSupport
import SkeinEngine
import Testing

/// The server as it is deployed on the internet: `skein serve`, proxies in front, limits, stops and reloads under load.
@Suite("Serving", .serialized, .inTurn, .timeLimit(.minutes(5)))
struct ServePeerTests {
    /// Starts `skein serve` and waits for its address.
    private func serve(_ arguments: [String]) async throws -> (PeerProcess, String) {
        let log = TestFolder.path("serve.log")
        let process = try PeerProcess(CommandTests.skein, ["serve"] + arguments, log: log)
        let end = ContinuousClock.now + .seconds(20)
        while ContinuousClock.now < end {
            let text = String(decoding: FileManager.default.contents(atPath: log) ?? Data(), as: UTF8.self)
            if let found = text.firstMatch(of: /listening on (\S+)/) { return (process, String(found.1)) }
            try await Task.sleep(for: .milliseconds(20))
        }
        throw PeerError("skein serve does not listen")
    }

    private func folder() throws -> String {
        let folder = TestFolder.path("served")
        try FileManager.default.createDirectory(atPath: "\(folder)/sub", withIntermediateDirectories: true)
        try Data("<h1>index</h1>".utf8).write(to: URL(filePath: "\(folder)/index.html"))
        try Data(repeating: 0x61, count: 200_000).write(to: URL(filePath: "\(folder)/sub/file.bin"))
        return folder
    }

    @Test("skein serve: folders, a log, a listing, a single-page app; errors are reported")
    func command() async throws {
        let folder = try folder()
        let log = TestFolder.path("access.log")
        let (process, address) = try await serve(
            [
                "--mount", "/files=\(folder)/sub", folder, "--listen", "127.0.0.1:0", "--log", log, "--log-format",
                "combined", "--list", "--spa",
                "--max-age", "60", "--status",
            ])
        #expect(try await curl("http://\(address)/") == "<h1>index</h1>")
        #expect(try await curl("http://\(address)/.metrics").contains("skein_requests_total{status=\"2xx\"} 1"))
        #expect(
            try await curl("-o", "/dev/null", "-w", "%{size_download}", "http://\(address)/files/file.bin") == "200000")
        #expect(try await curl("-H", "Accept: application/json", "http://\(address)/sub/").contains("\"file.bin\""))
        #expect(
            try await curl("-i", "-H", "Accept: text/html", "http://\(address)/any/page").contains(
                "Cache-Control: max-age=60"))
        await process.stop()
        let lines = String(decoding: FileManager.default.contents(atPath: log) ?? Data(), as: UTF8.self)
        #expect(lines.contains("\"GET /files/file.bin HTTP/1.1\" 200 200000 \"-\" \"curl/"))
        for (arguments, text) in [
            (["/nowhere"], "folder to serve does not exist"), (["--mount", "x"], "write /path=folder"),
            (["--forward", "80"], "--tls-cert"),
            (["--listen", "systemd"], "systemd passed no sockets"),
            (["--trust", "x"], "not an address range"),
            (["--listen", "x"], "not an address"), ([folder, "--log", "/nowhere/log"], "cannot be opened"),
        ] {
            let finished = try await runToEnd(CommandTests.skein, ["serve"] + arguments)
            #expect(
                finished.code != 0 && (finished.errors + finished.output).contains(text),
                "\(arguments): \(finished.errors)")
        }
    }

    @Test("TLS with a redirect from clear text, and HTTP/2")
    func secure() async throws {
        let certificates = try await Certificates.shared.folder()
        var engine = Engine()
        engine = try await engine.secured()
        engine.configuration.addresses.append(.tcp("127.0.0.1", port: 0))
        engine.configuration.forwardsToTLS = 8443
        engine.configuration.strictTransportSecurity = .seconds(3600)
        engine.configuration.logger = .silent
        engine.mount("/") { .text("\($0.version) \($0.isSecure)") }
        let server = engine.server()
        let addresses = try await server.start()
        guard case .tls(_, let secure) = addresses[0], case .tcp(_, let clear) = addresses[1] else {
            throw PeerError("no ports")
        }
        let said = try await curl("-i", "--cacert", "\(certificates)/ca.pem", "https://localhost:\(secure)/")
        #expect(said.contains("strict-transport-security: max-age=3600") && said.hasSuffix("HTTP/2.0 true"))
        let moved = try await curl("-i", "http://localhost:\(clear)/a%20b?c=d")
        #expect(moved.contains("Location: https://localhost:8443/a%20b?c=d\r\n") && moved.hasPrefix("HTTP/1.1 308"))
        #expect(!moved.contains("Strict-Transport"))
        await server.stop()
    }

    @Test("behind nginx: the client's address, its scheme, WebSockets, uploads")
    func behindNginx() async throws {
        var engine = Engine()
        engine.configuration.trustedProxies = ["127.0.0.1"]
        var router = Router()
        router.get("/who") { .text("\($0.clientAddress ?? "-") \($0.isSecure) \($0.headers["X-Real"] ?? "-")") }
        router.post("/upload") { .text("\(try await $0.multipart().files.first?.size ?? 0)") }
        router.webSocket("/echo", origins: ["*"]) { socket, _ in
            for try await message in socket { try await socket.send(message) }
        }
        engine.mount("/", router)
        try await serving(engine) { (port, _) async throws in
            let front = try await Ports.free()
            let home = TestFolder.path("nginx-front")
            try FileManager.default.createDirectory(atPath: home, withIntermediateDirectories: true)
            let paths = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map { "\($0)_temp_path \(home)/\($0);" }
                .joined()
            let path = try TestFolder.write(
                """
                daemon off; worker_processes 1; pid \(home)/pid; error_log \(home)/error.log; events {}
                http { access_log off; \(paths)
                upstream skein { server 127.0.0.1:\(port); keepalive 4; }
                server { listen 127.0.0.1:\(front); location / { proxy_pass http://skein; proxy_http_version 1.1; client_max_body_size 0;
                proxy_set_header Host $host; proxy_set_header X-Forwarded-For "$http_x_forwarded_for, 203.0.113.7";
                proxy_set_header X-Forwarded-Proto https; proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection "upgrade"; } } }
                """, as: "nginx.conf")
            let nginx = try PeerProcess(
                "nginx", ["-c", path, "-p", home, "-e", "\(home)/error.log"], log: TestFolder.path("nginx.log"))
            try await Ports.untilOpen(front)
            #expect(try await curl("http://127.0.0.1:\(front)/who") == "203.0.113.7 true -")
            // The client's claims precede the addresses that the proxy adds.
            #expect(
                try await curl("-H", "X-Forwarded-For: 1.2.3.4", "http://127.0.0.1:\(front)/who").hasPrefix(
                    "203.0.113.7"))
            let file = try TestFolder.write(String(repeating: "x", count: 3_000_000), as: "large")
            #expect(try await curl("-F", "f=@\(file)", "http://127.0.0.1:\(front)/upload") == "3000000")
            let skein = SkeinClient()
            let socket = try await skein.webSocket("ws://127.0.0.1:\(front)/echo")
            try await socket.send("through nginx")
            #expect(try await socket.receive()?.text == "through nginx")
            await socket.close()
            await skein.shutdown()
            await nginx.stop()
        }
        engine.configuration.trustedProxies = []
        try await serving(engine) { (port, _) async throws in
            let own = try await curl(
                "-H", "X-Forwarded-For: 1.2.3.4", "-H", "X-Forwarded-Proto: https", "http://127.0.0.1:\(port)/who")
            #expect(own == "127.0.0.1 false -")
        }
    }

    @Test("a PROXY header gives the client's address; without one the connection is closed")
    func proxyHeader() async throws {
        var engine = Engine()
        engine.configuration.expectsProxyHeader = true
        engine.configuration.maximumConnectionsPerAddress = 1
        engine.mount("/") { .text("\($0.remoteAddress?.ipAddress ?? "-") \($0.clientAddress ?? "-")") }
        try await serving(engine) { (port, _) async throws in
            #expect(try await curl("--haproxy-protocol", "http://127.0.0.1:\(port)/") == "127.0.0.1 127.0.0.1")
            let client = try await RawClient.connect(port)
            try await client.send("PROXY TCP4 192.0.2.9 192.0.2.1 5 80\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n")
            try await client.untilReceived("192.0.2.9 192.0.2.9")
            // The limit of connections is the client's, not the balancer's.
            let second = try await RawClient.connect(port)
            try await second.send("PROXY TCP4 192.0.2.9 192.0.2.1 6 80\r\n")
            #expect(await second.readToEnd().contains("too many connections from your address"))
            let other = try await RawClient.connect(port)
            try await other.send(
                "PROXY TCP4 192.0.2.10 192.0.2.1 6 80\r\nGET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
            #expect(await other.readToEnd().hasPrefix("HTTP/1.1 200"))
            let none = try await RawClient.connect(port)
            try await none.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            #expect(await none.readToEnd().isEmpty)
            await client.close()
        }
    }

    @Test("HAProxy in front, by both versions of the PROXY header", arguments: ["send-proxy", "send-proxy-v2"])
    func haproxy(version: String) async throws {
        var engine = Engine()
        engine.configuration.expectsProxyHeader = true
        engine.mount("/") { .text("\($0.remoteAddress?.ipAddress ?? "-") \($0.remoteAddress?.port ?? 0)") }
        try await serving(engine) { (port, _) async throws in
            let front = try await Ports.free()
            let path = try TestFolder.write(
                """
                defaults
                  mode tcp
                  timeout connect 5s
                  timeout client 20s
                  timeout server 20s
                listen skein
                  bind 127.0.0.1:\(front)
                  server skein 127.0.0.1:\(port) \(version)

                """, as: "haproxy.cfg")
            let haproxy = try PeerProcess("haproxy", ["-db", "-f", path], log: TestFolder.path("haproxy.log"))
            try await Ports.untilOpen(front)
            // Not the balancer's own address, which has another last byte.
            let said = try await curl("--interface", "127.0.0.7", "-w", " %{local_port}", "http://127.0.0.1:\(front)/")
            let words = said.split(separator: " ")
            #expect(words.first == "127.0.0.7" && words.count == 3 && words[1] == words[2], "\(said)")
            await haproxy.stop()
        }
    }

    @Test(
        "sockets that a service manager hands over, to one process and to a master",
        arguments: [[], ["--workers", "2"]])
    func handedOver(_ extra: [String]) async throws {
        let folder = try folder()
        let path = TestFolder.path("handed.sock")
        // As systemd does it: the sockets are descriptors from 3 on, and the environment tells the process.
        let script = try TestFolder.write(
            """
            import os, socket, sys
            server = socket.socket(socket.AF_UNIX); server.bind(sys.argv[1]); server.listen(16)
            os.dup2(os.dup(server.fileno()), 3, inheritable=True)
            os.set_inheritable(3, True)
            os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS="1", LISTEN_FDNAMES="http")
            os.execv(sys.argv[2], sys.argv[2:])
            """, as: "activate.py")
        let process = try PeerProcess(
            Peers.python(), [script, path, CommandTests.skein, "serve", folder, "--listen", "systemd"] + extra,
            log: TestFolder.path("handed.log"))
        let end = ContinuousClock.now + .seconds(20)
        var said = ""
        while said != "<h1>index</h1>", ContinuousClock.now < end {
            said = try await runToEnd("curl", ["-sS", "--unix-socket", path, "http://a/"]).output
        }
        #expect(said == "<h1>index</h1>")
        if !extra.isEmpty {
            for signal in [SIGHUP, SIGUSR2] {
                process.send(signal)
                try await Task.sleep(for: .seconds(1))
                said = try await runToEnd("curl", ["-sS", "--unix-socket", path, "http://a/"]).output
                #expect(said == "<h1>index</h1>", "\(process.output)")
            }
        }
        await process.stop()
    }

    @Test(
        "SIGHUP under load loses no request, begins a new log and brings new certificates; SIGTERM answers what was accepted"
    )
    func signals() async throws {
        let folder = try folder()
        let certificates = try await Certificates.shared.folder()
        let own = TestFolder.path("own.pem")
        let log = TestFolder.path("access.log")
        try FileManager.default.copyItem(atPath: "\(certificates)/good.pem", toPath: own)
        let (process, address) = try await serve(
            [folder, "--listen", "127.0.0.1:0", "--threads", "2", "--tls-cert", own, "--log", log])
        let port = address.split(separator: ":").last.map(String.init) ?? ""
        func subject() async throws -> String {
            try await runToEnd("openssl", ["s_client", "-connect", "127.0.0.1:\(port)", "-servername", "x"], input: "")
                .output
        }
        let before = try await subject()
        async let load = runToEnd(
            "h2load", ["-t1", "-c8", "-m8", "-n", "6000", "https://127.0.0.1:\(port)/sub/file.bin"])
        for number in 0..<5 {
            try await Task.sleep(for: .milliseconds(100))
            if number == 2 {
                try FileManager.default.moveItem(atPath: log, toPath: "\(log).old")
                try FileManager.default.removeItem(atPath: own)
                try FileManager.default.copyItem(atPath: "\(certificates)/chained.pem", toPath: own)
            }
            process.send(SIGHUP)
        }
        let finished = try await load
        #expect(finished.output.contains("6000 succeeded, 0 failed, 0 errored"), "\(finished.output)")
        let after = try await subject()
        #expect(before != after && after.contains("BEGIN CERTIFICATE"))
        _ = try await curl("-k", "https://127.0.0.1:\(port)/")

        // Clients that send one request after another, and the stop in between: every accepted request gets a complete
        // response.
        async let answers = python(
            """
            import json, socket, ssl, sys, threading
            counts = {"whole": 0, "partial": 0, "unanswered": 0, "refused": 0}
            lock = threading.Lock()
            context = ssl._create_unverified_context()
            def count(what):
                with lock: counts[what] += 1
            def ask(s):
                got = b""
                try:
                    s.sendall(b"GET /sub/file.bin HTTP/1.1\\r\\nHost: a\\r\\n\\r\\n")
                    while b"\\r\\n\\r\\n" not in got or len(got.partition(b"\\r\\n\\r\\n")[2]) < 200000:
                        piece = s.recv(65536)
                        if not piece: break
                        got += piece
                except OSError: pass
                head, _, body = got.partition(b"\\r\\n\\r\\n")
                count("whole" if len(body) == 200000 else "partial" if got else "unanswered")
                return len(body) == 200000 and b"Connection: close" not in head
            def run():
                while True:
                    try:
                        s = context.wrap_socket(socket.create_connection(("127.0.0.1", int(sys.argv[1])), 5))
                    except OSError:
                        return count("refused")
                    with s:
                        while ask(s): pass
            threads = [threading.Thread(target=run) for _ in range(8)]
            for t in threads: t.start()
            for t in threads: t.join()
            print(json.dumps(counts))
            """, port)
        func logged() -> Int {
            String(decoding: FileManager.default.contents(atPath: log) ?? Data(), as: UTF8.self)
                .components(separatedBy: " GET /sub/file.bin HTTP/1.1 0 200 200000 ").count
        }
        while logged() < 200 { try await Task.sleep(for: .milliseconds(20)) }
        await process.stop()
        let counts = try await answers
        #expect(counts["partial"]?.integer == 0 && counts["unanswered"]?.integer == 0, "\(counts)")
        #expect(counts["whole"]?.integer ?? 0 >= 200 && counts["refused"]?.integer == 8, "\(counts)")
        let lines = String(decoding: FileManager.default.contents(atPath: log) ?? Data(), as: UTF8.self)
        #expect(lines.contains(" GET / HTTP/2.0 "))
    }

    @Test("clients that send too slowly are disconnected, over HTTP/1.1 and HTTP/2, and others are not affected")
    func slowSenders() async throws {
        var engine = Engine()
        engine.configuration.headerTimeout = .seconds(1)
        engine.configuration.minimumBodyRate = 100_000
        engine.mount("/") { .text("\(try await $0.body.collect().readableBytes)") }
        try await serving(engine) { (port, server) async throws in
            let slow = try PeerProcess(
                "slowhttptest",
                [
                    "-c", "100", "-r", "100", "-X", "-H", "-i", "1", "-l", "60", "-u", "http://127.0.0.1:\(port)/",
                    "-p", "2",
                ],
                log: TestFolder.path("slow.log"))
            while server.connectionCount < 50 { try await Task.sleep(for: .milliseconds(20)) }
            // A body one byte at a time, faster than the idle timeout.
            let trickle = try await RawClient.connect(port)
            try await trickle.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n")
            async let trickled = Self.trickle(trickle)
            async let streamed = python(
                """
                import h2.connection, h2.events, json, socket, sys, time
                s = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
                s.settimeout(0.2)
                connection = h2.connection.H2Connection()
                connection.initiate_connection()
                connection.send_headers(1, [(":method", "POST"), (":scheme", "http"), (":path", "/"), (":authority", "a")])
                begun, end = time.time(), None
                while end is None and time.time() < begun + 25:
                    connection.send_data(1, b"x")
                    s.sendall(connection.data_to_send())
                    try: bytes = s.recv(65536)
                    except socket.timeout: continue
                    events = connection.receive_data(bytes)
                    if any(isinstance(event, h2.events.StreamReset) for event in events): end = "cut"
                    elif not bytes: end = "closed"
                print(json.dumps([end, int(time.time() - begun)]))
                """, "\(port)")
            #expect(try await curl("-d", "12345", "http://127.0.0.1:\(port)/") == "5")
            #expect(try await trickled.hasPrefix("HTTP/1.1 408"))
            let end = try await streamed
            #expect(end[0]?.string == "cut" && (10..<25).contains(end[1]?.integer ?? 0), "\(end)")
            await slow.stop()
            while server.connectionCount > 0 { try await Task.sleep(for: .milliseconds(50)) }
        }
    }

    @Test("clients that read too slowly are disconnected, for dynamic content and files")
    func slowTakers() async throws {
        let file = TestFolder.path("served")
        try FileManager.default.createDirectory(atPath: file, withIntermediateDirectories: true)
        try Data(count: 64 << 20).write(to: URL(filePath: "\(file)/large.bin"))
        var engine = Engine()
        engine.configuration.minimumBodyRate = 2_000_000
        engine.configuration.bodyTimeout = .seconds(120)  // so that silence is not what ends them
        engine.mount("/made") { _ in ServerResponse(body: .bytes(ByteBuffer(repeating: 0x61, count: 64 << 20))) }
        engine.mount("/", .directory(file))
        try await serving(engine) { (port, server) async throws in
            let script = try TestFolder.write(
                """
                import socket, sys, time
                s = socket.socket()
                s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
                s.connect(("127.0.0.1", int(sys.argv[1])))
                s.sendall(f"GET {sys.argv[2]} HTTP/1.1\\r\\nHost: a\\r\\n\\r\\n".encode())
                while s.recv(4096): time.sleep(0.02)
                """, as: "sip.py")
            let begun = ContinuousClock.now
            let clients = try ["/made", "/large.bin"].map { path in
                try PeerProcess(Peers.python(), [script, "\(port)", path], log: TestFolder.path("sip.log"))
            }
            while server.connectionCount < 2 { try await Task.sleep(for: .milliseconds(20)) }
            while server.connectionCount > 0 { try await Task.sleep(for: .milliseconds(50)) }
            #expect((.seconds(10) ..< .seconds(60)).contains(ContinuousClock.now - begun))
            for client in clients { await client.stop() }
        }
    }

    private static func trickle(_ client: RawClient) async throws -> String {
        async let answer = client.readToEnd()
        while (try? await client.send("x")) != nil { try await Task.sleep(for: .milliseconds(200)) }
        return await answer
    }

    @Test("content is echoed while it arrives", arguments: ["--http1.1", "--http2-prior-knowledge"])
    func duplex(version: String) async throws {
        var engine = Engine()
        engine.mount("/") { .stream($0.body) }
        try await serving(engine) { (port, _) async throws in
            let file = try TestFolder.write(String(repeating: "0123456789", count: 300_000), as: "large")
            let out = TestFolder.path("echo")
            let url = "http://127.0.0.1:\(port)/"
            for expectation in ["Expect: 100-continue", "Expect:"] {
                #expect(
                    try await curl(version, "-H", expectation, "-T", file, "-o", out, "-w", "%{http_code}", url)
                        == "200")
                #expect(FileManager.default.contentsEqual(atPath: file, andPath: out))
            }
        }
    }

    @Test("blocking work on threads: limits of concurrency and queue, the rest gets 503")
    func threads() async throws {
        let gate = Gate()
        var engine = Engine()
        engine.mount("/block", on: .threads(4, queue: 2)) { _ in
            gate.block()
            return .text("blocked")
        }
        engine.mount("/") { _ in .text("loop") }
        try await serving(engine) { (port, _) async throws in
            let base = "http://127.0.0.1:\(port)"
            try await withThrowingTaskGroup(of: String.self) { group in
                for _ in 0..<10 { group.addTask { try await curl("-w", " %{http_code}", "\(base)/block") } }
                // Four of ten find no place; the loops serve others meanwhile. More threads block than Swift's own pool
                // has.
                var refused = 0
                while refused < 4, let answer = try await group.next() {
                    #expect(answer.hasSuffix("503"))
                    refused += 1
                }
                while gate.blocked < 4 { try await Task.sleep(for: .milliseconds(5)) }
                #expect(try await curl("\(base)/") == "loop")
                gate.open()
                for try await answer in group {
                    #expect(answer == "blocked 200", "\(answer)")
                }
            }
        }
    }

    /// Blocks threads until it is opened.
    private final class Gate: Sendable {
        private let condition = NSCondition()
        nonisolated(unsafe) private var isOpen = false
        nonisolated(unsafe) private var count = 0

        var blocked: Int { condition.withLock { count } }

        func block() {
            condition.withLock {
                count += 1
                while !isOpen { condition.wait() }
                count -= 1
            }
        }

        func open() {
            condition.withLock {
                isOpen = true
                condition.broadcast()
            }
        }
    }

    @Test("the test client on a port, and attached to a running server")
    func testClient() async throws {
        var engine = Engine()
        engine.mount("/") { request in
            .json(["method": request.method.rawValue, "body": String(buffer: try await request.body.collect())])
        }
        let client = try await TestClient.onPort(engine)
        let attached = TestClient.attached(to: try #require(client.base))
        let memory = try await TestClient.inMemory(engine)
        for one in [client, attached, memory] {
            let said = try await one.post("/x", body: .text("content")).json([String: String].self)
            #expect(said == ["method": "POST", "body": "content"])
            #expect(try await one.send(.head, "/").text.isEmpty)
        }
        await attached.stop()
        #expect(try await client.get("/").status == .ok)
        await client.stop()
        await memory.stop()
        await #expect(throws: SkeinError.self) { try await TestClient.attached(to: "http://127.0.0.1:1").get("/") }
    }
}
