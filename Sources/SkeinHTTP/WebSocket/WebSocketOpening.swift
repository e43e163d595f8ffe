// Opens a socket as a client, and reopens it when the connection is lost.

import NIOCore
import SkeinCore
import SkeinWire

/// One opening handshake.
///
/// Unchecked: variables are used on the loop of the connection, until the corequest of the handshake publishes it.
private final class WebSocketOpening: HTTPUpgrade, @unchecked Sendable {
    private let configuration: WebSocketConfiguration
    private let key = WebSocketHandshake.makeKey()
    private let makeSocket: @Sendable (Shard) -> WebSocket
    private(set) var socket: WebSocket?

    init(_ configuration: WebSocketConfiguration, _ makeSocket: @escaping @Sendable (Shard) -> WebSocket) {
        self.configuration = configuration
        self.makeSocket = makeSocket
    }

    var kind: HTTPUpgradeKind { .named("websocket", allowsHTTP2: configuration.usesHTTP2) }

    /// The request with the handshake's fields.
    func request(_ plain: HTTPRequest) -> HTTPRequest {
        var request = plain
        for field in WebSocketHandshake.request(configuration, key: key) { request.headers[field.name] = field.value }
        request.upgrade = self
        request.layers = []  // a layer could send it twice, but only one connection can be handed over
        return request
    }

    func begin(
        on channel: any Channel, shard: Shard, _ head: ResponseHead, remainder: ByteBuffer
    ) throws(SkeinError) {
        let link = try link(WebSocketHandshake.agreement(head.headers, key: key, configuration), shard)
        let handler = TransportChannelHandler(link)
        do {
            try channel.pipeline.syncOperations.addHandler(handler)
        } catch {
            throw SkeinError(.protocolSwitchingFailed, because: "\(error)", cause: error)
        }
        link.begin(on: handler)
        link.receive(remainder)
        link.flush()
    }

    func begin(on tunnel: HTTP2Tunnel, shard: Shard, _ head: ResponseHead?) throws(SkeinError) {
        let link = try link(WebSocketHandshake.agreement(head?.headers ?? [:], key: nil, configuration), shard)
        tunnel.carry(link)
        link.begin(on: tunnel)
    }

    private func link(_ agreement: WebSocketHandshake.Agreement, _ shard: Shard) -> WebSocketLink {
        let socket = makeSocket(shard)
        self.socket = socket
        return WebSocketLink(.client, agreement, configuration, shard: shard, socket: socket)
    }
}

extension HTTPClient {
    /// Opens a socket.
    /// - Parameter request: the URL, with headers, credentials and the timeout of the handshake.
    package func webSocket(
        _ request: HTTPRequest, _ configuration: WebSocketConfiguration, handler: (any WebSocketHandler)?
    ) async throws(SkeinError) -> WebSocket {
        try await open(request, configuration) { shard in
            // The client stays alive as long as its sockets, whether or not they reconnect.
            WebSocket(configuration, shard: shard, handler: handler) { socket throws(SkeinError) in
                try await self.reopen(socket, request, configuration)
            }
        }
    }

    private func open(
        _ request: HTTPRequest, _ configuration: WebSocketConfiguration,
        _ makeSocket: @escaping @Sendable (Shard) -> WebSocket
    ) async throws(SkeinError) -> WebSocket {
        let opening = WebSocketOpening(configuration, makeSocket)
        let response = await start(opening.request(request)).dispatch()
        if let failure = response.failure { throw failure }
        if let socket = opening.socket { return socket }
        let answer = "the server answered \(response.statusCode) \(response.reason) instead of opening a WebSocket"
        guard response.statusCode >= 400 else {
            throw SkeinError(.protocolSwitchingFailed, peer: response.peer, because: answer)
        }
        throw .status(response.statusCode, peer: response.peer, because: answer)
    }

    /// Reopens a lost connection, with growing waits between the attempts.
    private func reopen(
        _ socket: WebSocket, _ request: HTTPRequest, _ configuration: WebSocketConfiguration
    ) async throws(SkeinError) {
        guard let reconnect = configuration.reconnect else { return }
        let backoff = Backoff(first: reconnect.firstWait, longest: reconnect.longestWait)
        var attempt = 0
        while true {
            do throws(SkeinError) {
                _ = try await open(request, configuration) { _ in socket }
                return
            } catch {
                // A refusal by the server is permanent.
                let isFinal =
                    (400..<500).contains(error.code.rawValue) && ![408, 425, 429].contains(error.code.rawValue)
                guard attempt + 1 < reconnect.maximumAttempts, !isFinal, !Task.isCancelled else { throw error }
            }
            attempt += 1
            do {
                try await socket.shard.sleep(until: .after(backoff.delay(after: attempt)))
            } catch {
                throw SkeinError(.cancelled, because: "the socket was closed while it reconnected")
            }
        }
    }
}
