import Foundation
import NIOCore
import PeerSupport
import SkeinEngine
import Testing

/// The server's HTTP/2 against curl, nghttp, h2load and Python's httpx.
@Suite("HTTP/2 server", .serialized, .inTurn, .timeLimit(.minutes(5)))
struct HTTP2ServerTests {
    private func curl(_ arguments: String...) async throws -> String {
        let finished = try await runToEnd(
            "curl", ["-sS", "--max-time", "30", "--http2-prior-knowledge"] + arguments)
        return finished.output + finished.errors
    }

    @Test("curl: all kinds of responses, on the same port as HTTP/1.1")
    func curl() async throws {
        try await ServerTests.serving { port in
            let base = "http://127.0.0.1:\(port)"
            let head = try await curl("-i", "\(base)/")
            #expect(head.hasPrefix("HTTP/2 200"))
            #expect(head.contains("\r\ncontent-length: 11\r\n") && head.contains("\r\ndate: "))
            #expect(head.hasSuffix("\r\n\r\nhello world"))
            #expect(try await curl("-I", "\(base)/large").contains("content-length: 20971520"))
            #expect(try await curl("-i", "\(base)/empty").hasPrefix("HTTP/2 204"))
            #expect(try await curl("-d", "some content", "\(base)/echo?a=b") == "some content")
            #expect(try await curl("-d", "@/dev/null", "\(base)/echo") == "")
            #expect(try await curl("\(base)/stream").split(separator: "\n").count == 1000)
            #expect(try await curl("-o", "/dev/null", "-w", "%{size_download}", "\(base)/large") == "20971520")
            #expect(try await curl("-w", " %{http_code}", "\(base)/none") == "404 Not Found\n 404")
            #expect(try await curl("-w", " %{http_code}", "\(base)/fail") == "Internal Server Error\n 500")
            #expect(try await curl("-w", " %{http_code}", "\(base)/inject") == "Internal Server Error\n 500")
            let plain = try await runToEnd("curl", ["-sS", "--http1.1", "-w", " %{http_version}", "\(base)/"])
            #expect(plain.output == "hello world 1.1")
        }
    }

    @Test("curl: an upgrade from HTTP/1.1, and the next request on the same connection")
    func upgrade() async throws {
        try await ServerTests.serving {
            $0.http2.allowsUpgrade = true
        } _: { port in
            let base = "http://127.0.0.1:\(port)"
            let two = try await runToEnd(
                "curl", ["-sS", "--http2", "-w", " %{http_version} %{num_connects}\n", "\(base)/", "\(base)/json"])
            #expect(two.output == "hello world 2 1\n{\"a\":[1,2,3]} 2 0\n")
            // A request with content is not upgraded.
            let body = try await runToEnd(
                "curl", ["-sS", "--http2", "-d", "content", "-w", " %{http_version}", "\(base)/echo"])
            #expect(body.output == "content 1.1")
        }
        // By default, the upgrade is not offered: it bypasses proxies that forward the field.
        try await ServerTests.serving { port in
            let refused = try await runToEnd(
                "curl", ["-sS", "--http2", "-w", " %{http_version}", "http://127.0.0.1:\(port)/"])
            #expect(refused.output == "hello world 1.1")
        }
        try await ServerTests.serving {
            $0.http2.isEnabled = false
            $0.http2.allowsUpgrade = true
        } _: { port in
            let refused = try await runToEnd(
                "curl", ["-sS", "--http2", "-w", " %{http_version}", "http://127.0.0.1:\(port)/"])
            #expect(refused.output == "hello world 1.1")
        }
    }

    @Test("curl: large content up and down, an early refusal, a body over the limit")
    func bodies() async throws {
        let file = TestFolder.path("upload")
        _ = FileManager.default.createFile(atPath: file, contents: nil)
        truncate(file, 3 << 20)
        try await ServerTests.serving { port in
            let base = "http://127.0.0.1:\(port)"
            #expect(try await curl("-T", file, "\(base)/count") == "3145728 ")
            #expect(try await curl("-T", file, "-H", "Expect: 100-continue", "\(base)/count") == "3145728 ")
            #expect(try await curl("-T", file, "-w", " %{http_code}", "\(base)/refuse") == "not for you\n 403")
            truncate(file, 300 << 20)
            let tooLarge = try await curl("-T", file, "-w", " %{http_code}", "\(base)/count")
            #expect(tooLarge.contains(" 413"))
        }
    }

