// A request for a handler, independent of the HTTP version.

import NIOCore
import SkeinTransport
import SkeinWire

/// One request to the server.
public struct ServerRequest: Sendable {
    /// The content, which can be read once.
    public let body: RequestBody
    /// The context of the request.
    let scope: RequestScope

    /// The head as it was received.
    public var head: RequestHead { scope.head }
    /// The address of the client, from the socket or a PROXY header; nil for unix sockets.
    public var remoteAddress: SocketAddress? { scope.peer.address }
    /// The shard whose loop serves the request; a client session made on the server's shards stays on this thread.
    public var shard: Shard { scope.owner.shard }
    /// The connection to the client; nil for a request without a connection.
    var channel: (any RequestChannel)? { scope.channel }

    /// The TLS parameters, with the client's certificate; nil in clear text. Available on the loop of ``shard``, where
    /// handlers are called.
    public var tls: TLSInfo? { shard.isCurrent ? channel?.tls : nil }

    /// The channel that carries the request; nil outside of its loop, and without a connection.
    package var nioChannel: (any Channel)? { shard.isCurrent ? channel?.nioChannel : nil }

    /// The method.
    public var method: HTTPMethod { head.method }
    /// The header section.
    public var headers: Headers { head.headers }
    /// The version of the request.
    public var version: HTTPVersion { head.version }
    /// The target as it was sent.
    public var target: String { head.target }

    /// The path of the target, percent-encoded, without the query.
    public var path: String {
        let target = originForm
        return target.firstByte("?").map { String(target[..<$0]) } ?? target
    }

    /// The query after the `?`, percent-encoded; nil without one.
    public var query: String? {
        if isOriginForm {
            let bytes = head.targetBytes.readableBytesView
            guard let mark = bytes.firstIndex(of: UInt8(ascii: "?")) else { return nil }
            return String(decoding: bytes[(mark + 1)...], as: UTF8.self)
        }
        let target = originForm
        return target.firstByte("?").map { String(target[target.index(after: $0)...]) }
    }

    /// The authority of a target in absolute form, which replaces the Host field (RFC 9112, section 3.2.2).
    var targetAuthority: String? {
        if isOriginForm { return nil }
        let target = self.target
        guard !target.hasBytePrefix("/"), let scheme = target.rangeOfBytes("://") else { return nil }
        return String(target[scheme.upperBound...].prefix(before: "/", "?"))
    }

    private var isOriginForm: Bool {
        head.targetBytes.getInteger(at: head.targetBytes.readerIndex, as: UInt8.self) == UInt8(ascii: "/")
    }

    /// The target without scheme and authority, which clients send to proxies (RFC 9112, section 3.2.2).
    private var originForm: String {
        let target = self.target
        guard !target.hasBytePrefix("/"), let scheme = target.rangeOfBytes("://") else { return target }
        let rest = target[scheme.upperBound...]
        let tail = rest[rest.prefix(before: "/", "?").endIndex...]
        return tail.hasBytePrefix("/") ? String(tail) : "/" + tail
    }
}

/// The content of a request: a sequence of pieces that can be consumed once, or collected.
public struct RequestBody: AsyncSequence, Sendable {
    public typealias Element = ByteBuffer

    let stream: BodyStream?
    let maximum: Int

    /// Whether the request has no content.
    public var isEmpty: Bool { stream == nil }

    /// The trailer section, once the content has been read to its end.
    public var trailers: Headers? { stream?.ending ?? nil }

    /// Reads the complete content.
    /// - Parameter maximum: the limit in bytes. Default: the server's limit.
    /// - Throws: `ServerError` 413 above the maximum, the connection's error when it ends before the content does.
    public func collect(upTo maximum: Int? = nil) async throws -> ByteBuffer {
        guard let stream else { return ByteBuffer() }
        do {
            return try await stream.collect(upTo: maximum ?? self.maximum)
        } catch let error as SkeinError where error.code == .contentTooLarge {
            throw ServerError(.contentTooLarge, error.message)
        }
    }

    /// Iterates over the pieces.
    public struct AsyncIterator: AsyncIteratorProtocol {
        fileprivate var base: BodyStream.AsyncIterator?

        /// The next piece, or nil at the end.
        /// - Throws: the connection's error when it ends before the content does; code 701 on a second pass.
        public mutating func next() async throws -> ByteBuffer? { try await base?.next() }
    }

    /// Starts the only pass over the content; a client that waits for `100 Continue` gets it now.
    public func makeAsyncIterator() -> AsyncIterator { AsyncIterator(base: stream?.makeAsyncIterator()) }
}
