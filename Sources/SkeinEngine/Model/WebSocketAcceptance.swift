// Upgrades a request to a WebSocket.

import SkeinCore
import SkeinHTTP
import SkeinWire

extension ServerRequest {
    /// Whether the client asks for a WebSocket, over HTTP/1.1 (RFC 6455, section 4.2.1) or a stream of HTTP/2 (RFC 8441).
    public var wantsWebSocket: Bool {
        if head.version == .http2 { return head.protocolName == "websocket" }
        return head.headers.known.contains(.upgrade) && headers.listContains("Upgrade", token: "websocket")
            && headers.listContains("Connection", token: "Upgrade")
    }

    /// The response that opens a WebSocket for the closure; when the closure returns, the socket is closed with 1000,
    /// or with 1011 when it throws.
    ///
    /// A page of any other site can make a browser open a socket, with the user's cookies, so the `Origin` field is
    /// checked.
    /// - Parameters:
    ///   - configuration: subprotocols, limits, compression, pings.
    ///   - headers: further fields of the response, such as `Set-Cookie`.
    ///   - origins: the allowed origins, such as `https://example.org`; `*` for any. Default: the same host. Clients
    ///     other than browsers send no `Origin`, and are allowed.
    ///   - serve: runs as a task on the loop of the connection.
    /// - Throws: ``ServerError`` 426 when the client does not request a WebSocket or requests another version, 400 when
    ///   its request is malformed, 403 for an origin that is not allowed.
    public func webSocket(
        _ configuration: WebSocketConfiguration = WebSocketConfiguration(), headers: Headers = Headers(),
        origins: [String] = [],
        serve: @escaping @Sendable (WebSocket) async throws -> Void
    ) throws(ServerError) -> ServerResponse {
        try accept(configuration, headers, origins, handler: nil, serve: serve)
    }

    /// The response that opens a WebSocket with a handler object.
    /// - Parameters:
    ///   - configuration: subprotocols, limits, compression, pings.
    ///   - headers: further fields of the response, such as `Set-Cookie`.
    ///   - origins: as in ``webSocket(_:headers:origins:serve:)``.
    ///   - handler: called on the loop of the connection; it may be the same for many sockets.
    /// - Throws: the errors of ``webSocket(_:headers:origins:serve:)``.
    public func webSocket(
        _ configuration: WebSocketConfiguration = WebSocketConfiguration(), headers: Headers = Headers(),
        origins: [String] = [],
        handler: any WebSocketHandler
    ) throws(ServerError) -> ServerResponse {
        try accept(configuration, headers, origins, handler: handler, serve: nil)
    }

    private func accept(
        _ configuration: WebSocketConfiguration, _ further: Headers, _ origins: [String],
        handler: (any WebSocketHandler)?,
        serve: (@Sendable (WebSocket) async throws -> Void)?
    ) throws(ServerError) -> ServerResponse {
        let isHTTP2 = head.version == .http2
        guard wantsWebSocket else {
            throw ServerError(
                426, "this resource is a WebSocket; request an upgrade",
                headers: ["Upgrade": "websocket", "Connection": "Upgrade"])
        }
        try requireOrigin(origins)
        guard headers.values("Sec-WebSocket-Version") == ["13"] else {
            throw ServerError(
                426, "only version 13 of WebSocket is supported", headers: ["Sec-WebSocket-Version": "13"])
        }
        let key = headers.values("Sec-WebSocket-Key")
        if !isHTTP2 {
            guard method == .get, head.version == .http1_1, body.isEmpty else {
                throw ServerError(400, "a WebSocket handshake is an HTTP/1.1 GET without content")
            }
            guard key.count == 1, Self.isKey(key[0]) else {
                throw ServerError(400, "Sec-WebSocket-Key is not 16 bytes in base 64")
            }
        }
        let (agreement, chosen) = WebSocketHandshake.choose(headers, configuration)
        var answer = further
        for field in chosen { answer[field.name] = field.value }
        if !isHTTP2 {
            answer["Connection"] = "Upgrade"
            answer["Upgrade"] = "websocket"
            answer["Sec-WebSocket-Accept"] = WebSocketHandshake.accept(key[0])
        }
        let socket = WebSocket(configuration, shard: shard, handler: handler)
        var response = ServerResponse(isHTTP2 ? .ok : .switchingProtocols, headers: answer)
        let link = WebSocketLink(.server, agreement, configuration, shard: shard, socket: socket)
        link.budget = scope.owner.context.unfinishedMessages
        response.upgrade = WebSocketAcceptance(socket, link: link, serve)
        return response
    }

    /// 16 bytes are 22 base64 digits and two padding characters.
    private static func isKey(_ text: String) -> Bool {
        text.utf8.count == 24 && text.hasByteSuffix("==")
            && text.utf8.dropLast(2).allSatisfy {
                Bytes.isDigit($0) || Bytes.lowercased($0) &- 0x61 < 26 || $0 == 0x2B || $0 == 0x2F
            }
    }
}

/// A socket that waits for its connection.
private final class WebSocketAcceptance: ServerUpgrade {
    private let link: WebSocketLink
    private let socket: WebSocket
    private let serve: (@Sendable (WebSocket) async throws -> Void)?

    init(_ socket: WebSocket, link: WebSocketLink, _ serve: (@Sendable (WebSocket) async throws -> Void)?) {
        self.socket = socket
        self.link = link
        self.serve = serve
    }

    var connectionUser: (any ByteTransportUser)? { link }

    func begin(on handler: TransportChannelHandler) { begin(handler) }

    func begin(on tunnel: HTTP2Tunnel, _ response: ServerResponse, date: String) throws(HeaderProblem) {
        try tunnel.respond(response.status, response.headers, date: date)
        tunnel.carry(link)
        begin(tunnel)
    }

    private func begin(_ transport: any ByteTransport) {
        link.begin(on: transport)
        guard let serve else { return }
        let socket = self.socket
        // One closure instead of two: ten thousand waiting sockets have ten thousand frames of each.
        socket.shard.tasks.begin()
        Task(executorPreference: socket.shard.executor) {
            do {
                try await serve(socket)
                await socket.close()
            } catch {
                await socket.close(.internalError)
            }
            socket.shard.tasks.end()
        }
    }
}
