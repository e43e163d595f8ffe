import Foundation
import NIOCore
import PeerSupport
import Skein
import SkeinHTTP
import SkeinMongo
import SkeinPostgres
import SkeinRedis
import SkeinSQLite
import SkeinTransport
import Synchronization
import Testing

/// Aliases whose members are gunicorn, nginx and databases: slow, failing, killed, and brought back.
@Suite("Aliases", .serialized, .inTurn, .timeLimit(.minutes(5)))
struct AliasTests {
    /// gunicorn with an app that reports its name, and is slow or fails on request.
    private final class Member: Sendable {
        let name: String
        let port: Int
        private let process: Mutex<PeerProcess>

        private init(_ name: String, _ port: Int, _ process: PeerProcess) {
            self.name = name
            self.port = port
            self.process = Mutex(process)
        }

        static let app = """
            import os, time
            def application(environ, start_response):
                path = environ["PATH_INFO"]
                name = os.environ["MEMBER"]
                status = "200 OK"
                if path.endswith("/slow-" + name): time.sleep(1)
                if path.endswith("/fail-" + name): status = "503 Service Unavailable"
                length = int(environ.get("CONTENT_LENGTH") or 0)
                content = environ["wsgi.input"].read(length)
                start_response(status, [("Content-Type", "text/plain")])
                return [(name + " " + path + " " + environ.get("HTTP_AUTHORIZATION", "-")).encode() + content]
            """

        private static func start(_ name: String, _ port: Int) async throws -> PeerProcess {
            let folder = TestFolder.path("alias")
            try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
            try app.write(toFile: "\(folder)/member.py", atomically: true, encoding: .utf8)
            let process = try PeerProcess(
                Peers.python("gunicorn"),
                ["-b", "127.0.0.1:\(port)", "-k", "gthread", "--threads", "16", "--chdir", folder, "member"],
                environment: ["MEMBER": name], log: TestFolder.path("alias.log"))
            try await Ports.untilOpen(port)
            return process
        }

        static func start(_ name: String) async throws -> Member {
            let port = try await Ports.free()
            return Member(name, port, try await start(name, port))
        }

        /// Kills master and worker.
        func kill() async {
            let process = process.withLock { $0 }
            for line
                in (try? String(contentsOfFile: "/proc/\(process.id)/task/\(process.id)/children", encoding: .utf8))?
                .split(separator: " ") ?? []
            {
                if let id = Int32(line) { Foundation.kill(id, SIGKILL) }
            }
            _ = await process.stop(SIGKILL)
        }

        func restart() async throws {
            let started = try await Self.start(name, port)
            process.withLock { $0 = started }
        }
    }

    private func names(_ client: SkeinClient, _ path: String, _ count: Int) async throws -> [String: Int] {
        var names: [String: Int] = [:]
        for _ in 0..<count {
            let text = try await client.get(path).text()
            names[String(text.prefix { $0 != " " }), default: 0] += 1
        }
        return names
    }

    @Test("members with weights, credentials and paths; a failing one is skipped; all of them at once")
    func http() async throws {
        let a = try await Member.start("a")
        let b = try await Member.start("b")
        let c = try await Member.start("c")
        let client = SkeinClient()
        var alias = try Alias.http(
            "127.0.0.1:\(a.port) 30", "us%40er:pass%20word@127.0.0.1:\(b.port)/base 20",
            "http://127.0.0.1:\(c.port) 10")
        alias.balancing.policy = .roundRobin
        try client.alias("@members", alias)
        #expect(try await names(client, "@members/x?a=b", 60) == ["a": 30, "b": 20, "c": 10])
        #expect(try await names(client, "@members", 6) == ["a": 3, "b": 2, "c": 1])

        let all = try await client.all("@members").get("/x", parameters: ["q": "é"]).dispatch()
        let basic = "Basic " + Data("us@er:pass word".utf8).base64EncodedString()
        #expect(try all.map { try $0.text() } == ["a /x -", "b /base/x \(basic)", "c /x -"])

        // A request that fails at one member is sent to another one; only requests that may be repeated.
        for _ in 0..<12 {
            #expect(await client.get("@members/fail-b").dispatch().statusCode == 200)
        }
        let status = try client.members(of: "@members")
        #expect(status.map(\.isAvailable) == [true, true, true] || status.map(\.isAvailable) == [true, false, true])
        #expect(status[1].failures >= 4)
        #expect(status[0].failures == 0)
        #expect(status.allSatisfy { $0.inFlight == 0 && !$0.url.contains("pass") }, "\(status)")

        try client.alias("@one", .http("127.0.0.1:\(a.port)"))
        #expect(await client.post("@one/fail-a", body: .text("once")).dispatch().statusCode == 503)
        #expect(try await client.post("@one/y", body: .text("content")).text() == "a /y -content")

        for member in [a, b, c] {
            await member.kill()
            try await Ports.untilClosed(member.port)
        }
        let dead = await client.get("@members/x").dispatch()
        #expect(dead.statusCode == 714, "\(dead.reportLine)")
        await client.shutdown()
    }

