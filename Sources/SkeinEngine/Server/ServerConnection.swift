// A connection of the server as its shard sees it, whatever version of HTTP it speaks.

import NIOCore
import SkeinWire

/// A connection that a shard keeps. Called on the loop.
protocol ServerConnection: AnyObject {
    /// The client's address, as it was counted.
    var remoteAddress: SocketAddress? { get }
    /// Whether it was counted, which it is once its client is known.
    var isCounted: Bool { get }
    /// The server is shutting down: finish what is under way, begin nothing.
    func drain()
    /// Ends WebSockets, with the reason.
    func leave(_ code: WebSocketCloseCode)
    /// Ends the connection at once.
    func cutOff()
}

extension ServerConnection {
    var isCounted: Bool { true }
    func leave(_ code: WebSocketCloseCode) {}
}
