// The data of a request for apps in other languages, as bytes without conversion to text.

import Logging
import NIOCore
import SkeinHTTP
import SkeinWire

extension ServerRequest {
    /// The path used for routing: normalised and percent-encoded.
    package var routedPath: ByteBuffer { scope.path }
    /// The start of the part below the mount in ``routedPath``.
    package var localPathStart: Int { scope.localStart }
    /// The number of the client's connection.
    package var connectionNumber: UInt32 { scope.peer.number }
    /// The client's address of the socket, without the port; nil for unix sockets.
    package var peerHost: String? { scope.peer.host }
    /// The server's address of the connection; nil for unix sockets. On the loop only.
    package var localEnd: (host: String?, port: Int?) {
        if let known = scope.peer.local.load() { return (known.host, known.port) }
        let found = scope.peer.local.storeIfNil(.init(nioChannel?.localAddress))
        return (found.host, found.port)
    }
    /// The client's port, for a connection without proxies; nil for unix sockets.
    package var peerPort: Int? { scope.peer.port }
    /// The query, percent-encoded; empty without one.
    package var queryBytes: ByteBuffer {
        var bytes = head.targetBytes
        guard let mark = bytes.readableBytesView.firstIndex(of: UInt8(ascii: "?")) else { return ByteBuffer() }
        bytes.moveReaderIndex(to: mark + 1)
        return bytes
    }
    /// The content, if it has arrived completely; it cannot be read again then.
    /// - Parameter maximum: the limit in bytes.
    package func takeContent(upTo maximum: Int) -> ByteBuffer? {
        guard let stream = body.stream else { return ByteBuffer() }
        return stream.inlet.takeWhole(upTo: maximum)?.bytes
    }
    /// Cancels the handler some seconds after the client has ended its side of the connection, which usually means that
    /// it has left. On the loop only.
    package func endWithClient() { channel?.endsWithClient() }
    /// The server's log.
    package var logger: Logger { scope.owner.context.configuration.logger }
    /// The limit for content, in bytes.
    package var maximumContent: Int { body.maximum }
}
