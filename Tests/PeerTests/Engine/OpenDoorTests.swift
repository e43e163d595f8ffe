import Foundation
import PeerSupport
import Skein
import SkeinEngine
import SkeinSQLite
import Synchronization
import Testing

/// Access to status pages and proxies, and which fields of untrusted clients are believed.
@Suite("Security defaults", .serialized, .inTurn, .timeLimit(.minutes(5)))
struct OpenDoorTests {
    @Test("one family of forwarding fields is trusted, from trusted proxies, and only their own entries")
    func forwarding() async throws {
        var engine = Engine()
        engine.configuration.trustedProxies = ["127.0.0.1/32", "10.0.0.0/8"]
        engine.mount("/") { request in
            .text("\(request.clientAddress ?? "-") \(request.isSecure) \(request.headers["Forwarded"] ?? "-")")
        }
        try await serving(engine) { (port, _) async throws in
            let base = "http://127.0.0.1:\(port)/"
            func ask(_ fields: String...) async throws -> String {
                let finished = try await runToEnd("curl", ["-sS"] + fields.flatMap { ["-H", $0] } + [base])
                return finished.output
            }
            #expect(try await ask() == "127.0.0.1 false -")
            #expect(try await ask("X-Forwarded-For: 203.0.113.9") == "203.0.113.9 false -")
            // No trusted proxy has checked the other field; it is removed.
            #expect(
                try await ask("X-Forwarded-For: 203.0.113.9", "Forwarded: for=127.0.0.9;proto=https")
                    == "203.0.113.9 false -")
            #expect(try await ask("X-Forwarded-For: 127.0.0.1, 203.0.113.9") == "203.0.113.9 false -")
            #expect(try await ask("X-Forwarded-For: 1.1.1.1, 203.0.113.9, 10.1.1.1") == "203.0.113.9 false -")
            #expect(try await ask("X-Forwarded-For: 1.1.1.1, unknown, 10.1.1.1") == "- false -")
            #expect(try await ask("X-Forwarded-Proto: http, https") == "127.0.0.1 true -")
            #expect(try await ask("X-Forwarded-Proto: https, http") == "127.0.0.1 false -")
        }
        engine.configuration.forwarding = .forwarded
        try await serving(engine) { (port, _) async throws in
            let base = "http://127.0.0.1:\(port)/"
            let both = try await curl(
                "-H", "X-Forwarded-For: 9.9.9.9", "-H", "Forwarded: for=\"[2001:db8::1]:80\";proto=https, for=10.0.0.2",
                base)
            #expect(both.hasPrefix("2001:db8::1 true "))
            #expect(try await curl("-H", "Forwarded: for=\"_a,for=127.0.0.1\"", base).hasPrefix("- false "))
        }
    }

    @Test(
        "local pages want a local client, a local host, and nothing in between: nginx that is told nothing, a host of a stranger"
    )
    func local() async throws {
        var engine = Engine()
        engine.mount("/.status", .status())
        engine.mount("/.metrics", .metrics())
        try await serving(engine) { (port, _) async throws in
            let front = try await Ports.free()
            let folder = TestFolder.path("front")
            try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
            let temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map {
                "\($0)_temp_path \(folder)/\($0);"
            }.joined(separator: " ")
            let path = try TestFolder.write(
                """
                daemon off; worker_processes 1; pid \(folder)/pid; error_log \(folder)/error.log; events {}
                http { access_log off; \(temporary)
                server { listen 127.0.0.1:\(front); location / { proxy_pass http://127.0.0.1:\(port); } } }
                """, as: "front.conf")
            let nginx = try PeerProcess(
                "nginx", ["-c", path, "-p", folder, "-e", "\(folder)/error.log"], log: "\(folder)/out.log")
            try await Ports.untilOpen(front)
            for page in ["/.status", "/.metrics"] {
                func code(_ arguments: String...) async throws -> String {
                    try await runToEnd("curl", ["-sS", "-o", "/dev/null", "-w", "%{http_code}"] + arguments).output
                }
                let own = "http://127.0.0.1:\(port)\(page)"
                #expect(try await code(own) == "200")
                #expect(try await code("http://localhost:\(port)\(page)") == "200")
                #expect(try await code("http://127.0.0.1:\(front)\(page)") == "404")
                for field in [
                    "Host: evil.example", "Host: 127.evil.example", "X-Forwarded-For: 127.0.0.1",
                    "Forwarded: for=127.0.0.1",
                    "Via: 1.1 x", "X-Real-IP: 127.0.0.1",
                ] {
                    #expect(try await code("-H", field, own) == "404", "\(field)")
                }
                #expect(try await code("-0", own) == "404")
            }
            await nginx.stop()
        }
    }

    @Test("pages of other sites cannot open a WebSocket, wherever it is accepted")
    func origins() async throws {
        let process = try PeerProcess(
            CommandTests.skein, ["respond", "hi", "--websocket", "--listen", "127.0.0.1:0"],
            log: TestFolder.path("respond.log"))
        let port = try await process.untilPrinted("listening on 127.0.0.1:")
        func code(_ origin: String?) async throws -> String {
            let fields =
                [
                    "Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13",
                    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
                ] + (origin.map { ["Origin: \($0)"] } ?? [])
            return try await runToEnd(
                "curl",
                ["-sS", "--max-time", "2", "-o", "/dev/null", "-w", "%{http_code}"] + fields.flatMap { ["-H", $0] } + [
                    "http://127.0.0.1:\(port)/"
                ]
            ).output
        }
        #expect(try await code(nil) == "101")
        #expect(try await code("http://127.0.0.1:\(port)") == "101")
        #expect(try await code("https://evil.example") == "403")
        #expect(try await code("null") == "403")
        await process.stop()
    }

    @Test("a second server on a used port does not start")
    func busyPort() async throws {
        let first = try PeerProcess(
            CommandTests.skein, ["respond", "one", "--listen", "127.0.0.1:0"], log: TestFolder.path("one.log"))
        let port = try await first.untilPrinted("listening on 127.0.0.1:")
        let second = try await runToEnd(CommandTests.skein, ["respond", "two", "--listen", "127.0.0.1:\(port)"])
        #expect(
            second.code != 0 && second.errors.contains("is the address local and the port free?"), "\(second.errors)")
        #expect(try await curl("http://127.0.0.1:\(port)/") == "one")
        await first.stop()
        let again = try PeerProcess(
            CommandTests.skein, ["respond", "three", "--listen", "127.0.0.1:\(port)"], log: TestFolder.path("three.log")
        )
        _ = try await again.untilPrinted("listening on")
        #expect(try await curl("http://127.0.0.1:\(port)/") == "three")
        await again.stop()
    }

    @Test("a slow request does not restore an ended session; a failing handler's changes are stored")
    func sessions() async throws {
        let (entered, leave) = (AsyncStream<Void>.makeStream(), AsyncStream<Void>.makeStream())
        var router = Router(Sessions())
        router.get("/in") { request in
            request.session?["user"] = "ada"
            return .text("in")
        }
        router.get("/who") { .text($0.session?["user"] ?? "nobody") }
        router.get("/out") { request in
            request.session?.end()
            return .text("out")
        }
        router.get("/slow") { request in
            request.session?["seen"] = "yes"
            entered.continuation.yield()
            for await _ in leave.stream { break }
            return .text("slow")
        }
        router.get("/fail") { request in
            request.session?["user"] = "grace"
            throw ServerError(418)
        }
        var engine = Engine()
        engine.mount("/", router)
        try await serving(engine) { (port, _) async throws in
            let base = "http://127.0.0.1:\(port)"
            let jar = TestFolder.path("cookies")
            #expect(try await curl("-c", jar, "\(base)/in") == "in")
            #expect(try await curl("-b", jar, "\(base)/who") == "ada")
            _ = try await curl("-b", jar, "\(base)/fail")
            #expect(try await curl("-b", jar, "\(base)/who") == "grace")
            async let slow = curl("-b", jar, "\(base)/slow")
            for await _ in entered.stream { break }
            #expect(try await curl("-b", jar, "\(base)/out") == "out")
            leave.continuation.yield()
            #expect(try await slow == "slow")
            #expect(try await curl("-b", jar, "\(base)/who") == "nobody")
        }
    }

    @Test("one user's digest nonces do not displace those of another")
    func nonces() async throws {
        var router = Router(DigestAuthentication(realm: "r") { ["ada": "a", "bob": "b"][$0] })
        router.get("/") { .text("hello \($0.user ?? "")") }
        var engine = Engine()
        engine.mount("/", router)
        try await serving(engine) { (port, _) async throws in
            let base = "http://127.0.0.1:\(port)/"
            let result = try await python(
                """
                import json, sys, requests
                from requests.auth import HTTPDigestAuth
                session = requests.Session()
                def ask(user, password): return session.get(sys.argv[1], auth=HTTPDigestAuth(user, password)).status_code
                print(json.dumps([[ask("ada", "a") for _ in range(300)].count(200), ask("bob", "b"), ask("ada", "a"), ask("ada", "b")]))
                """, base)
            #expect(result == .array([.integer(300), .integer(200), .integer(200), .integer(401)]), "\(result)")
        }
    }

    @Test("client errors in a handler become matching statuses, and details stay in the log")
    func statuses() async throws {
        let silent = try await ScriptedServer.start { _ in [] }
        let broken = try await ScriptedServer.start { _ in [.until("\r\n\r\n"), .send("nonsense\r\n\r\n")] }
        let database = TestFolder.path("statuses.db")
        var engine = Engine()
        engine.mount("/") { (request: ServerRequest) async throws -> ServerResponse in
            let skein = request.skein
            let db = try skein.sqlite(database)
            try await db.execute("CREATE TABLE IF NOT EXISTS t (a int primary key)").commit()
            switch request.path {
            case "/one": _ = try await db.execute("SELECT * FROM t WHERE a = 99").one()
            case "/conflict":
                try await db.execute("INSERT OR IGNORE INTO t VALUES (1)").commit()
                try await db.execute("INSERT INTO t VALUES (1)").commit()
            case "/wrong": try await db.execute("SELEC 1").commit()
            case "/timeout":
                _ = try await skein.get("http://127.0.0.1:\(silent.port)/", timeout: .milliseconds(100)).fetch()
            case "/broken": _ = try await skein.get("http://127.0.0.1:\(broken.port)/").fetch()
            case "/refused": _ = try await skein.get("http://127.0.0.1:1/").fetch()
            case "/404":
                _ = try await skein.get("http://127.0.0.1:\(try await Peers.shared.nginxPort())/nothing-there").fetch()
            default: throw SkeinError(.exception, because: "a secret")
            }
            return .text("done")
        }
        try await serving(engine) { (port, _) async throws in
            for (path, status) in [
                ("one", 410), ("conflict", 409), ("wrong", 500), ("timeout", 504), ("broken", 502), ("refused", 502),
                ("404", 502),
                ("other", 500),
            ] {
                let answer = try await curl("-w", " %{http_code}", "http://127.0.0.1:\(port)/\(path)")
                #expect(answer.hasSuffix(" \(status)"), "\(path): \(answer)")
                #expect(
                    !answer.contains("127.0.0.1") && !answer.contains("secret") && !answer.contains("SELE"), "\(answer)"
                )
            }
            let queue = SkeinClient(
                {
                    var configuration = SkeinClient.Configuration()
                    configuration.concurrency = 1
                    configuration.maximumQueued = 1
                    configuration.logger = .silent
                    return configuration
                }())
            var full = Engine()
            let held = (0..<2).map { _ in queue.get("http://127.0.0.1:\(silent.port)/", timeout: .seconds(20)) }
            full.mount("/") { _ in
                _ = try await queue.get("http://127.0.0.1:\(silent.port)/").fetch()
                return .text("done")
            }
            try await PeerTests.serving(full) { (port, _) async throws in
                let answer = try await curl("-i", "http://127.0.0.1:\(port)/")
                #expect(answer.contains("503 ") && answer.lowercased().contains("retry-after: 1"), "\(answer)")
            }
            for request in held { request.cancel() }
            await queue.shutdown()
        }
        await silent.stop()
        await broken.stop()
    }

    @Test(
        "fields of HTTP/2 that HTTP/1 would refuse end their stream",
        arguments: [
            [("cookie", "a=b\r\nx: y")], [("cookie", "a\u{0}b")], [(":authority", "a/b?c")], [(":authority", "a\"<x>")],
            [(":scheme", "ht\r\ntp")], [(":scheme", "1http")], [("host", "b\u{212A}.x")], [("priority", ";")],
            [("priority", "u=1,;")],
        ])
    func http2Fields(fields: [(String, String)]) async throws {
        var engine = Engine()
        engine.mount("/") { _ in .text("served") }
        try await serving(engine) { (port, _) async throws in
            var list = [(":method", "GET"), (":scheme", "http"), (":path", "/"), (":authority", "a")]
            for field in fields {
                if let place = list.firstIndex(where: { $0.0 == field.0 }) {
                    list[place] = field
                } else {
                    list.append(field)
                }
            }
            var frames = Frames()
            frames.preface()
            frames.settings()
            frames.headers(1, list)
            frames.headers(3, Frames.get)
            frames.goAway(0)
            let client = try await RawClient.connect(port)
            try await client.send(frames.take())
            try await client.untilReceived("served")
            let isRefused = fields[0].0 != "priority"
            await client.close()
            // RST_STREAM of stream 1 with PROTOCOL_ERROR.
            let reset: [UInt8] = [0, 0, 4, 3, 0, 0, 0, 0, 1, 0, 0, 0, 1]
            let found = await client.bytesToEnd().readableBytesView.firstRange(of: reset)
            #expect((found != nil) == isRefused)
            #expect(try await curl("http://127.0.0.1:\(port)/") == "served")
        }
    }
}
