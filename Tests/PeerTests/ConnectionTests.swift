import NIOCore
import PeerSupport
import Skein
import SkeinCore
import Testing

/// The connection driven by hand, against nginx, httpbin and a scripted server.
@Suite("Manually driven connection", .serialized, .inTurn, .timeLimit(.minutes(5)))
struct ConnectionTests {
    private func nginx() async throws -> HTTPConnection {
        try HTTPConnection("http://127.0.0.1:\(try await Peers.shared.nginxPort())")
    }

    private func httpbin() async throws -> HTTPConnection {
        try HTTPConnection("http://127.0.0.1:\(try await Peers.shared.httpbinPort())")
    }

    @Test("a request and its response take three lines")
    func basics() async throws {
        let connection = try await nginx()
        try await connection.sendRequest(.get, "/hello")
        let response = try await connection.readResponse()
        #expect(response.status == 200)
        #expect(response.reason == "OK")
        #expect(response.target == "/hello")
        #expect(String(buffer: try await connection.readAll()) == "hello world")
        #expect(await !connection.responsePending)
        #expect(await connection.isConnected)
        await connection.disconnect()
        #expect(await !connection.isConnected)
        try await connection.sendRequest(.get, "/small.txt")
        #expect(try await connection.readResponse().status == 200)
        #expect(String(buffer: try await connection.readAll()) == "a small file\n")
    }

    @Test("content is read in pieces of any size, into new or existing memory")
    func pieces() async throws {
        let connection = try await nginx()
        try await connection.sendRequest(.get, "/hello")
        _ = try await connection.readResponse()
        #expect(String(buffer: try await connection.read(4)) == "hell")
        var bytes = [UInt8](repeating: 0, count: 3)
        #expect(try await connection.readInto(&bytes) == 3)
        #expect(bytes == Array("o w".utf8))
        #expect(String(buffer: try await connection.readAll()) == "orld")
        #expect(try await connection.read(4).readableBytes == 0)
        #expect(try await connection.readInto(&bytes) == 0)

        try await connection.sendRequest(.get, "/big")
        _ = try await connection.readResponse()
        var total = 0
        while case let piece = try await connection.read(32 << 10), piece.readableBytes > 0 {
            #expect(piece.readableBytes <= 32 << 10)
            total += piece.readableBytes
        }
        #expect(total == 8 << 20)
    }

    @Test("a response without content is complete at its head")
    func noContent() async throws {
        let connection = try await nginx()
        for _ in 0..<3 {
            try await connection.sendRequest(.head, "/big")
            #expect(try await connection.readResponse().headers["Content-Length"] == "8388608")
            #expect(try await connection.read(10).readableBytes == 0)
        }
    }

    @Test("content may follow in calls, with its length or in chunks")
    func following() async throws {
        let connection = try await httpbin()
        for body in [HTTPConnection.Body.following(10), .followingChunks] {
            try await connection.sendRequest(.put, "/put", headers: ["Content-Type": "text/x"], body: body)
            try await connection.write(ByteBuffer(string: "hello"))
            try await connection.write(ByteBuffer(string: "world"))
            if case .followingChunks = body { try await connection.endBody() }
            #expect(try await connection.readResponse().status == 200)
            #expect(String(buffer: try await connection.readAll()).contains("\"data\":\"helloworld\""))
        }
    }

    @Test("a wrong order of calls is an error without effect")
    func misuse() async throws {
        let connection = try await httpbin()
        func refused(_ call: () async throws -> Void) async -> Bool {
            do {
                try await call()
                return false
            } catch {
                return (error as? SkeinError)?.code == .exception
            }
        }
        #expect(await refused { _ = try await connection.readResponse() })
        #expect(await refused { _ = try await connection.read(1) })
        #expect(await refused { try await connection.write(ByteBuffer(string: "a")) })
        #expect(await refused { try await connection.endBody() })
        #expect(await refused { try await connection.sendRequest(.get, "/\r\n") })
        #expect(await refused { try await connection.sendRequest(.get, "/", headers: ["X": "a\nb"]) })
        try await connection.sendRequest(.post, "/post", body: .following(3))
        #expect(await refused { try await connection.write(ByteBuffer(string: "abcd")) })
        #expect(await refused { try await connection.sendRequest(.get, "/get") })
        try await connection.write(ByteBuffer(string: "abc"))
        #expect(await refused { try await connection.write(ByteBuffer(string: "d")) })
        #expect(try await connection.readResponse().status == 200)
        #expect(await refused { _ = try await connection.readResponse() })
        #expect(try await connection.readAll().readableBytes > 0)
        try await connection.sendRequest(.get, "/get")
        #expect(try await connection.readResponse().status == 200)
    }

