// The program whose workers crash, hang and count on request.

import Foundation
import PeerSupport
import SkeinEngine
import Synchronization
import Testing

/// A master with workers.
struct Probe {
    static let program = URL(filePath: CommandTests.skein).deletingLastPathComponent()
        .appending(path: "worker-probe").path

    let process: PeerProcess
    let port: Int
    let pidFile: String
    let log: String

    /// Starts it, and waits until it serves.
    init(_ arguments: String..., port: Int? = nil, environment: [String: String] = [:]) async throws {
        if let port { self.port = port } else { self.port = try await Ports.free() }
        pidFile = TestFolder.path("probe.pid")
        log = TestFolder.path("probe.log")
        process = try PeerProcess(
            Self.program, ["--listen", "127.0.0.1:\(self.port)", "--pid-file", pidFile] + arguments,
            environment: environment, log: log)
        _ = try await process.untilPrinted("of probe serve")
    }

    /// The current master process.
    var master: Int32 {
        Int32((try? String(contentsOfFile: pidFile, encoding: .utf8))?.trimmingCharacters(in: .newlines) ?? "") ?? 0
    }

    var url: String { "http://127.0.0.1:\(port)" }

    /// Sends a request over a new connection.
    func ask(_ path: String, _ method: HTTPMethod = .get) async throws -> String {
        try await Self.ask("\(url)\(path)", method)
    }

    static func ask(_ url: String, _ method: HTTPMethod = .get) async throws -> String {
        let client = SkeinClient()
        let response = await client.request(method, url, timeout: .seconds(10)).dispatch()
        let text = try? response.text()
        await client.shutdown()
        if let failure = response.failure { throw failure }
        return text ?? ""
    }

    struct Status: Decodable {
        struct Worker: Decodable {
            let worker: Int
            let process: Int32
            let state: String
            let requests: Int
        }

        let process: Int32
        let serving: Bool
        let crashes: Int
        let reloads: Int
        let requests: Int
        let workers: [Worker]

        var ready: [Worker] { workers.filter { $0.state == "ready" } }
    }

    func status() async throws -> Status {
        let finished = try await runToEnd(Self.program, ["status", "--json", "--pid-file", pidFile])
        return try JSONDecoder().decode(Status.self, from: Data(finished.output.utf8))
    }

    /// Waits until the workers are in the expected state.
    @discardableResult
    func until(_ what: Comment, within timeout: Duration = .seconds(30), _ isSo: (Status) -> Bool) async throws
        -> Status
    {
        let end = ContinuousClock.now + timeout
        while true {
            // Between two masters, there is no output.
            guard let status = try? await status() else {
                if ContinuousClock.now > end {
                    throw PeerError("\(what) did not come true: \(process.output.suffix(3000))")
                }
                try await Task.sleep(for: .milliseconds(20))
                continue
            }
            if isSo(status) { return status }
            if ContinuousClock.now > end {
                Issue.record("\(what) did not come true: \(status); \(process.output.suffix(3000))")
                return status
            }
            try await Task.sleep(for: .milliseconds(20))
        }
    }

    func stop() async throws {
        let code = await process.stop()
        #expect(code == 0, "\(process.output.suffix(3000))")
    }
}

/// Tells clients in the background to end, and records their results.
final class ProbeLoad: Sendable {
    private let over = Mutex(false)
    private let count = Mutex(0)

    var isOver: Bool { over.withLock { $0 } }
    var answered: Int { count.withLock { $0 } }

    func end() { over.withLock { $0 = true } }
    func answer() { count.withLock { $0 += 1 } }
}
