import Foundation
import NIOCore
import PeerSupport
import Skein
import SkeinHTTP
import Synchronization
import Testing

/// The client's HTTP/2 against nginx, nghttpd and hypercorn.
@Suite("HTTP/2 client", .serialized, .inTurn, .timeLimit(.minutes(5)))
struct HTTP2ClientTests {
    private func session(
        _ use: HTTP2Use = .priorKnowledge, _ change: (inout SkeinClient.Configuration) -> Void = { _ in }
    ) -> SkeinClient {
        var configuration = SkeinClient.Configuration()
        configuration.logger = .silent
        configuration.http.http2.use = use
        change(&configuration)
        return SkeinClient(configuration)
    }

    /// Starts nghttpd on a folder with a page, a style sheet and further files of a test.
    private func nghttpd(_ arguments: [String] = [], _ test: (Int, PeerProcess) async throws -> Void) async throws {
        let port = try await Ports.free()
        let folder = TestFolder.path("nghttpd")
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        try "a page".write(toFile: "\(folder)/index.html", atomically: true, encoding: .utf8)
        try "a style".write(toFile: "\(folder)/style.css", atomically: true, encoding: .utf8)
        let peer = try PeerProcess(
            "nghttpd", ["--no-tls", "-v", "-a", "127.0.0.1", "-d", folder] + arguments + ["\(port)"],
            log: TestFolder.path("nghttpd.log"))
        try await Ports.untilOpen(port)
        do {
            try await test(port, peer)
        } catch {
            await peer.stop()
            throw error
        }
        await peer.stop()
    }

    @Test("the version of a response is visible in the report line only")
    func get() async throws {
        let skein = session()
        let response = await skein.get("http://127.0.0.1:\(try await Peers.shared.nginxHTTP2Ports().many)/hello")
            .dispatch()
        #expect(response.reportLine == "REQID 0. HTTP/2.0 200 OK 11 bytes received")
        #expect(response.version == .http2)
        #expect(try response.text() == "hello world")
        #expect(response.header("Server")?.hasPrefix("nginx") == true)
        #expect(response.header("Content-Length") == "11")
    }

    @Test("methods, a HEAD with a length, an empty answer, a body of each kind")
    func methods() async throws {
        let skein = session()
        let base = "http://127.0.0.1:\(try await Peers.shared.hypercornPort())"
        let pieces = [ByteBuffer(repeating: 1, count: 100_000), ByteBuffer(string: "end")]
        let bodies: [(HTTPMethod, HTTPBody, Int)] = [
            (.get, .none, 0), (.post, .text("hello"), 5), (.put, .sequence(pieces), 100_003),
            (.patch, .sequence(pieces, length: 100_003), 100_003), (.delete, .none, 0),
            (.post, .bytes(ByteBuffer(repeating: 1, count: 3 << 20)), 3 << 20),
        ]
        for (method, body, size) in bodies {
            let response = await skein.request(method, base, body: body).dispatch()
            let text = String(buffer: response.content)
            #expect(text == "2 \(method) \(size)", "\(response.reportLine)\n\(response.headers)")
        }
        let head = await skein.head("http://127.0.0.1:\(try await Peers.shared.nginxHTTP2Ports().many)/big").dispatch()
        #expect(head.statusCode == 200 && head.header("Content-Length") == "8388608" && head.content.readableBytes == 0)
    }

    @Test("ten thousand concurrent callers share one connection, and all are answered")
    func oneConnection() async throws {
        let skein = session { $0.concurrency = 10_000 }
        let url = "http://127.0.0.1:\(try await Peers.shared.nginxHTTP2Ports().many)/hello"
        let group = CorequestGroup((0..<10_000).map { _ in skein.get(url, timeout: .seconds(60)) })
        #expect(try await group.fetch().count == 10_000)
        #expect(skein.connectCount == 1)
        #expect(await skein.fetchAll().failures == 0)
    }

    @Test("a second connection is opened when the streams of the first are used up, up to the limit")
    func streamLimit() async throws {
        let url = "http://127.0.0.1:\(try await Peers.shared.nginxHTTP2Ports().few)/hello"
        for (allowed, expected) in [(1, 1), (3, 3)] {
            let skein = session {
                $0.concurrency = 500
                $0.http.http2.connectionsPerOrigin = allowed
            }
            let group = CorequestGroup((0..<500).map { _ in skein.get(url) })
            #expect(try await group.fetch().count == 500)
            #expect(skein.connectCount == expected)
        }
    }

    @Test("a gigabyte through a window of 64 KiB, as a stream, in little memory")
    func hugeBody() async throws {
        let skein = session {
            $0.http.http2.limits.streamWindow = 64 << 10
            $0.http.http2.limits.maximumStreamWindow = 64 << 10
        }
        let url = "http://127.0.0.1:\(try await Peers.shared.nginxHTTP2Ports().many)/huge"
        let response = try await skein.stream(.get, url).dispatch()
        var bytes = 0
        for try await piece in try #require(response.stream) { bytes += piece.readableBytes }
        #expect(bytes == 1 << 30)
    }

