// A test client for engines and apps: in memory, on a temporary port, or for a running server.

import NIOCore
import SkeinCore
import SkeinHTTP
import SkeinWire

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// A response in a test.
public struct TestResponse: Sendable {
    /// The status.
    public let status: HTTPStatus
    /// The header section.
    public let headers: Headers
    /// The complete content.
    public let body: ByteBuffer
    /// The content as text.
    public var text: String { String(buffer: body) }

    /// The content as a JSON value.
    public func json<Value: Decodable>(_ type: Value.Type) throws -> Value {
        try JSON.decode(type, from: body.readableBytesView)
    }
}

/// Sends requests to an app in a test.
///
///     let client = try await TestClient.inMemory(engine)
///     let response = try await client.get("/v1/posts/5")
///     #expect(response.status == .ok && response.text == "post 5")
///     await client.stop()
public final class TestClient: Sendable {
    private enum Way: Sendable {
        case memory(any App, ServerShard)
        case network(base: String, server: HTTPServer?)
    }

    private let way: Way
    private let skein: SkeinClient

    private init(_ way: Way, _ skein: SkeinClient) {
        self.way = way
        self.skein = skein
    }

    /// Without sockets: the app is called directly. WebSockets, TLS and connection limits are not available.
    public static func inMemory(_ app: some App, _ configuration: ServerConfiguration = ServerConfiguration())
        async throws
        -> TestClient
    {
        var configuration = configuration
        configuration.threads = 1
        let context = ServerContext(configuration: configuration)
        let skein = SkeinClient(configuration.client)
        let ready = try await app.bootstrap(at: .root)
        let shard = ServerShard(
            shard: skein.shards[0], context: context, handling: .task(ready), skein: skein, log: nil)
        return TestClient(.memory(ready, shard), skein)
    }

    /// An engine without sockets.
    public static func inMemory(_ engine: Engine) async throws -> TestClient {
        try await inMemory(engine.app, engine.configuration)
    }

    /// Starts an engine on a free port of the loopback, with one loop; ``stop()`` ends it. Its own addresses are
    /// ignored.
    public static func onPort(_ engine: Engine) async throws -> TestClient {
        var engine = engine
        engine.configuration.addresses = [
            engine.configuration.tls == nil ? .tcp("127.0.0.1", port: 0) : .tls("127.0.0.1", port: 0)
        ]
        engine.configuration.threads = 1
        let server = engine.server()
        let address = try await server.start()[0]
        let scheme = engine.configuration.tls == nil ? "http" : "https"
        var client = SkeinClient.Configuration()
        client.http.tls.verify = scheme == "https" ? .none : .full
        client.logger = .silent
        client.http.redirects.isEnabled = false
        return TestClient(.network(base: "\(scheme)://\(address)", server: server), SkeinClient(client))
    }

    /// A client for a running server, for example one in another terminal.
    /// - Parameter url: a URL such as `http://127.0.0.1:8080`.
    public static func attached(to url: String) -> TestClient {
        TestClient(.network(base: url.hasByteSuffix("/") ? String(url.dropLast()) : url, server: nil), SkeinClient())
    }

    /// The base of the server's URLs; nil in memory.
    public var base: String? { if case .network(let base, _) = way { base } else { nil } }

    /// Sends a GET.
    public func get(_ path: String, headers: Headers = Headers()) async throws -> TestResponse {
        try await send(.get, path, headers: headers)
    }

    /// Sends a POST.
    public func post(_ path: String, body: HTTPBody = .none, headers: Headers = Headers()) async throws
        -> TestResponse
    {
        try await send(.post, path, headers: headers, body: body)
    }

    /// Sends a request with any method.
    /// - Throws: the error of a response whose content failed, or code 7xx when the request failed.
    public func send(
        _ method: HTTPMethod, _ path: String, headers: Headers = Headers(), body: HTTPBody = .none
    ) async throws -> TestResponse {
        switch way {
        case .memory(let app, let shard): return try await ask(app, shard, method, path, headers, body)
        case .network(let base, _):
            let response = await skein.request(method, base + path, body: body, headers: headers).dispatch()
            if let failure = response.failure { throw failure }
            return TestResponse(
                status: HTTPStatus(response.statusCode), headers: response.headers, body: response.content)
        }
    }

    /// Stops the server if it was started here, and the client.
    public func stop() async {
        if case .network(_, let server?) = way { await server.stop() }
        await skein.shutdown()
    }

    private func ask(
        _ app: any App, _ shard: ServerShard, _ method: HTTPMethod, _ path: String, _ headers: Headers,
        _ body: HTTPBody
    ) async throws -> TestResponse {
        if let problem = body.problem { throw problem }
        var headers = headers
        if !headers.contains("Host") { headers.add("Host", "localhost") }
        if let type = body.contentType, !headers.contains("Content-Type") { headers.add("Content-Type", type) }
        let content = try await body.collected()
        let head = RequestHead(
            method: method, targetBytes: ByteBuffer(string: Percent.encodeUnsafe(path)), headers: headers,
            bodyLength: content.readableBytes == 0 ? .none : .known(content.readableBytes), keepAlive: true,
            expectsContinue: false)
        return try await Task(executorPreference: shard.shard.executor) {
            var stream: BodyStream?
            if content.readableBytes > 0 {
                let whole = BodyStream(source: nil)
                whole.push(content)
                whole.finish(nil)
                stream = whole
            }
            let request = ServerRequest(
                body: RequestBody(stream: stream, maximum: shard.context.maximumSize(of: head)),
                scope: RequestScope(head, owner: shard, peer: ServerPeer(address: nil, number: 0)))
            var response: ServerResponse
            do {
                response = try await app.respond(to: request)
            } catch {
                response = ErrorPages(custom: nil, logger: shard.context.configuration.logger).page(for: error, request)
            }
            if let problem = response.body.problem { throw problem }
            if response.upgrade != nil {
                throw SkeinError(
                    .exception, because: "the test client does not support WebSockets; test them on a port")
            }
            if let type = response.body.contentType, !response.headers.contains("Content-Type") {
                response.headers.add("Content-Type", type)
            }
            let isEmpty = method == .head || response.status.forbidsBody
            return TestResponse(
                status: response.status, headers: response.headers,
                body: isEmpty ? ByteBuffer() : try await response.body.collected())
        }.value
    }
}

extension HTTPBody {
    /// The complete content.
    fileprivate func collected() async throws -> ByteBuffer {
        guard case .stream(_, _, let makeChunks) = content else { return bytes ?? ByteBuffer() }
        let chunks = makeChunks()
        var all = ByteBuffer()
        while let piece = try await chunks.next() { all.writeImmutableBuffer(piece) }
        return all
    }
}
