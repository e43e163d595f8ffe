import NIOCore
import PeerSupport
import SkeinEngine
import Testing

/// Clients that violate the protocol, over a raw socket; the server responds, closes, and serves the next one.
@Suite("Hostile clients", .serialized, .inTurn, .timeLimit(.minutes(5)))
struct HostileClientTests {
    /// Sends bytes and reads until the server closes, or until a number of responses have been received.
    private func exchange(_ port: Int, _ pieces: [String]) async throws -> String {
        let client = try await RawClient.connect(port)
        for piece in pieces { try await client.send(piece) }
        return await client.readToEnd()
    }

    @Test(
        "a malformed request is answered with its status, and the connection ends",
        arguments: [
            ("GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
            ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\n", 400),
            ("GET / HTTP/1.1\r\nHost: a\r\nX: a\rb\r\n\r\n", 400),
            ("GET / HTTP/1.1\nHost: a\n\n", 400),
            ("GET / HTTP/1.1\r\nHost : a\r\n\r\n", 400),
            ("GET / HTTP/1.1\r\nHost: a\r\nX: b\r\n c\r\n\r\n", 400),
            ("GET / HTTP/1.1\r\nHost: a\r\nX: \0\r\n\r\n", 400),
            ("GET /a b HTTP/1.1\r\nHost: a\r\n\r\n", 400),
            ("GET / HTTP/1.1\r\n\r\n", 400),
            ("GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", 400),
            ("POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n+1\r\na\r\n0\r\n\r\n", 400),
            ("POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n11111111111111111\r\n", 400),
            ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n", 501),
            ("GET / HTTP/3.0\r\nHost: a\r\n\r\n", 505),
            ("GET / HTTP/1.1\r\nHost: a\r\n" + String(repeating: "X: y\r\n", count: 200) + "\r\n", 431),
            ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 999999999\r\n\r\n", 413),
            ("\u{16}\u{3}\u{1}\u{2}", 400),
        ] as [(String, Int)])
    func malformed(input: String, status: Int) async throws {
        try await ServerTests.serving { port in
            let answer = try await exchange(port, [input])
            #expect(answer.hasPrefix("HTTP/1.1 \(status) "), "\(answer.prefix(200))")
            #expect(answer.contains("\r\nConnection: close\r\n"))
            let next = try await exchange(port, ["GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"])
            #expect(next.hasSuffix("hello world"))
        }
    }

    @Test("requests smuggled behind a refused one are never answered")
    func smuggling() async throws {
        try await ServerTests.serving { port in
            let answer = try await exchange(
                port,
                [
                    "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
                        + "GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"
                ])
            #expect(answer.components("HTTP/1.1 ") == 1)
            #expect(answer.hasPrefix("HTTP/1.1 400 "))
        }
    }

    @Test("pipelined requests are answered in order, however long their handlers take")
    func pipelined() async throws {
        try await ServerTests.serving { port in
            let requests = ["/slow", "/", "/echo?x", "/nothing", "/stream", "/json"].map {
                "GET \($0) HTTP/1.1\r\nHost: a\r\n\r\n"
            }
            let answer = try await exchange(
                port,
                [
                    requests.joined()
                        + "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nConnection: close\r\n\r\nend"
                ])
            #expect(answer.components("HTTP/1.1 ") == 7)
            let places = [
                "slow", "hello world", "X-Query: x", "404 Not Found", "X-Lines: 1000", "[1,2,3]", "\r\n\r\nend",
            ]
            .map { answer.firstRange(of: $0)?.lowerBound }
            #expect(!places.contains(nil))
            #expect(places.compactMap { $0 } == places.compactMap { $0 }.sorted())
        }
    }

    @Test("a request split at any byte is answered")
    func cut() async throws {
        try await ServerTests.serving { port in
            let request =
                "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
            for cut in stride(from: 1, to: request.utf8.count, by: 5) {
                let head = String(decoding: Array(request.utf8)[..<cut], as: UTF8.self)
                let tail = String(decoding: Array(request.utf8)[cut...], as: UTF8.self)
                let answer = try await exchange(port, [head, tail])
                #expect(answer.hasSuffix("\r\n\r\nabc"))
            }
        }
    }

    @Test("a client that sends a byte at a time is cut at the header timeout")
    func slowHeader() async throws {
        try await ServerTests.serving({ $0.headerTimeout = .seconds(2) }) { port in
            let client = try await RawClient.connect(port)
            let start = NIODeadline.now()
            let drip = Task {
                for byte in "GET / HTTP/1.1\r\nHost: a\r\nX-Long: \(String(repeating: "x", count: 500))" {
                    try await client.send(String(byte))
                    try await Shard.standard.sleep(until: .after(.milliseconds(20)))
                }
            }
            let answer = await client.readToEnd()
            drip.cancel()
            #expect(answer.hasPrefix("HTTP/1.1 408 "))
            #expect(NIODeadline.now() - start < .seconds(9))
        }
    }

    @Test("a client that sends nothing, or stops in its content, is disconnected")
    func silence() async throws {
        let change: (inout ServerConfiguration) -> Void = {
            $0.headerTimeout = .seconds(2)
            $0.bodyTimeout = .seconds(2)
            $0.keepAliveTimeout = .seconds(2)
        }
        try await ServerTests.serving(change) { port in
            let nothing = try await exchange(port, [])
            let half = try await exchange(port, ["POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nabc"])
            let idle = try await exchange(port, ["GET / HTTP/1.1\r\nHost: a\r\n\r\n"])
            #expect(nothing.isEmpty)
            #expect(half.isEmpty)
            #expect(idle.hasSuffix("hello world"))
        }
    }

    @Test("a client that does not read its response is disconnected, and others are served meanwhile")
    func slowReader() async throws {
        try await ServerTests.serving({ $0.bodyTimeout = .milliseconds(300) }) { port in
            let client = try await RawClient.connect(port, readsByItself: false)
            try await client.send("GET /large HTTP/1.1\r\nHost: a\r\n\r\n")
            let other = try await exchange(port, ["GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"])
            #expect(other.hasSuffix("hello world"))
            await client.close()
        }
    }

    @Test("connections beyond the limit get a response and are closed")
    func tooMany() async throws {
        try await ServerTests.serving({ $0.maximumConnections = 3 }) { port in
            var clients: [RawClient] = []
            for _ in 0..<3 {
                let client = try await RawClient.connect(port)
                try await client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
                try await client.untilReceived("hello world")
                clients.append(client)
            }
            #expect(try await exchange(port, []).hasPrefix("HTTP/1.1 503 "))
            for client in clients { await client.close() }
        }
    }
}

extension String {
    /// The number of occurrences of a text.
    fileprivate func components(_ separator: String) -> Int {
        split(separator: separator, omittingEmptySubsequences: false).count - 1
    }
}