    @Test("an unread stream blocks its own peer, but no other streams")
    func backPressure() async throws {
        let skein = session()
        let base = "http://127.0.0.1:\(try await Peers.shared.nginxHTTP2Ports().many)"
        let unread = try await skein.stream(.get, "\(base)/huge").dispatch()
        for _ in 0..<20 { #expect(try await skein.get("\(base)/big").fetch().readableBytes == 8 << 20) }
        unread.stream?.cancel()
        #expect(try await skein.get("\(base)/hello").fetch().readableBytes == 11)
        #expect(skein.connectCount == 1)
    }

    @Test("a cancelled or timed-out corequest ends its own stream only")
    func cancellation() async throws {
        let skein = session()
        try await ServerTests.serving { port in
            let base = "http://127.0.0.1:\(port)"
            try await skein.get("\(base)/").commit()
            let doomed = (0..<50).map { _ in skein.get("\(base)/slow") }
            for corequest in doomed { corequest.cancel() }
            for corequest in doomed { #expect(await corequest.dispatch().failure?.code == .cancelled) }
            let late = await skein.get("\(base)/slow", timeout: .milliseconds(50)).dispatch()
            #expect(late.failure?.code == .timeout)
            #expect(try await skein.get("\(base)/").fetch().readableBytes == 11)
            #expect(skein.connectCount == 1)
        }
    }

    @Test("trailers of responses and requests")
    func trailers() async throws {
        try await nghttpd(["--trailer=x-sum: 17"]) { (port, peer) async throws in
            let skein = session()
            let response = await skein.get("http://127.0.0.1:\(port)/").dispatch()
            #expect(try response.text() == "a page")
            #expect(response.trailers?["X-Sum"] == "17")
            var request = HTTPRequest(.post, try HTTPURL("http://127.0.0.1:\(port)/"), body: .text("content"))
            request.trailers = ["X-Digest": "abc"]
            #expect(await skein.start(request).dispatch().statusCode == 200)
            _ = try await peer.untilPrinted("x-digest: abc")
        }
    }

    @Test("a pushed response is refused by default, and passed to a handler if enabled")
    func push() async throws {
        try await nghttpd(["-p/=/style.css"]) { (port, peer) async throws in
            let url = "http://127.0.0.1:\(port)/"
            #expect(try await session().get(url).dispatch().text() == "a page")
            #expect(!peer.output.contains("PUSH_PROMISE"))
            let pushed = Mutex<[String]>([])
            let skein = session {
                $0.http.http2.onPush = { response in
                    let text = (try? response.text()) ?? "\(response.statusCode)"
                    pushed.withLock { $0.append("\(response.url.target) \(text)") }
                }
            }
            #expect(try await skein.get(url).dispatch().text() == "a page")
            #expect(await skein.fetchAll().tasks == 2)
            #expect(pushed.withLock { $0 } == ["/style.css a style"])
        }
    }

    @Test("an upgrade is offered in the first request, and used if the server accepts")
    func upgrade() async throws {
        let skein = session(.upgrade) { $0.concurrency = 50 }
        let base = "http://127.0.0.1:\(try await Peers.shared.hypercornPort())/"
        let group = CorequestGroup((0..<50).map { _ in skein.get(base) })
        for response in await group.dispatch() { #expect(try response.text() == "2 GET 0") }
        #expect(skein.connectCount == 1)
        // nginx continues with HTTP/1.1.
        let plain = "http://127.0.0.1:\(try await Peers.shared.nginxPort())/hello"
        for response in await CorequestGroup((0..<10).map { _ in skein.get(plain) }).dispatch() {
            #expect(response.version == .http1_1 && response.statusCode == 200)
        }
        // A request with content does not offer the upgrade.
        let fresh = session(.upgrade)
        #expect(try await fresh.post(base, body: .text("hello")).dispatch().text() == "1.1 POST 5")
    }

    @Test("a server that goes away completes its streams; other requests are sent again on a new connection")
    func goAway() async throws {
        let skein = session { $0.concurrency = 40 }
        let url = "http://127.0.0.1:\(try await Peers.shared.nginxHTTP2Ports().leaving)/hello"
        let group = CorequestGroup((0..<40).map { _ in skein.get(url) })
        for response in await group.dispatch() { #expect(response.statusCode == 200, "\(response.reportLine)") }
        #expect(skein.connectCount > 1)
    }

    @Test("many threads, streams of all kinds, a minute's worth of them in a second")
    func mixture() async throws {
        let skein = session {
            $0.threads = 2
            $0.concurrency = 200
        }
        let base = "http://127.0.0.1:\(try await Peers.shared.nginxHTTP2Ports().many)"
        await withTaskGroup(of: Void.self) { group in
            for caller in 0..<50 {
                group.addTask {
                    for turn in 0..<20 {
                        let path = ["/hello", "/small.txt", "/none", "/big"][(caller + turn) % (turn == 0 ? 4 : 3)]
                        let response = await skein.get(base + path).dispatch()
                        #expect(response.failure == nil, "\(response.reportLine)")
                    }
                }
            }
        }
        #expect(await skein.fetchAll().tasks == 1000)
        #expect(skein.connectCount <= 2)
        await skein.shutdown()
    }
}