    private final class LoadState: Sendable {
        let isOver = Mutex(false)
        private let counts = Mutex<[String: Int]>([:])
        private let answers = AsyncStream<Void>.makeStream(bufferingPolicy: .bufferingNewest(1))

        func answered(_ member: String) {
            counts.withLock { $0[member, default: 0] += 1 }
            answers.continuation.yield()
        }

        func count(_ member: String) -> Int { counts.withLock { $0[member] ?? 0 } }

        /// Waits until some members have answered this often.
        func until(_ members: String..., answers wanted: Int) async throws {
            for await _ in answers.stream where members.reduce(0, { $0 + count($1) }) >= wanted { return }
            throw CancellationError()
        }
    }

    @Test("a killed member costs no request, and is used again when it is back")
    func killed() async throws {
        let members = [try await Member.start("a"), try await Member.start("b"), try await Member.start("c")]
        let client = SkeinClient()
        try client.alias("@members", Alias(.http, members.map { "127.0.0.1:\($0.port)" }))
        let state = LoadState()
        async let load: Int = withTaskGroup(of: Int.self) { group in
            for _ in 0..<8 {
                group.addTask {
                    var failed = 0
                    while !state.isOver.withLock({ $0 }), !Task.isCancelled {
                        let response = await client.get("@members/x", timeout: .seconds(5)).dispatch()
                        guard let text = try? response.text(), response.statusCode == 200 else {
                            failed += 1
                            Issue.record("\(response.reportLine)")
                            continue
                        }
                        state.answered(String(text.prefix(1)))
                    }
                    return failed
                }
            }
            return await group.reduce(0, +)
        }
        try await state.until("b", answers: 1)
        await members[1].kill()
        // Long enough for several attempts that fail.
        let others = state.count("a") + state.count("c")
        try await state.until("a", "c", answers: others + 1000)
        let before = state.count("b")
        try await members[1].restart()
        let back = ContinuousClock.now
        try await state.until("b", answers: before + 1)
        #expect(ContinuousClock.now - back < .seconds(5))
        state.isOver.withLock { $0 = true }
        #expect(await load == 0)
        for member in members { await member.kill() }
        await client.shutdown()
    }

    @Test("a slow member's requests are hedged")
    func hedged() async throws {
        let members = [try await Member.start("a"), try await Member.start("b")]
        let client = SkeinClient()
        var alias = try Alias(.http, members.map { "127.0.0.1:\($0.port)" })
        alias.balancing.policy = .roundRobin
        alias.balancing.hedging.share = 0.5
        alias.balancing.hedging.minimum = .milliseconds(100)
        try client.alias("@members", alias)
        _ = try await names(client, "@members/x", 150)
        for _ in 0..<4 {
            let begun = ContinuousClock.now
            #expect(try await client.get("@members/slow-a").text().hasPrefix("b "))
            #expect(ContinuousClock.now - begun < .milliseconds(900))
        }
        for member in members { await member.kill() }
        await client.shutdown()
    }

    @Test("an active check removes a member before a request fails, and adds it again")
    func healthChecks() async throws {
        let members = [try await Member.start("a"), try await Member.start("b")]
        let client = SkeinClient()
        var alias = try Alias(.http, members.map { "127.0.0.1:\($0.port)" })
        alias.healthCheck = HealthCheck(path: "/fail-b", interval: .milliseconds(200))
        try client.alias("@members", alias)
        let end = ContinuousClock.now + .seconds(10)
        while try client.members(of: "@members")[1].isAvailable, ContinuousClock.now < end {
            try await Task.sleep(for: .milliseconds(20))
        }
        #expect(try client.members(of: "@members").map(\.isAvailable) == [true, false])
        #expect(try await names(client, "@members/x", 20) == ["a": 20])
        alias.healthCheck = HealthCheck(path: "/x", interval: .milliseconds(200))
        for member in members { await member.kill() }
        await client.shutdown()
    }

