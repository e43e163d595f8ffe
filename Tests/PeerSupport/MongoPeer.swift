// MongoDB's wire protocol, by MockupDB over mongomock: `Tests/Scripts/mongo.py`.

import Foundation

/// A server, or a replica set of three. With `--auth`, users `weaver` and `old`, each with the password `s3cret`.
public final class MongoPeer: Sendable {
    public static let shared = SharedPeer { try await MongoPeer() }

    public let ports: [Int]
    private let process: PeerProcess

    /// - Parameter options: `--auth`, `--compress`, `--checksum`, `--replica`, `--tls CERT CA`.
    public init(_ options: String...) async throws {
        process = try PeerProcess(
            Peers.python(), ["\(Peers.scripts)/mongo.py", "serve"] + options, log: TestFolder.path("mongo.log"))
        ports = try await process.untilPrinted("listening ").split(separator: " ").compactMap { Int($0) }
        guard !ports.isEmpty else { throw PeerError("mongo.py does not say where it listens: \(process.output)") }
    }

    public var port: Int { ports[0] }

    /// The address of one of its databases.
    public func uri(_ database: String, user: String = "", query: String = "") -> String {
        "mongodb://\(user)127.0.0.1:\(port)/\(database)\(query.isEmpty ? "" : "?" + query)"
    }

    /// The output of a pymongo script.
    @discardableResult
    public func python(_ verb: String, _ words: String...) async throws -> String {
        let run = try await runToEnd(
            PeerSupport.Peers.python(), ["\(Peers.scripts)/mongo.py", verb, "\(port)"] + words)
        guard run.code == 0 else { throw PeerError("mongo.py: \(run.errors)\(run.output)") }
        return run.output.trimmingCharacters(in: .newlines)
    }

    /// Its output, including its own error messages.
    public var log: String { process.output }

    public func stop() async { _ = await process.stop(SIGKILL) }
}
