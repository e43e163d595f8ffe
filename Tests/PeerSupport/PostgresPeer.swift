// PostgreSQL, started in its own folder, as the unprivileged user that it requires.

import Foundation

/// A PostgreSQL server with TLS. Roles: `weaver` (trusted), `scram`, `hashed`, `plain` (each with the password `s3cret`
/// and the authentication method of its name), and, over the unix socket only, the role with the name of the process's
/// user (peer).
public final class PostgresPeer: Sendable {
    public static let shared = SharedPeer { try await PostgresPeer() }

    public let port: Int
    /// The folder of its unix socket.
    public let folder: String
    private let process: CurrentProcess

    /// - Parameter settings: lines for its configuration.
    public init(settings: [String] = []) async throws {
        port = try await Ports.free()
        folder = TestFolder.path("pg")
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        let certificates = try await Certificates.shared.folder()
        try FileManager.default.copyItem(atPath: "\(certificates)/good.pem", toPath: "\(folder)/server.pem")
        let user = NSUserName()
        try "s3cret".write(toFile: "\(folder)/password", atomically: true, encoding: .utf8)
        try await Self.own(folder)
        let data = "\(folder)/data"
        _ = try await Self.run(
            "initdb", ["-D", data, "-U", "weaver", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync"])
        let access = """
            local all \(user) peer
            local all all trust
            host all weaver all trust
            host all scram all scram-sha-256
            host all hashed all md5
            host all plain all password
            """
        let configuration =
            [
                "listen_addresses = '127.0.0.1'", "port = \(port)", "unix_socket_directories = '\(folder)'",
                "fsync = off",
                "max_connections = 200", "ssl = on", "ssl_cert_file = '\(folder)/server.pem'",
                "ssl_key_file = '\(folder)/server.pem'", "lc_messages = 'C'",
            ] + settings
        try Self.replace("\(data)/pg_hba.conf", access + "\n")
        try Self.replace("\(data)/postgresql.auto.conf", configuration.joined(separator: "\n") + "\n")
        process = CurrentProcess(try Self.start(data))
        try await Ports.untilOpen(port)
        _ = try await query(
            """
            CREATE ROLE scram LOGIN PASSWORD 's3cret'; SET password_encryption = 'md5';
            CREATE ROLE hashed LOGIN PASSWORD 's3cret'; CREATE ROLE plain LOGIN PASSWORD 's3cret';
            DO $$ BEGIN CREATE ROLE "\(user)" LOGIN; EXCEPTION WHEN duplicate_object THEN END $$;
            GRANT ALL ON SCHEMA public TO PUBLIC;
            """)
    }

    /// A connection string for a role.
    public func url(_ user: String = "weaver", password: String? = nil, query: String = "") -> String {
        let secret = password.map { ":\($0)" } ?? ""
        return "postgres://\(user)\(secret)@127.0.0.1:\(port)/postgres\(query.isEmpty ? "" : "?" + query)"
    }

    /// The output of PostgreSQL's own client for a query.
    public func query(_ sql: String) async throws -> String {
        for attempt in 0... {
            let run = try await runToEnd(
                "psql", ["-X", "-A", "-t", "-q", "-v", "ON_ERROR_STOP=1", "-c", sql, url()],
                environment: ["PGTZ": "UTC"])
            if run.code == 0 { return run.output.trimmingCharacters(in: .newlines) }
            guard run.errors.contains("starting up"), attempt < 100 else { throw PeerError("psql: \(run.errors)") }
            try await Task.sleep(for: .milliseconds(50))
        }
        return ""
    }

    /// Waits until it executes a statement that matches a pattern.
    /// - Returns: the process that executes it.
    @discardableResult
    public func untilActive(_ pattern: String) async throws -> Int {
        for _ in 0..<500 {
            let process = try await query(
                "SELECT pid FROM pg_stat_activity WHERE query LIKE '\(pattern)' AND state = 'active' AND pid <> pg_backend_pid()"
            )
            if let process = Int(process) { return process }
        }
        throw PeerError("nothing like \(pattern) is carried out")
    }

    /// Kills it, as a power failure does.
    public func crash() async { await process.current.stop(SIGKILL) }

    /// Stops it as an administrator does: sessions are notified.
    public func stop() async { await process.current.stop(SIGINT) }

    /// Starts it again after its end.
    public func restart() async throws {
        for attempt in 0... {
            process.replace(with: try Self.start("\(folder)/data"))
            do {
                try await Ports.untilOpen(port, within: 3)
                _ = try await query("SELECT 1")
                return
            } catch  where attempt < 10 {
                // The processes of the previous one may still hold its memory.
                await process.current.stop(SIGINT)
            }
        }
    }

    private static func start(_ data: String) throws -> PeerProcess {
        let (program, arguments) = asPeerUser("\(programs)/postgres", ["-D", data])
        return try PeerProcess(program, arguments, log: "\(data).log")
    }

    private static func run(_ program: String, _ arguments: [String]) async throws -> String {
        let (path, all) = asPeerUser("\(programs)/\(program)", arguments)
        let run = try await runToEnd(path, all)
        guard run.code == 0 else { throw PeerError("\(program): \(run.errors)") }
        return run.output
    }

    private static let programs: String = {
        let root = "/usr/lib/postgresql"
        let versions = (try? FileManager.default.contentsOfDirectory(atPath: root)) ?? []
        guard let newest = versions.compactMap(Int.init).max() else { return "/usr/bin" }
        return "\(root)/\(newest)/bin"
    }()

    /// PostgreSQL refuses to run as root.
    private static func asPeerUser(_ program: String, _ arguments: [String]) -> (String, [String]) {
        guard getuid() == 0 else { return (program, arguments) }
        return ("setpriv", ["--reuid=postgres", "--regid=postgres", "--clear-groups", program] + arguments)
    }

    private static func own(_ folder: String) async throws {
        chmod("\(folder)/server.pem", 0o600)
        guard getuid() == 0 else { return }
        let run = try await runToEnd("chown", ["-R", "postgres:postgres", folder])
        guard run.code == 0 else { throw PeerError("chown: \(run.errors)") }
    }

    private static func replace(_ path: String, _ text: String) throws {
        let file = try FileHandle(forWritingTo: URL(filePath: path))
        try file.truncate(atOffset: 0)
        try file.write(contentsOf: Data(text.utf8))
        try file.close()
    }
}
