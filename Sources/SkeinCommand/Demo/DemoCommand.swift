// skein demo: shows Skein in ten seconds, without any installation: a server and a client in one process.

import ArgumentParser
import GRPCCore
import NIOCore
import SkeinEngine
import SkeinGRPC

struct DemoCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "demo",
        abstract: "Start a server and run a mixed load against it, in one process.",
        discussion: """
            The server listens on a free port of the loopback interface. First the client sends a few requests of every \
            kind and prints a line for each; then many, with a concurrency of 100. Some lines show intended failures; \
            the exit code is 0 when each result is as expected.
            """)

    @Option(name: .customShort("n"), help: "Requests in the second part.")
    var requests: Int = 20_000

    func run() async throws {
        let server = DemoServer.make()
        guard case .tcp(_, let port)? = try await server.start().first else { throw ExitCode(1) }
        let base = "http://127.0.0.1:\(port)"
        Terminal.say("A server listens on \(base); a client of 100 workers calls it.\n")
        let areAsExpected = [try await showKinds(base), try await showCalls(base), await DemoDatabase.show()]
        await showVolume(base)
        await server.stop()
        guard areAsExpected.allSatisfy(\.self) else {
            Terminal.complain("Some results were not as expected.")
            throw ExitCode(1)
        }
    }

    /// A request of each kind, with its report line.
    private func showKinds(_ base: String) async throws -> Bool {
        let skein = SkeinClient(concurrency: 100, timeout: .seconds(1))
        let refused = try await FreePort.find()
        struct Order: Codable { let item: String; let count: Int }
        let pieces = (1...4).map { ByteBuffer(string: "piece \($0)\n") }
        let calls: [(what: String, status: Int, corequest: Corequest<HTTPResponse>)] = [
            ("GET", 200, skein.get("\(base)/")),
            ("GET with parameters", 200, skein.get("\(base)/echo", parameters: ["q": "skein", "id": [1, 2]])),
            ("POST with JSON", 200, skein.post("\(base)/echo", body: .json(Order(item: "yarn", count: 3)))),
            ("PUT with a form", 200, skein.put("\(base)/echo", body: .form(["item": "yarn"]))),
            ("POST with a stream", 200, skein.post("\(base)/echo", body: .sequence(pieces))),
            ("a streamed response", 200, skein.get("\(base)/stream")),
            ("a slow response", 200, skein.get("\(base)/slow")),
            ("a failing handler", 500, skein.get("\(base)/fail")),
            ("not found", 404, skein.get("\(base)/nothing")),
            ("a timeout", 702, skein.get("\(base)/stuck", timeout: .milliseconds(300))),
            ("connection refused", 714, skein.get("http://127.0.0.1:\(refused)/")),
            ("a malformed URL", 701, skein.get("htp:/oops")),
        ]
        var isAsExpected = true
        for call in calls {
            let response = await call.corequest.dispatch()
            isAsExpected = isAsExpected && response.statusCode == call.status
            Terminal.say("\(call.what.padded(to: 20))  \(response.reportLine)")
        }
        Terminal.say("\n\(await skein.fetchAll())\n")
        await skein.shutdown()
        return isAsExpected
    }

    /// The protocols in addition to HTTP: a socket, and three kinds of calls, with the same client.
    private func showCalls(_ base: String) async throws -> Bool {
        let skein = SkeinClient()
        let socket = base.replacingBytes("http://", with: "ws://")
        let said = await skein.ws("\(socket)/socket", "Hello over a WebSocket.").dispatch()
        let xml = try await skein.xmlrpc("\(base)/xmlrpc").sum(1, 2, 3).dispatch()
        let json = try await skein.jsonrpc("\(base)/jsonrpc").sum(1, 2, 3).dispatch()
        let both = try await skein.jsonrpc("\(socket)/jsonrpc").sum(4, 5, 6).dispatch()
        let greeting = try await greet(by: skein)
        let lines: [(what: String, status: Int, answer: String)] = [
            ("WebSocket", said.statusCode, said.data ?? said.reason),
            ("XML-RPC: sum", xml.statusCode, xml.content.integer.map { "\($0)" } ?? xml.reason),
            ("JSON-RPC: sum", json.statusCode, json.content.integer.map { "\($0)" } ?? json.reason),
            ("  over a WebSocket", both.statusCode, both.content.integer.map { "\($0)" } ?? both.reason),
            ("gRPC: Greet", 200, greeting),
        ]
        for line in lines { Terminal.say("\(line.what.padded(to: 20))  \(line.status) \(line.answer)") }
        Terminal.say("")
        await skein.shutdown()
        return lines.map(\.answer) == ["Hello over a WebSocket.", "6", "6", "15", "Hello, weaver."]
    }

    /// Starts a gRPC server for one call.
    private func greet(by skein: SkeinClient) async throws -> String {
        var configuration = ServerConfiguration(addresses: [.tcp("127.0.0.1", port: 0)], threads: 1)
        configuration.logger = .silent
        let transport = SkeinServerTransport(configuration)
        async let serving: Void = DemoServer.serveGRPC(on: transport)
        guard case .tcp(_, let port)? = try await transport.listeningAddresses.first else { throw ExitCode(1) }
        let client = GRPCClient(transport: try SkeinClientTransport("http://127.0.0.1:\(port)", skein: skein))
        let greeting = try await client.unary(
            request: ClientRequest(message: "weaver"), descriptor: DemoGreeter.method, serializer: DemoGreeter.Text(),
            deserializer: DemoGreeter.Text(), options: .defaults
        ) { try $0.message }
        transport.beginGracefulShutdown()
        try await serving
        return greeting
    }

    /// Sends many requests; each is started when a previous one completes, as a load generator does.
    private func showVolume(_ base: String) async {
        let volume = DemoVolume(base: base, limit: requests)
        Terminal.say("\(requests) requests, each started in the callback of another:")
        Terminal.say("\(await volume.run())")
    }
}

extension String {
    func padded(to width: Int) -> String {
        self + String(repeating: " ", count: max(0, width - count))
    }
}
