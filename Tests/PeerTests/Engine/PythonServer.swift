// An engine with a Python app, as a separate program.

import Foundation
import PeerSupport
import SkeinEngine
import Testing

/// `skein python`, or `skein run`.
struct PythonServer {
    static let folder = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent().appending(path: "Python").path
    static let environment = URL(filePath: Peers.python()).deletingLastPathComponent().deletingLastPathComponent().path

    let process: PeerProcess
    let port: Int
    let pidFile: String

    /// Serves an app of the folder of apps, or of another one.
    init(
        _ app: String, _ arguments: String..., folder: String = Self.folder, environment: [String: String] = [:],
        log: String = TestFolder.path("python.log")
    ) async throws {
        port = try await Ports.free()
        pidFile = TestFolder.path("python.pid")
        let hasMaster = arguments.contains("--workers") || arguments.contains("--reload")
        process = try PeerProcess(
            CommandTests.skein,
            [
                "python", app, "--environment", Self.environment, "--chdir", folder, "--listen", "127.0.0.1:\(port)",
                "--pid-file", pidFile,
            ] + arguments, environment: environment, log: log)
        _ = try await process.untilPrinted(hasMaster ? "serve" : "listening on ")
    }

    /// Serves a configuration file.
    init(configuration: String, arguments: [String] = []) async throws {
        port = try await Ports.free()
        pidFile = TestFolder.path("python.pid")
        let file = try TestFolder.write(
            "[[listen]]\naddress = \"127.0.0.1:\(port)\"\n\(configuration)".replacingOccurrences(
                of: "PORT", with: "\(port)"), as: "toml")
        process = try PeerProcess(
            CommandTests.skein, ["run", file] + arguments, log: TestFolder.path("python.log"))
        _ = try await process.untilPrinted(arguments.contains("--workers") ? "serve" : "listening on ")
    }

    var url: String { "http://127.0.0.1:\(port)" }

    /// Sends a request over a new connection.
    func ask(_ path: String, _ method: HTTPMethod = .get, _ body: HTTPBody = .none) async throws -> HTTPResponse {
        let client = SkeinClient()
        let response = await client.request(method, "\(url)\(path)", body: body, timeout: .seconds(20)).dispatch()
        await client.shutdown()
        if let failure = response.failure { throw failure }
        return response
    }

    func text(_ path: String, _ method: HTTPMethod = .get, _ body: HTTPBody = .none) async throws -> String {
        String(buffer: try await ask(path, method, body).content)
    }

    func json(_ path: String) async throws -> JSONValue {
        let response = try await ask(path)
        let text = String(buffer: response.content)
        guard let value = try? JSONValue(json: text) else {
            throw PeerError("\(response.statusCode) \(text) \(process.output.suffix(2000))")
        }
        return value
    }

    /// Waits until a condition is true.
    func until(_ what: Comment, within timeout: Duration = .seconds(20), _ isSo: () async throws -> Bool) async throws {
        let end = ContinuousClock.now + timeout
        while (try? await isSo()) != true {
            guard ContinuousClock.now < end else {
                Issue.record("\(what) did not come true: \(process.output.suffix(3000))")
                return
            }
            try await Task.sleep(for: .milliseconds(30))
        }
    }

    func stop() async { #expect(await process.stop() == 0, "\(process.output.suffix(3000))") }
}
