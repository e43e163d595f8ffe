import Foundation
import NIOCore
import PeerSupport
import SkeinEngine
import Testing

/// The server against third-party clients: curl, wrk, Python's http.client, requests and dugong.
@Suite("Server", .serialized, .inTurn, .timeLimit(.minutes(5)))
struct ServerTests {
    /// Starts a server with the routes that these tests need, and stops it afterwards.
    static func serving(
        _ change: (inout ServerConfiguration) -> Void = { _ in }, _ test: (Int) async throws -> Void
    ) async throws {
        var configuration = ServerConfiguration(addresses: [.tcp("127.0.0.1", port: 0)], threads: 2)
        configuration.logger = .silent
        configuration.maximumBodySize = 4 << 20
        change(&configuration)
        let server = HTTPServer(configuration) { try await answer($0) }
        guard case .tcp(_, let port)? = try await server.start().first else { throw PeerError("no port") }
        do {
            try await test(port)
        } catch {
            await server.stop()
            throw error
        }
        await server.stop()
    }

    @Sendable static func answer(_ request: ServerRequest) async throws -> ServerResponse {
        switch request.path {
        case "/": return .text("hello world")
        case "/echo":
            var total = ServerResponse(body: .bytes(try await request.body.collect()))
            total.headers["X-Method"] = request.method.rawValue
            total.headers["X-Query"] = request.query ?? "none"
            return total
        case "/count":
            var bytes = 0
            for try await piece in request.body { bytes += piece.readableBytes }
            return .text("\(bytes) \(request.body.trailers?["X-Sum"] ?? "")")
        case "/stream":
            let pieces = (0..<1000).lazy.map { ByteBuffer(string: "line \($0)\n") }
            return ServerResponse(body: .sequence(Array(pieces)), trailers: ["X-Lines": "1000"])
        case "/large": return ServerResponse(body: .bytes(ByteBuffer(repeating: 0x61, count: 20 << 20)))
        case "/refuse": throw ServerError(.init(403), "not for you")
        case "/fail": throw CocoaError(.fileNoSuchFile)
        case "/inject": return ServerResponse(headers: ["X": "a\r\nSet-Cookie: b"])
        case "/empty": return ServerResponse(.noContent)
        case "/slow":
            try await request.shard.sleep(until: .after(.seconds(1)))
            return .text("slow")
        case "/json": return .json(["a": [1, 2, 3]])
        default: throw ServerError(.notFound)
        }
    }

    private func curl(_ arguments: String...) async throws -> String {
        let finished = try await runToEnd("curl", ["-sS", "--max-time", "20"] + arguments)
        return finished.output + finished.errors
    }

