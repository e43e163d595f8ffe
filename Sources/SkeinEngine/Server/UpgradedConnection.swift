// A connection that has left HTTP, as its shard still sees it.

import NIOCore
import SkeinHTTP
import SkeinWire

/// What a handler's answer gives the connection to, or the stream. Called on the loop.
package protocol ServerUpgrade: AnyObject, Sendable {
    /// What speaks on a connection of HTTP/1.1, behind the response's head; nil for what needs a stream.
    var connectionUser: (any ByteTransportUser)? { get }
    /// Begins to speak on a connection.
    func begin(on handler: TransportChannelHandler)
    /// Takes a stream over; the answer's head is its own to send.
    func begin(on tunnel: HTTP2Tunnel, _ response: ServerResponse, date: String) throws(HeaderProblem)
}

/// A connection that speaks another protocol, such as WebSocket.
///
/// Unchecked: touched on its shard's loop only.
final class UpgradedConnection: ServerConnection, @unchecked Sendable {
    let remoteAddress: SocketAddress?
    private let user: any ByteTransportUser

    private let context: ServerContext

    init(_ user: any ByteTransportUser, remoteAddress: SocketAddress?, _ context: ServerContext) {
        self.user = user
        self.context = context
        self.remoteAddress = remoteAddress
    }

    func drain() { if !context.isReplaced { user.leave(.goingAway) } }
    func leave(_ code: WebSocketCloseCode) { user.leave(code) }
    func cutOff() { user.cutOff() }
}
