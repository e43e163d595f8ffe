// The servers that many tests share, each started once, when the first test asks for it.

import Foundation

/// Starts shared peers.
public actor Peers {
    public static let shared = Peers()

    private var nginx: Task<Int, any Error>?
    private var httpbin: Task<Int, any Error>?
    private var hypercorn: Task<Int, any Error>?

    /// nginx with one worker: `/hello` (11 bytes), `/files/…`, `/big` (8 MiB), `/close` (no keep-alive), `/two` (closes
    /// after two requests), `/sink` (takes bodies).
    /// - Returns: its port.
    public func nginxPort() async throws -> Int {
        if let nginx { return try await nginx.value }
        let task = Task { try await startNginx() }
        nginx = task
        return try await task.value
    }

    /// httpbin behind gunicorn: Flask's idea of HTTP.
    /// - Returns: its port.
    public func httpbinPort() async throws -> Int {
        if let httpbin { return try await httpbin.value }
        let task = Task { try await Self.startHTTPBin() }
        httpbin = task
        return try await task.value
    }

    /// The port on which the shared nginx speaks HTTP/2 in clear text, by prior knowledge: the same paths, and `/huge`
    /// (1 GiB). It allows 20 000 streams on a connection, on the next port 8; on the last one it goes away after five requests.
    public func nginxHTTP2Ports() async throws -> (many: Int, few: Int, leaving: Int) {
        _ = try await nginxPort()
        return http2Ports
    }

    private var http2Ports = (many: 0, few: 0, leaving: 0)

    /// Python's hypercorn, which speaks HTTP/1.1, HTTP/2 and the upgrade between them: it answers with the version that
    /// carried the request, its method and the length of its content.
    public func hypercornPort() async throws -> Int {
        if let hypercorn { return try await hypercorn.value }
        let task = Task { try await Self.startHypercorn() }
        hypercorn = task
        return try await task.value
    }

    private static func startHypercorn() async throws -> Int {
        let port = try await Ports.free()
        let folder = TestFolder.path("hypercorn")
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        let app = """
            async def app(scope, receive, send):
                if scope["type"] != "http":
                    return
                size, more = 0, True
                while more:
                    event = await receive()
                    size += len(event.get("body", b""))
                    more = event.get("more_body", False)
                text = f"{scope['http_version']} {scope['method']} {size}".encode()
                await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
                await send({"type": "http.response.body", "body": text})
            """
        try app.write(toFile: "\(folder)/peer.py", atomically: true, encoding: .utf8)
        _ = try PeerProcess(
            python("hypercorn"), ["-b", "127.0.0.1:\(port)", "peer:app"], environment: ["PYTHONPATH": folder],
            log: TestFolder.path("hypercorn.log"))
        try await Ports.untilOpen(port)
        return port
    }

    private func startNginx() async throws -> Int {
        let port = try await Ports.free()
        http2Ports = (try await Ports.free(), try await Ports.free(), try await Ports.free())
        let folder = TestFolder.path("nginx")
        for name in ["files", "temp"] {
            try FileManager.default.createDirectory(atPath: "\(folder)/\(name)", withIntermediateDirectories: true)
        }
        try Data(repeating: UInt8(ascii: "x"), count: 8 << 20).write(to: URL(filePath: "\(folder)/files/big"))
        _ = FileManager.default.createFile(atPath: "\(folder)/files/huge", contents: nil)
        truncate("\(folder)/files/huge", 1 << 30)
        try "a small file\n".write(toFile: "\(folder)/files/small.txt", atomically: true, encoding: .utf8)
        let temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map {
            "\($0)_temp_path \(folder)/temp/\($0);"
        }
        let locations = """
            root \(folder)/files;
            location = /hello { default_type text/plain; return 200 "hello world"; }
            location = /close { keepalive_timeout 0; default_type text/plain; return 200 "bye"; }
            location = /two { keepalive_requests 2; default_type text/plain; return 200 "two"; }
            location = /idle { keepalive_timeout 1s; default_type text/plain; return 200 "idle"; }
            location = /moved { return 302 /hello; }
            location = /sink { dav_methods PUT; client_body_in_file_only clean; root \(folder)/temp; }
            """
        let configuration = """
            daemon off; worker_processes 1; pid \(folder)/pid; error_log \(folder)/error.log;
            events { worker_connections 4096; }
            http {
              access_log off; keepalive_requests 10000000; client_max_body_size 64m; \(temporary.joined(separator: " "))
              server {
                listen 127.0.0.1:\(port); listen unix:\(folder)/s;
                \(locations)
              }
              server { listen 127.0.0.1:\(http2Ports.many) http2; http2_max_concurrent_streams 20000; \(locations) }
              server { listen 127.0.0.1:\(http2Ports.few) http2; http2_max_concurrent_streams 8; \(locations) }
              server { listen 127.0.0.1:\(http2Ports.leaving) http2; keepalive_requests 5; \(locations) }
            }
            """
        let path = try TestFolder.write(configuration, as: "nginx.conf")
        _ = try PeerProcess("nginx", ["-c", path, "-p", folder, "-e", "\(folder)/error.log"], log: "\(folder)/out.log")
        try await Ports.untilOpen(port)
        return port
    }

    /// The unix socket of the shared nginx.
    public func nginxSocket() async throws -> String {
        _ = try await nginxPort()
        let folders = try FileManager.default.contentsOfDirectory(atPath: TestFolder.url.path)
        guard let name = folders.first(where: { $0.hasSuffix("-nginx") }) else {
            throw PeerError("nginx has no folder")
        }
        return TestFolder.url.appending(path: name).appending(path: "s").path
    }

    private static func startHTTPBin() async throws -> Int {
        let port = try await Ports.free()
        _ = try PeerProcess(
            python("gunicorn"),
            ["-b", "127.0.0.1:\(port)", "-k", "gthread", "--threads", "8", "--keep-alive", "30", "httpbin:app"],
            log: TestFolder.path("httpbin.log"))
        try await Ports.untilOpen(port)
        return port
    }

    /// A program of the Python environment that `scripts/setup tests` makes.
    public static func python(_ program: String = "python") -> String {
        let package = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent()
        return package.appending(path: ".build/peers/bin/\(program)").path
    }
}