    @Test("curl: content, headers, methods, statuses")
    func curlBasics() async throws {
        try await Self.serving { port in
            let base = "http://127.0.0.1:\(port)"
            let plain = try await curl("-i", "\(base)/")
            #expect(plain.hasPrefix("HTTP/1.1 200 OK\r\nDate: "))
            #expect(plain.contains("\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: 11\r\n"))
            #expect(plain.hasSuffix("\r\n\r\nhello world"))
            #expect(try await curl("-d", "a=b", "\(base)/echo?c=d") == "a=b")
            #expect(try await curl("-I", "\(base)/").contains("Content-Length: 11"))
            #expect(try await curl("-w", "%{http_code}", "\(base)/nothing") == "404 Not Found\n404")
            #expect(try await curl("-w", "%{http_code}", "\(base)/refuse") == "not for you\n403")
            #expect(try await curl("-w", "%{http_code}", "\(base)/fail") == "Internal Server Error\n500")
            #expect(try await curl("-w", "%{http_code}", "\(base)/empty") == "204")
            #expect(try await curl("-i", "\(base)/inject").hasPrefix("HTTP/1.1 500 "))
            #expect(try await curl("\(base)/json") == #"{"a":[1,2,3]}"#)
            #expect(
                try await curl("-X", "BREW", "-D", "-", "-o", "/dev/null", "\(base)/echo").contains("X-Method: BREW"))
        }
    }

    @Test("curl: chunks both ways, trailers, 100-continue, large content")
    func curlBodies() async throws {
        try await Self.serving { port in
            let base = "http://127.0.0.1:\(port)"
            let file = try TestFolder.write(String(repeating: "0123456789", count: 200_000), as: "upload")
            #expect(try await curl("-T", file, "\(base)/count") == "2000000 ")
            #expect(try await curl("-H", "Transfer-Encoding: chunked", "-T", file, "\(base)/count") == "2000000 ")
            let expecting = try await curl("-v", "-H", "Expect: 100-continue", "-T", file, "\(base)/count")
            #expect(expecting.contains("100 Continue"))
            #expect(expecting.contains("2000000"))
            let stream = try await curl("-i", "--raw", "\(base)/stream")
            #expect(stream.contains("Transfer-Encoding: chunked"))
            #expect(stream.hasSuffix("9\r\nline 999\n\r\n0\r\nX-Lines: 1000\r\n\r\n"))
            #expect(try await curl("-o", "/dev/null", "-w", "%{size_download}", "\(base)/large") == "\(20 << 20)")
        }
    }

    @Test("curl: a slow reader gets a large response completely, also when the connection ends after it")
    func curlSlow() async throws {
        try await Self.serving({ $0.bodyTimeout = .seconds(2) }) { port in
            let base = "http://127.0.0.1:\(port)"
            for version in ["--http1.0", "--http1.1"] {
                let size = try await curl(
                    version, "--limit-rate", "5M", "-o", "/dev/null", "-w", "%{size_download}", "\(base)/large")
                #expect(size == "\(20 << 20)")
            }
            // A client that has closed its sending side still gets its response.
            let client = try await RawClient.connect(port)
            try await client.send("GET /large HTTP/1.1\r\nHost: a\r\n\r\n")
            try await client.finishSending()
            #expect(await client.readToEnd().utf8.count > 20 << 20)
        }
    }

    @Test("curl: too large content is refused before and during its arrival")
    func curlTooLarge() async throws {
        try await Self.serving({ $0.maximumBodySize = 1000 }) { port in
            let base = "http://127.0.0.1:\(port)"
            let file = try TestFolder.write(String(repeating: "x", count: 300_000), as: "upload")
            #expect(try await curl("-o", "/dev/null", "-w", "%{http_code}", "-T", file, "\(base)/echo").contains("413"))
            #expect(
                try await curl(
                    "-o", "/dev/null", "-w", "%{http_code}", "-H", "Transfer-Encoding: chunked", "-T", file,
                    "\(base)/echo"
                ).contains("413"))
            #expect(try await curl("\(base)/") == "hello world")
        }
    }

    @Test("curl: HTTP/1.0, keep-alive, unix socket, IPv6")
    func curlConnections() async throws {
        let path = TestFolder.path("s")
        try await Self.serving({ $0.addresses += [.unix(path: path), .tcp("::1", port: 0)] }) { port in
            let base = "http://127.0.0.1:\(port)"
            let old = try await curl("-i", "--http1.0", "\(base)/stream")
            #expect(old.contains("Connection: close"))
            #expect(!old.contains("chunked"))
            #expect(old.hasSuffix("line 999\n"))
            let kept = try await curl("-0", "-i", "-H", "Connection: keep-alive", "\(base)/", "\(base)/")
            #expect(kept.contains("Connection: keep-alive"))
            let reused = try await curl(
                "-o", "/dev/null", "-o", "/dev/null", "-w", "%{num_connects} ", "\(base)/", "\(base)/")
            #expect(reused == "1 0 ")
            let socket = try await curl("--unix-socket", path, "http://localhost/")
            #expect(socket == "hello world")
        }
        let server = HTTPServer(ServerConfiguration(addresses: [.tcp("::1", port: 0)], threads: 1)) { _ in .text("six")
        }
        guard case .tcp(_, let port)? = try await server.start().first else { throw PeerError("no port") }
        #expect(try await curl("http://[::1]:\(port)/") == "six")
        await server.stop()
    }

    @Test("wrk: a mixed load over many connections without errors")
    func wrk() async throws {
        try await Self.serving { port in
            for path in ["/", "/stream"] {
                let finished = try await runToEnd("wrk", ["-t2", "-c50", "-d1s", "http://127.0.0.1:\(port)\(path)"])
                #expect(finished.output.contains("Requests/sec"))
                #expect(!finished.output.contains("Non-2xx"))
                #expect(!finished.output.contains("Socket errors"))
            }
        }
    }

    @Test("requests and http.client: sessions, streamed uploads, JSON")
    func python() async throws {
        try await Self.serving { port in
            let script = """
                import requests, http.client
                base = "http://127.0.0.1:\(port)"
                s = requests.Session()
                assert s.get(base + "/").text == "hello world"
                r = s.post(base + "/echo", json={"a": 1}, params={"q": "x y"})
                assert r.json() == {"a": 1} and r.headers["X-Query"] == "q=x+y", r.headers
                def parts():
                    for n in range(100): yield b"x" * 1000
                assert s.post(base + "/count", data=parts()).text == "100000 "
                assert s.head(base + "/").headers["Content-Length"] == "11"
                assert s.get(base + "/json").json() == {"a": [1, 2, 3]}
                assert s.get(base + "/fail").status_code == 500
                assert len(s.get(base + "/stream").text.splitlines()) == 1000
                c = http.client.HTTPConnection("127.0.0.1", \(port))
                for _ in range(50):
                    c.request("PUT", "/echo", body=b"abc")
                    r = c.getresponse()
                    assert r.status == 200 and r.read() == b"abc"
                print("fine")
                """
            let finished = try await runToEnd(Peers.python(), ["-c", script])
            #expect(finished.output == "fine\n", "\(finished.errors)")
        }
    }

    @Test("dugong: pipelining, 100-continue, content that follows")
    func dugong() async throws {
        try await Self.serving { port in
            let script = """
                import threading, time
                from dugong import HTTPConnection, BodyFollowing
                c = HTTPConnection("127.0.0.1", port=\(port))
                n = 2000
                def send():
                    for i in range(n): c.send_request("GET", "/echo?%d" % i)
                t = threading.Thread(target=send); t.start()
                for i in range(n):
                    while not c.response_pending(): time.sleep(0)
                    r = c.read_response()
                    assert r.status == 200 and r.headers["X-Query"] == str(i), (i, r.status)
                    c.readall()
                t.join()
                c.send_request("PUT", "/count", body=BodyFollowing(10), expect100=True)
                r = c.read_response()
                assert r.status == 100, r.status
                c.write(b"0123456789")
                r = c.read_response()
                assert r.status == 200 and c.readall() == b"10 "
                c.send_request("PUT", "/refuse", body=BodyFollowing(10), expect100=True)
                assert c.read_response().status == 403
                print("fine")
                """
            let finished = try await runToEnd(Peers.python(), ["-c", script])
            #expect(finished.output == "fine\n", "\(finished.errors)")
        }
    }

    @Test("a graceful shutdown completes requests in flight and accepts no new ones")
    func shutdown() async throws {
        var configuration = ServerConfiguration(addresses: [.tcp("127.0.0.1", port: 0)], threads: 2)
        configuration.logger = .silent
        let begun = AsyncStream<Void>.makeStream()
        let server = HTTPServer(configuration) { request in
            begun.continuation.yield()
            return try await Self.answer(request)
        }
        guard case .tcp(_, let port)? = try await server.start().first else { throw PeerError("no port") }
        let skein = SkeinClient()
        let idle = try HTTPConnection("http://127.0.0.1:\(port)")
        try await idle.sendRequest(.get, "/")
        _ = try await idle.readResponse()
        _ = try await idle.readAll()
        let slow = skein.get("http://127.0.0.1:\(port)/slow")
        var beginnings = begun.stream.makeAsyncIterator()
        _ = await beginnings.next()
        _ = await beginnings.next()
        await server.stop()
        let response = await slow.dispatch()
        #expect(try response.text() == "slow")
        #expect(await skein.get("http://127.0.0.1:\(port)/").dispatch().statusCode == 714)
        #expect(server.connectionCount == 0)
    }

    @Test("a port in use is a clear error")
    func portInUse() async throws {
        let port = try await Peers.shared.nginxPort()
        let server = HTTPServer(ServerConfiguration(addresses: [.tcp("127.0.0.1", port: port)], threads: 1)) { _ in
            .text("")
        }
        let error = await #expect(throws: SkeinError.self) { try await server.start() }
        #expect(error?.code == .connectionFailed)
        #expect(error?.peer == "127.0.0.1:\(port)")
    }

    @Test("a handler that calls a back end through the client on its own loop")
    func handlerWithClient() async throws {
        let backend = "http://127.0.0.1:\(try await Peers.shared.nginxPort())/hello"
        let skein = SkeinClient()
        let server = HTTPServer(ServerConfiguration(addresses: [.tcp("127.0.0.1", port: 0)], threads: 1)) { _ in
            ServerResponse(body: .bytes(try await skein.get(backend).fetch()))
        }
        guard case .tcp(_, let port)? = try await server.start().first else { throw PeerError("no port") }
        #expect(try await curl("http://127.0.0.1:\(port)/") == "hello world")
        await server.stop()
    }
}
