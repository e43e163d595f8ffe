// Redis: one server, a cluster of three, and a pair with a sentinel.

import Foundation

/// A Redis server. Users: the default one without a password, `weaver` with `s3cret`.
public final class RedisPeer: Sendable {
    public static let shared = SharedPeer { try await RedisPeer() }

    public let port: Int
    public let folder: String
    private let arguments: [String]
    private let program: String
    private let process: CurrentProcess

    /// - Parameter extra: further arguments.
    public init(_ program: String = "redis-server", extra: [String] = [], port given: Int? = nil) async throws {
        if let given { port = given } else { port = try await Ports.free() }
        folder = TestFolder.path("redis")
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        var all = ["--port", "\(port)", "--bind", "127.0.0.1", "--dir", folder, "--daemonize", "no"]
        if program == "redis-server" {
            all += ["--save", "", "--appendonly", "no", "--unixsocket", "\(folder)/s"]
            all += ["--user", "weaver", "on", ">s3cret", "~*", "&*", "+@all"]
        }
        arguments = extra.isEmpty || program == "redis-server" ? all + extra : extra
        self.program = program
        process = CurrentProcess(try PeerProcess(program, arguments, log: "\(folder)/log"))
        try await Ports.untilOpen(port)
    }

    public func url(_ path: String = "/0", user: String = "") -> String { "redis://\(user)127.0.0.1:\(port)\(path)" }

    /// The output of Redis's own client for a command.
    @discardableResult
    public func command(_ words: String...) async throws -> String {
        let run = try await runToEnd("redis-cli", ["-p", "\(port)"] + words)
        guard run.code == 0 else { throw PeerError("redis-cli: \(run.errors)\(run.output)") }
        return run.output.trimmingCharacters(in: .newlines)
    }

    /// Kills it.
    public func crash() async { await process.current.stop(SIGKILL) }

    /// Suspends and resumes it.
    public func send(_ signal: Int32) { process.current.send(signal) }

    /// Starts it again after its end.
    public func restart() async throws {
        process.replace(with: try PeerProcess(program, arguments, log: "\(folder)/log"))
        try await Ports.untilOpen(port)
    }

    /// Three servers that share the slots among them.
    public static let cluster = SharedPeer { () async throws -> [RedisPeer] in
        var peers: [RedisPeer] = []
        for _ in 0..<3 {
            // The bus has a separate port, by default the other port plus ten thousand.
            let bus = try await Ports.free()
            peers.append(
                try await RedisPeer(
                    extra: ["--cluster-enabled", "yes", "--cluster-port", "\(bus)", "--cluster-node-timeout", "2000"]))
        }
        let nodes = peers.map { "127.0.0.1:\($0.port)" }
        let made = try await runToEnd("redis-cli", ["--cluster", "create"] + nodes + ["--cluster-yes"])
        guard made.code == 0 else { throw PeerError("no cluster: \(made.output)\(made.errors)") }
        for peer in peers {
            for attempt in 0... {
                if try await peer.command("cluster", "info").contains("cluster_state:ok") { break }
                guard attempt < 500 else { throw PeerError("the cluster does not come up") }
                try await Task.sleep(for: .milliseconds(20))
            }
        }
        return peers
    }
}