    @Test("WebSockets and remote calls to an alias")
    func otherProtocols() async throws {
        let client = SkeinClient()
        let sockets = try PeerProcess(
            Peers.python(), ["\(Peers.scripts)/sockets.py", "serve"], log: TestFolder.path("alias-sockets.log"))
        let socketPort = try await sockets.untilPrinted("listening ")
        try client.alias("@chat", .http("127.0.0.1:\(socketPort)", "127.0.0.1:\(socketPort) 2"))
        let socket = try await client.webSocket("@chat/echo")
        try await socket.send("hello")
        var messages = socket.makeAsyncIterator()
        #expect(try await messages.next() == .text("hello"))
        await socket.close()
        let script = """
            from jsonrpclib.SimpleJSONRPCServer import SimpleJSONRPCServer
            server = SimpleJSONRPCServer(("127.0.0.1", 0), logRequests=False)
            server.register_function(lambda a, b: a + b, "add")
            print("listening", server.server_address[1], flush=True)
            server.serve_forever()
            """
        let calls = try PeerProcess(Peers.python(), ["-c", script], log: TestFolder.path("alias-calls.log"))
        try client.alias("@calls", .http("127.0.0.1:\(try await calls.untilPrinted("listening "))"))
        #expect(try await client.jsonrpc("@calls/").add(2, 3).fetch(Int.self) == 5)
        await sockets.stop()
        await calls.stop()
        await client.shutdown()
    }

    @Test("databases: calls go to the members in turn, and an unreachable one is skipped")
    func databases() async throws {
        let client = SkeinClient()
        let postgres = try await PostgresPeer.shared.get().url()
        let closed = try await Ports.free()
        try client.alias("@pg", .postgres(postgres, "postgres://weaver@127.0.0.1:\(closed)/weaver"))
        var failed = 0
        for _ in 0..<10 {
            let response = await (try client.postgres("@pg")).execute("SELECT 1").dispatch()
            if response.failure != nil { failed += 1 }
        }
        #expect(failed == 0, "another member takes the place of one that cannot be connected to: \(failed)")
        let redis = try await RedisPeer.shared.get()
        try client.alias("@store", .redis(redis.url("/4"), redis.url("/5")))
        for number in 0..<4 { try await client.redis("@store").set("member\(number)", 1).commit() }
        for database in ["/4", "/5"] {
            let there = try client.redis(redis.url(database)).exists("member0", "member1", "member2", "member3")
            #expect(try await there.fetch(Int.self) == 2)
        }
        let mongo = try await MongoPeer.shared.get()
        try client.alias("@documents", .mongo(mongo.uri("alias1"), mongo.uri("alias2")))
        for _ in 0..<2 { try await client.mongo("@documents")["people"].insertOne(["name": "Ada"]).commit() }
        for name in ["alias1", "alias2"] {
            #expect(try await client.mongo(mongo.uri(name))["people"].count().fetch(Int.self) == 1)
        }
        try client.alias("@files", .sqlite(TestFolder.path("one.db"), TestFolder.path("two.db")))
        for _ in 0..<2 { try await client.sqlite("@files").execute("CREATE TABLE t (x)").commit() }
        #expect(throws: SkeinError.self) { try client.redis("@pg") }
        #expect(throws: SkeinError.self) { try client.postgres("@none") }
        await client.shutdown()
    }

    @Test("mistakes are clear errors")
    func mistakes() async throws {
        let client = SkeinClient()
        let unknown = await client.get("@nobody/x").dispatch()
        #expect(unknown.statusCode == 701)
        #expect(unknown.reportLine.contains("there is no alias @nobody"))
        #expect(throws: SkeinError.self) { try client.alias("members", .http("127.0.0.1:1")) }
        #expect(throws: SkeinError.self) { try client.alias("@mem bers", .http("127.0.0.1:1")) }
        #expect(throws: SkeinError.self) { try client.alias("@a", .http()) }
        for member in ["127.0.0.1:1 x", "127.0.0.1:1 -2", "127.0.0.1:1 2 3", "", "127.0.0.1:x", "127.0.0.1:1 0"] {
            #expect(throws: SkeinError.self, "\(member)") { try client.alias("@a", .http(member)) }
        }
        #expect(await client.get("@/x").dispatch().statusCode == 701)
        try client.alias("@db", .postgres("ada:secret@127.0.0.1:1/blog"))
        #expect(await client.get("@db/x").dispatch().statusCode == 701)
        #expect(await (try client.all("@db")).get("/x").dispatch().map(\.statusCode) == [701])
        for member in ["http://ada:secret/word@h:1", "ada:secret@h x y"] {
            let error = #expect(throws: SkeinError.self, "\(member)") { try client.alias("@a", .http(member)) }
            #expect(error.map { !"\($0)".contains("secret") } ?? false, "\(String(describing: error))")
        }
        var endless = try Alias.http("127.0.0.1:1")
        endless.members = [.init(url: "http://127.0.0.1:1", weight: .nan)]
        #expect(throws: SkeinError.self) { try client.alias("@a", endless) }
        endless.members = [.init(url: "@a")]
        #expect(throws: SkeinError.self) { try client.alias("@a", endless) }
        await client.shutdown()
    }
}
