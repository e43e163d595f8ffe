// What a request asks for that is not just an answer: another protocol on its connection (RFC 9110, section 7.8) or on a stream of
// HTTP/2 (RFC 8441), or the stream itself.

import NIOCore
import SkeinCore
import SkeinWire

/// What takes over. Called on the loop of the connection.
package protocol HTTPUpgrade: AnyObject, Sendable {
    /// What it is that takes over, and when.
    var kind: HTTPUpgradeKind { get }
    /// The connection is handed over, behind the server's 101.
    /// - Parameter remainder: bytes that came with it.
    func begin(on channel: any Channel, shard: Shard, _ head: ResponseHead, remainder: ByteBuffer) throws(SkeinError)
    /// A stream is handed over.
    /// - Parameter head: the server's 2xx; nil for a stream that is handed over as it is opened.
    func begin(on tunnel: HTTP2Tunnel, shard: Shard, _ head: ResponseHead?) throws(SkeinError)
}

/// What a request asks for.
package enum HTTPUpgradeKind: Sendable {
    /// Another protocol, when the server has agreed.
    case named(String, allowsHTTP2: Bool)
    /// A stream of HTTP/2, from its opening on.
    case stream
}
