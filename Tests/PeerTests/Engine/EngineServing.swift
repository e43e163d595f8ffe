import Foundation
import PeerSupport
import SkeinEngine
import Testing

/// Starts an engine for a test, and stops it afterwards.
func serving(_ engine: Engine, _ test: (Int, HTTPServer) async throws -> Void) async throws {
    var engine = engine
    if engine.configuration.addresses == ServerConfiguration().addresses {
        engine.configuration.addresses = [.tcp("127.0.0.1", port: 0)]
    }
    engine.configuration.threads = min(2, engine.configuration.threads)
    engine.configuration.logger = .silent
    let server = engine.server()
    let port: Int
    switch try await server.start().first {
    case .tcp(_, let chosen)?, .tls(_, let chosen)?: port = chosen
    default: port = 0
    }
    do {
        try await test(port, server)
    } catch {
        await server.stop()
        throw error
    }
    await server.stop()
    #expect(server.connectionCount == 0)
}

extension Engine {
    /// The engine with TLS on a free port, with the tests' certificate.
    func secured() async throws -> Engine {
        let folder = try await Certificates.shared.folder()
        var engine = self
        engine.configuration.addresses = [.tls("127.0.0.1", port: 0)]
        engine.configuration.tls = ServerTLSConfiguration(certificates: [
            .init(certificateFile: "\(folder)/good.pem", keyFile: "\(folder)/good.pem")
        ])
        return engine
    }
}

/// curl's output and its error output.
func curl(_ arguments: String...) async throws -> String {
    let finished = try await runToEnd("curl", ["-sS", "--max-time", "20"] + arguments)
    return finished.output + finished.errors
}

/// The JSON output of a Python script that tests a server.
func python(_ script: String, _ arguments: String...) async throws -> JSONValue {
    let path = try TestFolder.write(script, as: "script.py")
    let run = try await runToEnd(Peers.python(), [path] + arguments)
    guard run.code == 0 else { throw PeerError(run.errors) }
    return try JSONDecoder().decode(JSONValue.self, from: Data(run.output.utf8))
}
