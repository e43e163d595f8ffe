// A connection of the server, independent of the HTTP version.

import NIOCore
import SkeinWire

/// A connection that a shard tracks. Called on the loop.
protocol ServerConnection: AnyObject {
    /// The client's address that was counted.
    var remoteAddress: SocketAddress? { get }
    /// Whether it was counted, once its client is known.
    var isCounted: Bool { get }
    /// The server shuts down: complete requests in flight, accept no new ones.
    func drain()
    /// Closes WebSockets with a code.
    func leave(_ code: WebSocketCloseCode)
    /// Closes the connection at once.
    func cutOff()
}

extension ServerConnection {
    var isCounted: Bool { true }
    func leave(_ code: WebSocketCloseCode) {}
}
