// What apps of another language are told of a request, as bytes and without making text of it first.

import Logging
import NIOCore
import SkeinHTTP
import SkeinWire

extension ServerRequest {
    /// The path by which it was routed: normalised and still percent-encoded.
    package var routedPath: ByteBuffer { scope.path }
    /// Where in ``routedPath`` the part below the mount begins.
    package var localPathStart: Int { scope.localStart }
    /// The number of the client's connection.
    package var connectionNumber: UInt32 { scope.peer.number }
    /// The client's address as the socket has it, without the port; nil for unix sockets.
    package var peerHost: String? { scope.peer.host }
    /// The address at which the server was reached; nil for unix sockets. On the loop only.
    package var localEnd: (host: String?, port: Int?) {
        if let known = scope.peer.local.load() { return (known.host, known.port) }
        let found = scope.peer.local.storeIfNil(.init(nioChannel?.localAddress))
        return (found.host, found.port)
    }
    /// The client's port, of a connection without proxies between; nil for unix sockets.
    package var peerPort: Int? { scope.peer.port }
    /// The query, still percent-encoded; empty without one.
    package var queryBytes: ByteBuffer {
        var bytes = head.targetBytes
        guard let mark = bytes.readableBytesView.firstIndex(of: UInt8(ascii: "?")) else { return ByteBuffer() }
        bytes.moveReaderIndex(to: mark + 1)
        return bytes
    }
    /// The content, when it is here already; it cannot be read again then.
    /// - Parameter maximum: bytes at most.
    package func takeContent(upTo maximum: Int) -> ByteBuffer? {
        guard let stream = body.stream else { return ByteBuffer() }
        return stream.inlet.takeWhole(upTo: maximum)?.bytes
    }
    /// The handler is cancelled some seconds after a client has ended its side of the connection, which most do when they leave. On the loop
    /// only.
    package func endWithClient() { channel?.endsWithClient() }
    /// The server's log.
    package var logger: Logger { scope.owner.context.configuration.logger }
    /// Bytes of content at most.
    package var maximumContent: Int { body.maximum }
}
