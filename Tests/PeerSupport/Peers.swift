// The servers that many tests share, each started once, when the first test asks for it.

import Foundation

/// Starts shared peers.
public actor Peers {
    public static let shared = Peers()

    private var nginx: Task<Int, any Error>?
    private var httpbin: Task<Int, any Error>?

    /// nginx with one worker: `/hello` (11 bytes), `/files/…`, `/big` (8 MiB), `/close` (no keep-alive), `/two` (closes
    /// after two requests), `/sink` (takes bodies).
    /// - Returns: its port.
    public func nginxPort() async throws -> Int {
        if let nginx { return try await nginx.value }
        let task = Task { try await Self.startNginx() }
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

    private static func startNginx() async throws -> Int {
        let port = try await Ports.free()
        let folder = TestFolder.path("nginx")
        for name in ["files", "temp"] {
            try FileManager.default.createDirectory(atPath: "\(folder)/\(name)", withIntermediateDirectories: true)
        }
        try Data(repeating: UInt8(ascii: "x"), count: 8 << 20).write(to: URL(filePath: "\(folder)/files/big"))
        try "a small file\n".write(toFile: "\(folder)/files/small.txt", atomically: true, encoding: .utf8)
        let temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map {
            "\($0)_temp_path \(folder)/temp/\($0);"
        }
        let configuration = """
            daemon off; worker_processes 1; pid \(folder)/pid; error_log \(folder)/error.log;
            events { worker_connections 4096; }
            http {
              access_log off; keepalive_requests 10000000; client_max_body_size 64m; \(temporary.joined(separator: " "))
              server {
                listen 127.0.0.1:\(port); listen unix:\(folder)/s;
                root \(folder)/files;
                location = /hello { default_type text/plain; return 200 "hello world"; }
                location = /close { keepalive_timeout 0; default_type text/plain; return 200 "bye"; }
                location = /two { keepalive_requests 2; default_type text/plain; return 200 "two"; }
                location = /idle { keepalive_timeout 1s; default_type text/plain; return 200 "idle"; }
                location = /moved { return 302 /hello; }
                location = /sink { dav_methods PUT; client_body_in_file_only clean; root \(folder)/temp; }
              }
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
