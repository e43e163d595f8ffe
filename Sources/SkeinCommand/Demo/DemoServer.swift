// The server of the demo: a few routes, each for one kind of call.

import NIOCore
import SkeinEngine
import SkeinRPC

enum DemoServer {
    /// A server on a free loopback port.
    static func make() -> HTTPServer {
        var configuration = ServerConfiguration(addresses: [.tcp("127.0.0.1", port: 0)], threads: 1)
        // The failing route fails intentionally; its log line would be misleading.
        configuration.logger = .silent
        return HTTPServer(configuration) { request in
            switch request.path {
            case "/": return .text("Hello from the engine.\n")
            case "/echo": return try await echo(request)
            case "/stream":
                return ServerResponse(body: .sequence((1...100).lazy.map { ByteBuffer(string: "line \($0)\n") }))
            case "/slow": return try await late(.milliseconds(200))
            case "/stuck": return try await late(.seconds(5))
            case "/fail": throw DemoFailure()
            case "/socket":
                return try request.webSocket { socket in
                    for try await message in socket { try await socket.send(message) }
                }
            case "/xmlrpc": return ServerResponse(body: await xmlrpc.answer(try await request.body.collect()))
            case "/jsonrpc":
                guard !request.wantsWebSocket else { return try request.webSocket { try await jsonrpc.serve($0) } }
                return ServerResponse(body: await jsonrpc.answer(try await request.body.collect()) ?? .none)
            default: throw ServerError(.notFound)
            }
        }
    }

    private struct DemoFailure: Error {}

    private static let xmlrpc: XMLRPCService = {
        var service = XMLRPCService()
        service.register("sum") { arguments in arguments.reduce(0) { $0 + ($1.integer ?? 0) } }
        return service
    }()

    private static let jsonrpc: JSONRPCService = {
        var service = JSONRPCService()
        service.register("sum") { arguments in (arguments.elements ?? []).reduce(0) { $0 + ($1.integer ?? 0) } }
        return service
    }()

    /// Sends the content back, or the query if there is no content.
    private static func echo(_ request: ServerRequest) async throws -> ServerResponse {
        let content = try await request.body.collect()
        if content.readableBytes == 0 { return .text((request.query ?? "") + "\n") }
        return ServerResponse(body: .bytes(content, contentType: request.headers["Content-Type"]))
    }

    private static func late(_ time: Duration) async throws -> ServerResponse {
        try await Task.sleep(for: time)
        return .text("Better late than never.\n")
    }
}

/// Finds a free port.
enum FreePort {
    static func find() async throws -> Int {
        let server = HTTPServer(ServerConfiguration(addresses: [.tcp("127.0.0.1", port: 0)], threads: 1)) { _ in
            .text("")
        }
        guard case .tcp(_, let port)? = try await server.start().first else { return 1 }
        await server.stop()
        return port
    }
}
