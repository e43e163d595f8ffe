import Foundation
import PeerSupport
import Skein
import SkeinHTTP
import SkeinPostgres
import SkeinRedis
import Testing

/// A corequest that is dropped frees its place, its stream and its connection, at whichever moment it is dropped.
@Suite("Dropped", .serialized, .inTurn, .timeLimit(.minutes(5)))
struct DroppedTests {
    private func session(_ change: (inout SkeinClient.Configuration) -> Void = { _ in }) -> SkeinClient {
        var configuration = SkeinClient.Configuration()
        configuration.logger = .silent
        configuration.concurrency = 10
        change(&configuration)
        return SkeinClient(configuration)
    }

    /// Runs work many times, ten at a time; then nothing is held, and the next call is answered immediately.
    private func thousandTimes(
        _ skein: SkeinClient, _ count: Int = 1000, next: @escaping @Sendable () async throws -> Void,
        _ drop: @escaping @Sendable (Int) async throws -> Void
    ) async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            for worker in 0..<10 {
                group.addTask { for number in 0..<(count / 10) { try await drop(worker + 10 * number) } }
            }
            try await group.waitForAll()
        }
        // The resources of the last dropped corequest are being freed.
        let end = ContinuousClock.now + .seconds(10)
        while skein.tracking.exchanges > 0, ContinuousClock.now < end { try await Task.sleep(for: .milliseconds(10)) }
        #expect(skein.tracking.exchanges == 0)
        let begun = ContinuousClock.now
        try await next()
        #expect(ContinuousClock.now - begun < .seconds(5))
        _ = await skein.fetchAll()
        await skein.shutdown()
        #expect(skein.tracking.connections == 0)
    }

    @Test("streamed responses, over HTTP/1.1 and HTTP/2", arguments: [HTTP2Use.never, .priorKnowledge])
    func streams(use: HTTP2Use) async throws {
        let port = use == .never ? try await Peers.shared.nginxPort() : try await Peers.shared.nginxHTTP2Ports().many
        let skein = session { $0.http.http2.use = use }
        let base = "http://127.0.0.1:\(port)"
        try await thousandTimes(skein) { () async throws -> Void in
            #expect(try await skein.get("\(base)/hello", timeout: .seconds(5)).fetch().readableBytes == 11)
        } _: { number in
            let corequest = try skein.stream(.get, "\(base)/\(number % 3 == 0 ? "hello" : "big")")
            switch number % 5 {
            case 0: return  // nobody waits for the answer at all
            case 1:
                Task { corequest.cancel() }
                return
            default: break
            }
            var iterator = await corequest.dispatch().stream?.makeAsyncIterator()
            for _ in 0..<(number % 4) { _ = try? await iterator?.next() }
            if number % 7 == 0 {
                // Dropped while a reader waits for more.
                let task = Task { [iterator] in
                    var iterator = iterator
                    while try await iterator?.next() != nil {}
                }
                await Task.yield()
                task.cancel()
            }
        }
    }

    @Test("a complete but unread response leaves a reusable connection")
    func fullBuffer() async throws {
        // Exactly the number of bytes at which a connection stops reading.
        func answer(_ content: String) -> [ScriptedServer.Step] {
            [
                .until("\r\n\r\n"),
                .send(
                    "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: \(content.utf8.count)\r\n\r\n\(content)"
                ),
            ]
        }
        let full = answer(String(repeating: "a", count: 262_144)), next = answer("next")
        let server = try await ScriptedServer.start { _ in full + next + full + next }
        let skein = session { $0.http.timeout = .seconds(5) }
        let url = "http://127.0.0.1:\(server.port)/"
        for consumes in [true, false] {
            let response = try await skein.stream(.get, url).dispatch()
            for _ in 0..<1000 where skein.tracking.exchanges > 0 { try await Task.sleep(for: .milliseconds(10)) }
            let next = await skein.get(url).dispatch()
            #expect(try next.text() == "next", "\(next.reportLine)")
            var reader = response.raw
            if consumes { #expect(try await reader.read().readableBytes == 262_144) }
        }
        #expect(server.connectionCount == 1)
        await skein.shutdown()
        await server.stop()
    }

    @Test(
        "a consumer that takes its time is not taken for a silent server", arguments: [HTTP2Use.never, .priorKnowledge])
    func slowConsumer(use: HTTP2Use) async throws {
        let port = use == .never ? try await Peers.shared.nginxPort() : try await Peers.shared.nginxHTTP2Ports().many
        let skein = session {
            $0.http.http2.use = use
            $0.http.silenceTimeout = .milliseconds(300)
        }
        let response = try await skein.stream(.get, "http://127.0.0.1:\(port)/big").dispatch()
        var iterator = try #require(response.stream).makeAsyncIterator()
        var size = try await iterator.next()?.readableBytes ?? 0
        try await Task.sleep(for: .seconds(1))
        while let piece = try await iterator.next() { size += piece.readableBytes }
        #expect(size == 8 << 20)
        await skein.shutdown()
    }

    @Test(
        "a server that falls silent in a stream is, with the same words", arguments: [HTTP2Use.never, .priorKnowledge])
    func silentServer(use: HTTP2Use) async throws {
        var frames = Frames()
        frames.settings()
        frames.settingsAck()
        frames.headers(1, [(":status", "200")], flags: Frames.endHeaders)
        frames.data(1, 10)
        let (one, two) = ("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n0123456789", frames.take())
        let server = try await ScriptedServer.start { _ in
            use == .never ? [.until("\r\n\r\n"), .send(one)] : [.sendBytes(two)]
        }
        let skein = session {
            $0.http.http2.use = use
            $0.http.silenceTimeout = .milliseconds(300)
        }
        let response = try await skein.stream(.get, "http://127.0.0.1:\(server.port)/").dispatch()
        var reader = response.raw
        let error = await #expect(throws: SkeinError.self) { _ = try await reader.read() }
        #expect(
            error?.code == .timeout && error?.message == "the server sent nothing for 0.3 seconds", "\(error as Any)")
        await skein.shutdown()
        await server.stop()
    }

    @Test(
        "the wait for a place counts towards a request's own time limit, and a queue that does not move towards the session's"
    )
    func places() async throws {
        let server = try await ScriptedServer.start { _ in [] }
        let url = "http://127.0.0.1:\(server.port)/"
        let skein = session {
            $0.concurrency = 1
            $0.threads = 1
            $0.http.timeout = .seconds(2)
        }
        let holder = skein.get(url, timeout: .seconds(20))
        let begun = ContinuousClock.now
        async let own = skein.get(url, timeout: .milliseconds(300)).dispatch()
        async let standard = skein.get(url).dispatch()
        // The message tells which limit ended it: this task may run long after the request has ended.
        let early = await own
        #expect(
            early.failure?.code == .timeout
                && early.failure?.message.contains("the time limit (0.3 seconds") == true,
            "\(early.reportLine)")
        let late = await standard
        #expect(
            late.failure?.code == .timeout
                && late.failure?.message.contains("no request ahead of it in the queue") == true,
            "\(late.reportLine)")
        #expect((.seconds(2)..<(.seconds(8))).contains(ContinuousClock.now - begun))
        holder.cancel()
        await skein.shutdown()
        await server.stop()

        // There is no time limit for a queue that makes progress.
        let port = try await Peers.shared.nginxPort()
        let patient = session {
            $0.concurrency = 1
            // A separate event loop: work of other tests on the shared one would be a queue that makes no progress.
            $0.threads = 1
            $0.http.timeout = .seconds(1)
            $0.http.keepAlive = false
        }
        let started = ContinuousClock.now
        let many = (0..<3000).map { _ in patient.get("http://127.0.0.1:\(port)/hello") }
        var answered = 0
        for request in many where await request.dispatch().statusCode == 200 { answered += 1 }
        #expect(answered == 3000)
        #expect(ContinuousClock.now - started > .seconds(1))
        await patient.shutdown()
    }

    @Test("fetchAll ends with its task")
    func fetchAll() async throws {
        let server = try await ScriptedServer.start { _ in [] }
        let skein = session()
        let request = skein.get("http://127.0.0.1:\(server.port)/", timeout: .seconds(30))
        let waiting = Task { await skein.fetchAll() }
        try await Task.sleep(for: .milliseconds(50))
        let begun = ContinuousClock.now
        waiting.cancel()
        _ = await waiting.value
        #expect(ContinuousClock.now - begun < .seconds(5))
        request.cancel()
        await skein.shutdown()
        await server.stop()
    }

    @Test("manually driven connections")
    func driven() async throws {
        let port = try await Peers.shared.nginxPort()
        let before = try descriptors(to: port)
        for number in 0..<300 {
            let connection = try HTTPConnection("http://127.0.0.1:\(port)")
            try await connection.sendRequest(.get, number % 2 == 0 ? "/hello" : "/big")
            if number % 3 == 0 { _ = try await connection.readResponse() }
        }
        let end = ContinuousClock.now + .seconds(10)
        while try descriptors(to: port) > before + 5, ContinuousClock.now < end {
            try await Task.sleep(for: .milliseconds(20))
        }
        #expect(try descriptors(to: port) <= before + 5)
    }

    /// Sockets of this process that are connected to a port of the loopback interface.
    private func descriptors(to port: Int) throws -> Int {
        let own = Set(
            try FileManager.default.contentsOfDirectory(atPath: "/proc/self/fd").compactMap { name in
                (try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/fd/\(name)")).flatMap {
                    $0.hasPrefix("socket:[") ? String($0.dropFirst(8).dropLast()) : nil
                }
            })
        let hex = String(port, radix: 16, uppercase: true)
        let target = "0100007F:" + String(repeating: "0", count: 4 - hex.count) + hex
        return try String(contentsOfFile: "/proc/self/net/tcp", encoding: .utf8).split(separator: "\n").count { line in
            let words = line.split(separator: " ")
            return words.count > 9 && words[2] == target && own.contains(String(words[9]))
        }
    }

    @Test("cursors, copies, leases, transactions and listeners of PostgreSQL")
    func postgres() async throws {
        let skein = session()
        let url = try await PostgresPeer.shared.get().url()
        let db = try skein.postgres(url + "?pool_size=8")
        struct Given: Error {}
        try await thousandTimes(skein, 500) { () async throws -> Void in
            #expect(try await db.execute("SELECT 1").one(Int.self) == 1)
        } _: { number in
            switch number % 6 {
            case 0:
                var rows = db.stream("SELECT * FROM generate_series(1, 100000)", piece: 10).makeAsyncIterator()
                for _ in 0..<(number % 25) { _ = try await rows.next() }
            case 1:
                var pieces = db.copyOut("COPY (SELECT * FROM generate_series(1, 200000)) TO STDOUT").makeAsyncIterator()
                for _ in 0..<(number % 3) { _ = try await pieces.next() }
            case 2:
                let transaction = try await db.begin()
                if number % 4 == 0 { transaction.execute("SELECT pg_sleep(0.01)") }
            case 3: _ = try await db.listen("dropped")
            case 4: _ = try? await db.withConnection { _ in throw Given() }
            default:
                let task = Task { try await db.execute("SELECT pg_sleep(0.02)").commit() }
                await Task.yield()
                task.cancel()
            }
        }
    }

    @Test("subscriptions and watched keys of Redis")
    func redis() async throws {
        let skein = session()
        let redis = try skein.redis(try await RedisPeer.shared.get().url("/3"))
        struct Given: Error {}
        try await thousandTimes(skein) { () async throws -> Void in
            #expect(try await redis.set("dropped", 1).fetch(String.self) == "OK")
        } _: { number in
            switch number % 4 {
            case 0: _ = try await redis.subscribe("dropped \(number % 20)")
            case 1:
                let task = Task { _ = try await redis.subscribe("dropped too") }
                await Task.yield()
                task.cancel()
            case 2: _ = try? await redis.watch("dropped") { _, _ in throw Given() }
            default:
                let task = Task { await redis.blpop("nothing", 10).dispatch() }
                await Task.yield()
                task.cancel()
            }
        }
    }
}