    @Test("ten thousand requests are pipelined by a sender and a reader, without deadlock")
    func pipelining() async throws {
        let connection = try await nginx()
        let count = 10_000
        var number = 0
        try await connection.pipeline {
            for number in 0..<count {
                try await connection.sendRequest(number % 2 == 0 ? .get : .head, "/hello?\(number)")
            }
        } reading: { response in
            #expect(response.target == "/hello?\(number)")
            // What a reader leaves unread is skipped.
            if number % 4 == 0 {
                let content = try await connection.readAll()
                #expect(content.readableBytes == 11)
            }
            number += 1
        }
        #expect(number == count)
        #expect(await !connection.responsePending)
    }

    @Test("large pipelined responses wait in the peer for a slow reader, not in memory")
    func pipelinedBackPressure() async throws {
        let connection = try await nginx()
        var answers = 0
        try await connection.pipeline {
            for _ in 0..<20 { try await connection.sendRequest(.get, "/big") }
        } reading: { _ in
            let content = try await connection.readAll()
            #expect(content.readableBytes == 8 << 20)
            answers += 1
        }
        #expect(answers == 20)
    }

    @Test("an error of the sender or of the reader ends the pipeline, and the connection with it")
    func brokenPipeline() async throws {
        struct Stop: Error {}
        let connection = try await nginx()
        await #expect(throws: Stop.self) {
            try await connection.pipeline {
                while true { try await connection.sendRequest(.get, "/big") }
            } reading: { _ in
                throw Stop()
            }
        }
        await #expect(throws: Stop.self) {
            try await connection.pipeline {
                try await connection.sendRequest(.get, "/hello")
                throw Stop()
            } reading: { _ in
            }
        }
        try await connection.sendRequest(.get, "/hello")
        #expect(try await connection.readResponse().status == 200)
    }

    @Test("100 (Continue) arrives before the content, and a refusal skips it")
    func expectContinue() async throws {
        let connection = try await httpbin()
        try await connection.sendRequest(.put, "/put", body: .following(5), expectContinue: true)
        #expect(try await connection.readResponse().status == 100)
        try await connection.write(ByteBuffer(string: "hello"))
        #expect(try await connection.readResponse().status == 200)
        _ = try await connection.readAll()

        let server = try await ScriptedServer.start { _ in
            [
                .send("HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno"), .wait,
                .send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
            ]
        }
        let refusing = try HTTPConnection("http://127.0.0.1:\(server.port)")
        try await refusing.sendRequest(.put, "/", body: .following(5), expectContinue: true)
        #expect(try await refusing.readResponse().status == 403)
        _ = try await refusing.readAll()
        try await refusing.sendRequest(.get, "/")
        #expect(try await refusing.readResponse().status == 200)
        await server.stop()
    }

    @Test(
        "a failing server is an error with its code, and a new connection can be made",
        arguments: [
            ([.close], 708), ([.send("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nab"), .close], 707),
            ([.send("garbage"), .wait], 715), ([], 702),
            ([.send("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nab"), .reset], 700),
        ] as [([ScriptedServer.Step], Int)])
    func failures(steps: [ScriptedServer.Step], code: Int) async throws {
        let server = try await ScriptedServer.start { number in
            number == 0 ? steps : [.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")]
        }
        // A separate event loop, because this test measures time.
        let shard = Shard(index: 0, eventLoop: SupportLoops.group.any())
        let connection = try HTTPConnection("http://127.0.0.1:\(server.port)", shard: shard, timeout: .seconds(3))
        let error = await #expect(throws: SkeinError.self) {
            try await connection.sendRequest(.get, "/")
            _ = try await connection.readResponse()
            _ = try await connection.readAll()
        }
        #expect(error?.code.rawValue == code)
        await connection.disconnect()
        try await connection.sendRequest(.get, "/")
        #expect(try await connection.readResponse().status == 200)
        #expect(String(buffer: try await connection.readAll()) == "ok")
        await server.stop()
    }

    @Test("a refused port is a temporary error")
    func refused() async throws {
        let connection = try HTTPConnection("http://127.0.0.1:1")
        let error = await #expect(throws: SkeinError.self) { try await connection.connect() }
        #expect(error?.code == .connectionFailed)
        #expect(error.map(isTemporaryNetworkError) == true)
    }
}
