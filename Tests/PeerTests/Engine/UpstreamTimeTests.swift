import Foundation
import PeerSupport
import Skein
import SkeinEngine
import Synchronization
import Testing

/// Slow clients and slow back ends: gunicorn with one worker, which handles one request at a time, and curl.
@Suite("Reverse proxy and time", .serialized, .inTurn, .timeLimit(.minutes(5)))
struct UpstreamTimeTests {
    private static let app = """
        import hashlib, time
        piece = bytes(range(256)) * 256
        def application(environ, start_response):
            path = environ["PATH_INFO"]
            if path == "/late": time.sleep(3)
            start_response("200 OK", [("Content-Type", "application/octet-stream")])
            if path == "/large": return (piece for _ in range(256))
            if path == "/stalls": return (time.sleep(number * 3) or piece for number in range(2))
            return [b"hello"]
        """

    private func gunicorn(_ arguments: String...) async throws -> (process: PeerProcess, port: Int) {
        let folder = TestFolder.path("slow-back-end")
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        try Self.app.write(toFile: "\(folder)/slow.py", atomically: true, encoding: .utf8)
        let port = try await Ports.free()
        let process = try PeerProcess(
            Peers.python("gunicorn"), ["-b", "127.0.0.1:\(port)", "-w", "1", "--chdir", folder, "slow"] + arguments,
            log: TestFolder.path("slow.log"))
        try await Ports.untilOpen(port)
        return (process, port)
    }

    private func curl(_ url: String, _ arguments: String...) async throws -> Finished {
        try await runToEnd("curl", ["-sS", "--max-time", "60", url] + arguments)
    }

    @Test("a slow client of a large response does not occupy the back end's only worker; it gets every byte")
    func buffered() async throws {
        let (process, back) = try await gunicorn()
        var options = UpstreamConfiguration()
        options.responseBuffering = ResponseBuffering(memory: 1 << 20, folder: TestFolder.url.path)
        var engine = Engine()
        engine.mount("/", .upstream("http://127.0.0.1:\(back)", options))
        try await serving(engine) { port, _ in
            let url = "http://127.0.0.1:\(port)"
            let body = TestFolder.path("slowly")
            // 16 MiB in about 8 s, and the others in the meantime.
            async let slow = curl("\(url)/large", "--limit-rate", "2M", "-o", body, "-w", "%{time_total}")
            while !FileManager.default.fileExists(atPath: body) { try await Task.sleep(for: .milliseconds(20)) }
            let begun = ContinuousClock.now
            for _ in 0..<3 { #expect(try await curl("\(url)/hello").output == "hello") }
            #expect(ContinuousClock.now - begun < .seconds(2))
            let finished = try await slow
            #expect(Double(finished.output) ?? 0 > 2.5, "\(finished)")
            let piece = Data((0..<256).flatMap { _ in (0...255).map { UInt8($0) } })
            let content = FileManager.default.contents(atPath: body) ?? Data()
            #expect(content.count == 256 * piece.count)
            #expect(
                stride(from: 0, to: content.count, by: piece.count).allSatisfy {
                    content[$0..<$0 + piece.count] == piece
                })
            // When a client disconnects, its file is deleted, and the back end continues.
            #expect(
                try await curl("\(url)/large", "--limit-rate", "1M", "--max-time", "1", "-o", "/dev/null").code == 28)
            #expect(try await curl("\(url)/hello").output == "hello")
            let left = try FileManager.default.contentsOfDirectory(atPath: TestFolder.url.path)
            #expect(!left.contains { $0.hasPrefix("skein-") })
        }
        await process.stop()
    }

    @Test(
        "a back end that does not take connections, says nothing, or falls silent: 504, or a response that is seen to be broken"
    )
    func limits() async throws {
        let (process, back) = try await gunicorn("-k", "gthread", "--threads", "4")
        // A listener whose queue is full.
        let script = """
            import socket, time
            listener = socket.socket()
            listener.bind(("127.0.0.1", 0))
            listener.listen(0)
            clients = [socket.socket() for _ in range(8)]
            for client in clients:
                client.setblocking(False)
                client.connect_ex(listener.getsockname())
            print("full", listener.getsockname()[1], flush=True)
            time.sleep(600)
            """
        let full = try PeerProcess(Peers.python(), ["-c", script], log: TestFolder.path("full.log"))
        let fullPort = try await full.untilPrinted("full ")
        var options = UpstreamConfiguration()
        options.connectTimeout = .milliseconds(500)
        options.readTimeout = .milliseconds(700)
        var engine = Engine()
        engine.mount("/full", .upstream("http://127.0.0.1:\(fullPort)", options))
        engine.mount("/", .upstream("http://127.0.0.1:\(back)", options))
        try await serving(engine) { port, _ in
            let status = ["-o", "/dev/null", "-w", "%{http_code} %{time_total}"]
            for path in ["full", "late"] {
                let words = try await runToEnd("curl", ["-sS", "http://127.0.0.1:\(port)/\(path)"] + status)
                    .output.split(separator: " ")
                #expect(words.first == "504" && Double(words.last ?? "") ?? 9 < 2.5, "\(path): \(words)")
            }
            for version in ["--http1.1", "--http2-prior-knowledge"] {
                let run = try await curl(
                    "http://127.0.0.1:\(port)/stalls", version, "-o", "/dev/null", "--max-time", "20")
                #expect([18, 56, 92].contains(run.code), "\(version): \(run)")
            }
        }
        await process.stop()
        await full.stop()
    }

    @Test("A group that a handler leaves behind its response goes on, and the server waits for it when it stops")
    func background() async throws {
        let services = try await Peers.shared.httpbinPort()
        let late = Mutex<[Int]>([])
        var engine = Engine()
        engine.post("/order") { request in
            let client = request.skein
            return CorequestGroup(
                (1...2).map { number in
                    client.get("http://127.0.0.1:\(services)/delay/\(number)") { response in
                        late.withLock { $0.append(response.statusCode) }
                    }
                }
            ).returning("accepted")
        }
        let begun = ContinuousClock.now
        try await serving(engine) { port, _ in
            let answer = try await curl("http://127.0.0.1:\(port)/order", "-X", "POST")
            #expect(answer.output.contains("accepted"))
            #expect(ContinuousClock.now - begun < .seconds(1), "\(ContinuousClock.now - begun)")
        }
        #expect(late.withLock { $0 } == [200, 200])
        // What takes longer than the server waits is cut off.
        engine.configuration.shutdownTimeout = .milliseconds(300)
        late.withLock { $0 = [] }
        try await serving(engine) { port, _ in
            _ = try await curl("http://127.0.0.1:\(port)/order", "-X", "POST")
        }
        #expect(late.withLock { $0.count(where: { $0 >= 700 }) } == 2)
    }

    @Test("OPTIONS with Max-Forwards is forwarded that many times")
    func maxForwards() async throws {
        let services = try await Peers.shared.httpbinPort()
        var engine = Engine()
        engine.mount("/", .upstream("http://127.0.0.1:\(services)"))
        try await serving(engine) { port, _ in
            let url = "http://127.0.0.1:\(port)/get"
            let near = try await curl(url, "-i", "-X", "OPTIONS", "-H", "Max-Forwards: 0").output
            #expect(near.hasPrefix("HTTP/1.1 204") && near.lowercased().contains("allow: get, head"))
            let far = try await curl(url, "-i", "-X", "OPTIONS", "-H", "Max-Forwards: 1").output
            #expect(far.lowercased().contains("server: gunicorn"), "\(far)")
        }
    }
}
