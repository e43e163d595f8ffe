// A connection that has left HTTP, as its shard still sees it.

import SkeinHTTP
import SkeinWire

/// What takes over behind a handler's answer: a connection of HTTP/1.1, or a stream of HTTP/2. Called on the loop.
protocol ServerUpgrade: AnyObject, Sendable {
    /// What speaks the other protocol.
    var link: WebSocketLink { get }
    /// Begins to speak.
    func begin(on transport: any WebSocketTransport)
}

/// A connection that speaks WebSocket.
///
/// Unchecked: touched on its shard's loop only.
final class UpgradedConnection: ServerConnection, @unchecked Sendable {
    private let link: WebSocketLink

    init(_ link: WebSocketLink) { self.link = link }

    func drain() { link.close(WebSocketClosing(.goingAway, "the server stops")) }
    func cutOff() { link.cutOff() }
}
