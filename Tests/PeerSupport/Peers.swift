// The servers that many tests share, each started once, on its first use.

import Foundation

/// Starts shared peers.
public actor Peers {
    public static let shared = Peers()

    private var nginx: Task<Int, any Error>?
    private var httpbin: Task<Int, any Error>?
    private var hypercorn: Task<Int, any Error>?
    private var services: Task<Int, any Error>?

    /// nginx with one worker: `/hello` (11 bytes), `/big` (8 MiB), `/varied` (4 MiB, also by `/slowly/`), `/close` (no
    /// keep-alive), `/two` (closes after two requests), `/sink/…` (takes bodies), `/gz/…` and `/br/…` (compressed), `/bomb`
    /// (10 MB of gzip that become 10 GB), `/basic` (weaver, secret).
    /// - Returns: its port.
    public func nginxPort() async throws -> Int {
        if let nginx { return try await nginx.value }
        let task = Task { try await startNginx() }
        nginx = task
        return try await task.value
    }

    /// httpbin behind gunicorn: HTTP as Flask implements it.
    /// - Returns: its port.
    public func httpbinPort() async throws -> Int {
        if let httpbin { return try await httpbin.value }
        let task = Task { try await Self.startHTTPBin() }
        httpbin = task
        return try await task.value
    }

    /// The services of `Tests/Scripts/services.py` behind gunicorn: OAuth, digests of every kind, failures on demand.
    /// - Returns: their port.
    public func servicesPort() async throws -> Int {
        if let services { return try await services.value }
        let task = Task { try await Self.startServices() }
        services = task
        return try await task.value
    }

    private static func startServices() async throws -> Int {
        let port = try await Ports.free()
        _ = try PeerProcess(
            python("gunicorn"),
            ["-b", "127.0.0.1:\(port)", "-k", "gthread", "--threads", "32", "--keep-alive", "30", "services:app"],
            environment: ["PYTHONPATH": scripts, "PYTHONDONTWRITEBYTECODE": "1"], log: TestFolder.path("services.log"))
        try await Ports.untilOpen(port)
        return port
    }

    /// The folder with the Python programs of the tests.
    public static var scripts: String { package.appending(path: "Tests/Scripts").path }

    private static var package: URL {
        URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
    }

    /// The port on which the shared nginx speaks HTTP/2 in clear text, by prior knowledge: the same paths, and `/huge`
    /// (1 GiB). It allows 20 000 streams on a connection, on the next port 8; on the last one it goes away after five requests.
    public func nginxHTTP2Ports() async throws -> (many: Int, few: Int, leaving: Int) {
        _ = try await nginxPort()
        return http2Ports
    }

    private var http2Ports = (many: 0, few: 0, leaving: 0)

    /// Python's hypercorn, which speaks HTTP/1.1, HTTP/2 and the upgrade between them: it answers with the version that
    /// carried the request, its method and the length of its content; WebSockets send texts back behind the version.
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
                if scope["type"] == "websocket":
                    await receive()
                    await send({"type": "websocket.accept"})
                    while (event := await receive())["type"] == "websocket.receive":
                        text = event.get("text")
                        answer = {"text": f"{scope['http_version']} {text}"} if text else {"bytes": event["bytes"]}
                        await send({"type": "websocket.send", **answer})
                    return
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
        // Its worker runs as another user when root starts it.
        try FileManager.default.createDirectory(
            atPath: "\(folder)/temp/sink", withIntermediateDirectories: true)
        chmod("\(folder)/temp/sink", 0o777)
        try Data(repeating: UInt8(ascii: "x"), count: 8 << 20).write(to: URL(filePath: "\(folder)/files/big"))
        _ = FileManager.default.createFile(atPath: "\(folder)/files/huge", contents: nil)
        truncate("\(folder)/files/huge", 1 << 30)
        try Data((0..<4 << 18).flatMap { withUnsafeBytes(of: UInt32($0).bigEndian) { Array($0) } })
            .write(to: URL(filePath: "\(folder)/files/varied"))
        try String(repeating: "a thread of many words. ", count: 2000)
            .write(toFile: "\(folder)/files/words.txt", atomically: true, encoding: .utf8)
        try await Self.makeBomb("\(folder)/files/bomb")
        try "weaver:{PLAIN}secret\n".write(toFile: "\(folder)/users", atomically: true, encoding: .utf8)
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
            location /sink { dav_methods PUT; client_body_in_file_only clean; root \(folder)/temp; }
            location /slowly/ { limit_rate 2m; alias \(folder)/files/; }
            location /gz/ { gzip on; gzip_types *; gzip_min_length 1; alias \(folder)/files/; }
            location /br/ { brotli on; brotli_types *; brotli_min_length 1; alias \(folder)/files/; }
            location = /bomb { default_type text/plain; add_header Content-Encoding gzip; }
            location /basic { auth_basic "the loom"; auth_basic_user_file \(folder)/users; alias \(folder)/files/small.txt; }
            """
        let configuration = """
            load_module /usr/lib/nginx/modules/ngx_http_brotli_filter_module.so;
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

    /// Ten megabytes of gzip that expand to ten gigabytes: one member of zeros, repeated.
    private static func makeBomb(_ path: String) async throws {
        let script = """
            import gzip, sys
            member = gzip.compress(bytes(100_000_000), 9)
            with open(sys.argv[1], "wb") as file:
                for _ in range(100):
                    file.write(member)
            """
        let run = try await runToEnd(python(), ["-c", script, path])
        guard run.code == 0 else { throw PeerError("no bomb: \(run.errors)") }
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

    /// A program of the Python environment that `scripts/setup tests` creates.
    public static func python(_ program: String = "python") -> String {
        return package.appending(path: ".build/peers/bin/\(program)").path
    }
}
