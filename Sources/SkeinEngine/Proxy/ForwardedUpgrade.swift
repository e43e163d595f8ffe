// Forwarded upgrades, for example to a WebSocket: over HTTP/1.1 by Upgrade (RFC 9110, section 7.8), over HTTP/2 by
// extended CONNECT (RFC 8441), in any combination.

import NIOCore
import SkeinCore
import SkeinHTTP
import SkeinWire

/// The back end's side of an upgrade.
final class ForwardedUpgrade: HTTPUpgrade {
    private let tunnel: Tunnel
    private let shard: Shard
    private let name: String

    /// - Parameter name: the protocol.
    init(_ name: String, _ tunnel: Tunnel, on shard: Shard) {
        self.name = name
        self.tunnel = tunnel
        self.shard = shard
    }

    var kind: HTTPUpgradeKind { .named(name, allowsHTTP2: name == "websocket") }

    func begin(on channel: any Channel, shard: Shard, _ head: ResponseHead, remainder: ByteBuffer) throws(SkeinError) {
        try requireLoop(shard)
        let end = tunnel.end(.back)
        let handler = TransportChannelHandler(end)
        do {
            try channel.pipeline.syncOperations.addHandler(handler)
        } catch {
            throw SkeinError(.protocolSwitchingFailed, because: "\(error)", cause: error)
        }
        tunnel.attach(handler, .back)
        end.receive(remainder)
    }

    func begin(on stream: HTTP2Tunnel, shard: Shard, _ head: ResponseHead?) throws(SkeinError) {
        try requireLoop(shard)
        stream.carry(tunnel.end(.back))
        tunnel.attach(stream, .back)
    }

    private func requireLoop(_ shard: Shard) throws(SkeinError) {
        guard shard.index == self.shard.index, shard.isCurrent else {
            throw SkeinError(
                .exception, because: "a connection was upgraded on an event loop other than that of its client")
        }
    }
}

extension UpstreamApp {
    /// The protocol that a request asks to upgrade to, in lower case; nil for none, or one that is not allowed.
    func upgrade(of request: ServerRequest) -> String? {
        if request.version == .http2 {
            guard let name = request.head.protocolName?.lowercased() else { return nil }
            return configuration.upgrades.contains(name) && name == "websocket" ? name : nil
        }
        guard request.version == .http1_1, request.headers.known.contains(.upgrade), request.body.isEmpty,
            request.headers.listContains("Connection", token: "Upgrade")
        else { return nil }
        return request.headers.values("Upgrade").flatMap { $0.splitBytes(separator: ",") }
            .map { $0.trimmingBlanks().lowercased() }.first(where: configuration.upgrades.contains)
    }

    /// Forwards an upgrade request.
    func forward(_ request: ServerRequest, upgradingTo name: String) async throws -> ServerResponse {
        let isStream = request.version == .http2
        var headers = try fields.request(request, upgrade: name)
        let key = headers["Sec-WebSocket-Key"] ?? WebSocketHandshake.makeKey()
        if isStream { headers["Sec-WebSocket-Key"] = key }
        let tunnel = Tunnel(request.shard, timeout: configuration.tunnelTimeout)
        let acceptance = TunnelAcceptance(tunnel, on: request.shard)
        var outgoing = outgoing(isStream ? .get : request.method, request, headers, .none)
        outgoing.upgrade = ForwardedUpgrade(name, tunnel, on: request.shard)
        let response = try await send(outgoing, for: request)
        let isAgreed = response.statusCode == 101 || response.version == .http2 && response.statusCode == 200
        guard isAgreed else {
            // Over HTTP/2, any 2xx accepts (RFC 8441, section 5).
            if isStream, (200..<300).contains(response.statusCode) {
                throw ServerError(502, "the back end did not agree to the WebSocket")
            }
            return answer(response, to: request)
        }
        let accept = WebSocketHandshake.accept(key)
        if name == "websocket", response.statusCode == 101, response.headers["Sec-WebSocket-Accept"] != accept {
            throw ServerError(502, "the back end did not agree to the WebSocket")
        }
        var answer = ServerResponse(isStream ? .ok : .switchingProtocols, headers: fields.response(response.headers))
        if isStream {
            answer.headers.remove("Sec-WebSocket-Accept")
        } else {
            answer.headers["Connection"] = "Upgrade"
            answer.headers["Upgrade"] = name
            if name == "websocket" { answer.headers["Sec-WebSocket-Accept"] = accept }
        }
        answer.upgrade = acceptance
        return answer
    }
}
