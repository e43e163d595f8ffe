// A connection that has left HTTP, tracked by its shard.

import NIOCore
import SkeinHTTP
import SkeinWire

/// Takes over a connection or stream after a handler's response. Called on the loop.
package protocol ServerUpgrade: AnyObject, Sendable {
    /// The user of an HTTP/1.1 connection, after the response's head; nil when a stream is required.
    var connectionUser: (any ByteTransportUser)? { get }
    /// Starts on a connection.
    func begin(on handler: TransportChannelHandler)
    /// Takes over a stream, and sends the response's head itself.
    func begin(on tunnel: HTTP2Tunnel, _ response: ServerResponse, date: String) throws(HeaderProblem)
}

/// A connection that speaks another protocol, such as WebSocket.
///
/// Unchecked: used on its shard's loop only.
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
