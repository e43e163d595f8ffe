// Upgrades that a request asks for: another protocol on its connection (RFC 9110, section 7.8) or on an HTTP/2 stream
// (RFC 8441), or the stream itself.

import NIOCore
import SkeinCore
import SkeinWire

/// The handler that takes over. Called on the loop of the connection.
package protocol HTTPUpgrade: AnyObject, Sendable {
    /// The kind of upgrade.
    var kind: HTTPUpgradeKind { get }
    /// The connection is handed over, after the server's 101.
    /// - Parameter remainder: bytes that arrived with it.
    func begin(on channel: any Channel, shard: Shard, _ head: ResponseHead, remainder: ByteBuffer) throws(SkeinError)
    /// A stream is handed over.
    /// - Parameter head: the server's 2xx; nil for a stream that is handed over when it opens.
    func begin(on tunnel: HTTP2Tunnel, shard: Shard, _ head: ResponseHead?) throws(SkeinError)
}

/// The kind of upgrade that a request asks for.
package enum HTTPUpgradeKind: Sendable {
    /// Another protocol, after the server's consent.
    case named(String, allowsHTTP2: Bool)
    /// An HTTP/2 stream, from its opening on.
    case stream
}
