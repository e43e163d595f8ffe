// AWS services: moto, behind a proxy that checks every signature (`Tests/Scripts/aws.py`).

import Foundation

/// SQS and DynamoDB on one port. The key `AKTEST` has the secret `secret`.
public final class AWSPeer: Sendable {
    public static let shared = SharedPeer { try await AWSPeer() }

    public let port: Int
    private let process: PeerProcess

    public init() async throws {
        port = try await Ports.free()
        process = try PeerProcess(
            Peers.python("gunicorn"),
            ["-b", "127.0.0.1:\(port)", "-k", "gthread", "--threads", "16", "--keep-alive", "60", "aws:app"],
            environment: ["PYTHONPATH": Peers.scripts, "PYTHONDONTWRITEBYTECODE": "1"], log: TestFolder.path("aws.log"))
        try await Ports.untilOpen(port)
    }

    public var endpoint: String { "http://127.0.0.1:\(port)" }

    /// The output of a boto3 call.
    @discardableResult
    public func python(_ verb: String, _ words: String...) async throws -> String {
        let run = try await runToEnd(Peers.python(), ["\(Peers.scripts)/aws.py", verb, "\(port)"] + words)
        guard run.code == 0 else { throw PeerError("aws.py: \(run.errors)\(run.output)") }
        return run.output.trimmingCharacters(in: .newlines)
    }

    /// Its output.
    public var log: String { process.output }

    public func stop() async { _ = await process.stop(SIGKILL) }
}
