import Foundation
import PeerSupport
import Testing

/// The programs of `examples`, tested from outside by curl, websockets and grpcio.
@Suite("Examples", .serialized, .inTurn, .timeLimit(.minutes(2)))
struct ExampleTests {
    private static func program(_ name: String) -> String {
        URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
            .appending(path: ".build/debug/example-\(name)").path
    }

    private func start(_ name: String, _ port: Int, _ arguments: [String]) async throws -> PeerProcess {
        let process = try PeerProcess(Self.program(name), arguments, log: TestFolder.path("example-\(name).log"))
        try await Ports.untilOpen(port)
        return process
    }

    private func curl(_ arguments: String...) async throws -> String {
        try await runToEnd("curl", ["-sS"] + arguments).output
    }

    @Test("fan-out and load-generator ask nginx")
    func clients() async throws {
        let url = "http://127.0.0.1:\(try await Peers.shared.nginxPort())/hello"
        let fan = try await runToEnd(Self.program("fan-out"), [url, url, "http://127.0.0.1:1/"])
        #expect(fan.output.contains("\(url): 200, 11 bytes\n\(url): 200, 11 bytes\n"), "\(fan)")
        #expect(fan.output.contains("714"), "\(fan)")
        let load = try await runToEnd(Self.program("load-generator"), [url, "200", "4"])
        #expect(load.output.contains("200: 200\n") && load.output.contains("p99"), "\(load)")
    }

    @Test("blog stores posts")
    func blog() async throws {
        let port = try await Ports.free()
        let base = "http://127.0.0.1:\(port)"
        let blog = try await start(
            "blog", port, ["--listen", "127.0.0.1:\(port)", "--db", TestFolder.path("blog.sqlite")])
        let made = try await curl(
            "\(base)/posts", "-H", "Content-Type: application/json", "-d", #"{"title": "O'Hara", "text": "; DROP"}"#)
        #expect(made.contains(#""id":1"#), "\(made)")
        #expect(try await curl("\(base)/posts/1").contains("O'Hara"))
        #expect(try await curl("\(base)/posts").hasPrefix("["))
        #expect(try await curl("\(base)/posts/2", "-o", "/dev/null", "-w", "%{http_code}") == "410")
        #expect(await blog.stop() == 0)
    }

    @Test("all members of a chat room receive all messages")
    func chat() async throws {
        let port = try await Ports.free()
        let chat = try await start("chat", port, ["--listen", "127.0.0.1:\(port)"])
        let script = """
            import asyncio, websockets
            async def main():
                url = "ws://127.0.0.1:\(port)/rooms/one"
                async with websockets.connect(url) as a, websockets.connect(url) as b:
                    # Who hears itself is in the room.
                    await b.send("b")
                    while await b.recv() != "b": pass
                    await a.send("a")
                    while await a.recv() != "a": pass
                    while await b.recv() != "a": pass
                    await a.send("hello")
                    print(await a.recv(), await b.recv())
            asyncio.run(asyncio.wait_for(main(), 30))
            """
        let result = try await runToEnd(Peers.python(), ["-c", script])
        #expect(result.output == "hello hello\n", "\(result)")
        #expect(try await curl("http://127.0.0.1:\(port)/").contains("WebSocket"))
        #expect(await chat.stop() == 0)
    }

    @Test("file-server serves over TLS, and redirects from clear text")
    func files() async throws {
        let certificates = try await Certificates.shared.folder()
        let (port, clear) = (try await Ports.free(), try await Ports.free())
        let folder = TestFolder.path("example-files")
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        try "a page".write(toFile: "\(folder)/index.html", atomically: true, encoding: .utf8)
        let server = try await start(
            "file-server", port,
            [
                folder, "--listen", "127.0.0.1:\(port)", "--forward", "\(clear)", "--tls-cert",
                "\(certificates)/good.pem",
            ])
        #expect(try await curl("--cacert", "\(certificates)/ca.pem", "https://localhost:\(port)/") == "a page")
        let led = try await curl(
            "-L", "--cacert", "\(certificates)/ca.pem", "http://localhost:\(clear)/", "-w", " %{url_effective}")
        #expect(led == "a page https://localhost:\(port)/", "\(led)")
        #expect(await server.stop() == 0)
    }

    @Test("grpc-service greets grpcio")
    func grpc() async throws {
        let port = try await Ports.free()
        let service = try await start("grpc-service", port, ["\(port)"])
        let script = """
            import grpc
            with grpc.insecure_channel("127.0.0.1:\(port)") as channel:
                print(channel.unary_unary("/example.Greeter/Greet")(b"Ada", timeout=5).decode())
            """
        let result = try await runToEnd(Peers.python(), ["-c", script])
        #expect(result.output == "Hello, Ada.\n", "\(result)")
        await service.stop()
    }
}
