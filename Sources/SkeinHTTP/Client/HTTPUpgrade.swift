// What a request asks for that wants to leave HTTP: the connection over HTTP/1.1 (RFC 9110, section 7.8), a stream over HTTP/2
// (RFC 8441).

import NIOCore
import SkeinCore
import SkeinWire

/// What takes over when the server agrees. Called on the loop of the connection.
package protocol HTTPUpgrade: AnyObject, Sendable {
    /// The protocol's name.
    var protocolName: String { get }
    /// Whether it may go over a stream of HTTP/2.
    var allowsHTTP2: Bool { get }
    /// The connection is handed over, behind the server's 101.
    /// - Parameter remainder: bytes that came with it.
    func begin(on channel: any Channel, shard: Shard, _ head: ResponseHead, remainder: ByteBuffer) throws(SkeinError)
    /// A stream is handed over, behind the server's 2xx.
    func begin(on tunnel: HTTP2Tunnel, shard: Shard, _ head: ResponseHead) throws(SkeinError)
}