    @Test("a gigabyte is received through windows of 64 KiB, and sent through the client's")
    func gigabyte() async throws {
        let file = TestFolder.path("gigabyte")
        _ = FileManager.default.createFile(atPath: file, contents: nil)
        truncate(file, 1 << 30)
        var configuration = ServerConfiguration(addresses: [.tcp("127.0.0.1", port: 0)], threads: 1)
        configuration.logger = .silent
        configuration.maximumBodySize = 2 << 30
        configuration.http2.limits.maximumStreamWindow = configuration.http2.limits.streamWindow
        let server = HTTPServer(configuration) { request in
            if request.method == .get {
                let megabyte = ByteBuffer(repeating: 1, count: 1 << 20)
                return ServerResponse(body: .sequence(repeatElement(megabyte, count: 1024)))
            }
            var bytes = 0
            for try await piece in request.body { bytes += piece.readableBytes }
            return .text("\(bytes)")
        }
        guard case .tcp(_, let port)? = try await server.start().first else { throw PeerError("no port") }
        #expect(try await curl("--max-time", "100", "-T", file, "http://127.0.0.1:\(port)/") == "1073741824")
        let size = try await curl(
            "--max-time", "100", "-o", "/dev/null", "-w", "%{size_download}", "http://127.0.0.1:\(port)/")
        #expect(size == "1073741824")
        await server.stop()
    }

    @Test("nghttp: trailers both ways")
    func trailers() async throws {
        let content = try TestFolder.write("content", as: "content")
        try await ServerTests.serving { port in
            let sent = try await runToEnd(
                "nghttp", ["--trailer=x-sum: 23", "-d", content, "http://127.0.0.1:\(port)/count"])
            #expect(sent.output.contains("7 23"))
            let received = try await runToEnd("nghttp", ["-nv", "http://127.0.0.1:\(port)/stream"])
            #expect(received.output.contains("x-lines: 1000"))
        }
    }

    @Test("nghttp: pushes if the client accepts them, else early hints")
    func push() async throws {
        let server = HTTPServer(ServerConfiguration(addresses: [.tcp("127.0.0.1", port: 0)], threads: 1)) { request in
            if request.path == "/style.css" { return .text("a style for \(request.headers["Host"] ?? "nobody")") }
            request.push("/style.css")
            return .text("a page")
        }
        guard case .tcp(_, let port)? = try await server.start().first else { throw PeerError("no port") }
        let base = "http://127.0.0.1:\(port)/"
        let pushed = try await runToEnd("nghttp", ["-v", base]).output
        #expect(pushed.contains("recv PUSH_PROMISE frame"))
        #expect(pushed.contains(":path: /style.css"))
        #expect(pushed.contains("a page") && pushed.contains("a style for 127.0.0.1:\(port)"))
        let hinted = try await runToEnd("nghttp", ["-v", "--no-push", base]).output
        #expect(!hinted.contains("PUSH_PROMISE"))
        #expect(hinted.contains(":status: 103") && hinted.contains("link: </style.css>; rel=preload; as=style"))
        let plain = try await runToEnd("curl", ["-sSi", "--http1.1", base]).output
        #expect(
            plain.hasPrefix("HTTP/1.1 103 Early Hints\r\nLink: </style.css>; rel=preload; as=style\r\n\r\nHTTP/1.1 200")
        )
        await server.stop()
    }

    @Test("h2load: a thousand concurrent streams; many connections")
    func concurrency() async throws {
        try await ServerTests.serving {
            $0.http2.limits.concurrentStreams = 1000
        } _: { port in
            for arguments in [["-c1", "-m1000", "-n5000"], ["-c50", "-m10", "-n5000"]] {
                let load = try await runToEnd("h2load", arguments + ["http://127.0.0.1:\(port)/"])
                #expect(load.output.contains("5000 succeeded, 0 failed"), "\(load.output)")
            }
        }
    }

    @Test("httpx: pooled requests over HTTP/2, in parallel")
    func httpx() async throws {
        let script = """
            import asyncio, httpx, sys
            async def main(base):
                async with httpx.AsyncClient(http1=False, http2=True, timeout=20) as client:
                    answers = await asyncio.gather(*[client.post(base + "/echo", content=b"x" * n) for n in range(100)])
                    assert [len(a.content) for a in answers] == list(range(100))
                    assert {a.http_version for a in answers} == {"HTTP/2"}
                    async with client.stream("GET", base + "/large") as response:
                        size = 0
                        async for piece in response.aiter_bytes():
                            size += len(piece)
                    async def pieces():
                        for _ in range(100):
                            yield b"y" * 10000
                    counted = await client.post(base + "/count", content=pieces())
                    print(size, counted.text)
            asyncio.run(main(sys.argv[1]))
            """
        try await ServerTests.serving { port in
            let run = try await runToEnd(Peers.python(), ["-c", script, "http://127.0.0.1:\(port)"])
            #expect(run.output == "20971520 1000000 \n", "\(run.errors)")
        }
    }

    @Test("a stopping server completes streams in flight, and accepts no more")
    func shutdown() async throws {
        let (arrivals, arrived) = AsyncStream.makeStream(of: Void.self)
        let server = HTTPServer(ServerConfiguration(addresses: [.tcp("127.0.0.1", port: 0)], threads: 1)) { request in
            arrived.finish()
            try await request.shard.sleep(until: .after(.milliseconds(500)))
            return .text("late")
        }
        guard case .tcp(_, let port)? = try await server.start().first else { throw PeerError("no port") }
        async let answer = curl("http://127.0.0.1:\(port)/")
        for await _ in arrivals {}
        await server.stop()
        #expect(try await answer == "late")
        #expect(server.connectionCount == 0)
    }
}
