// What the codecs hand out at the start of a message, the same for every version of HTTP.

import NIOCore

/// How long the content of a message is, known from its head alone.
public enum BodyLength: Hashable, Sendable {
    /// There is none.
    case none
    /// Exactly so many bytes, more than zero.
    case known(Int)
    /// It tells its end itself: chunked, an HTTP/2 stream, or the end of the connection.
    case streamed
}

/// The head of a request as a server receives it.
public struct RequestHead: Sendable {
    /// The method.
    public var method: HTTPMethod
    /// The version that carried it.
    public var version: HTTPVersion
    /// The header section.
    public var headers: Headers
    /// How much content follows.
    public var bodyLength: BodyLength
    /// Whether the connection can carry another request after this one (RFC 9112, section 9.3).
    public var keepAlive: Bool
    /// Whether the client waits for `100 Continue` before it sends the content (RFC 9110, section 10.1.1).
    public var expectsContinue: Bool

    /// The protocol that an extended CONNECT asks for, such as `websocket` (RFC 8441).
    public var protocolName: String? { extended?.protocolName }
    private let extended: Extended?

    /// Out of line: next to no request has one, and every copy would carry its place.
    private final class Extended: Sendable {
        let protocolName: String

        init(_ protocolName: String) { self.protocolName = protocolName }
    }

    package var targetBytes: ByteBuffer

    package init(
        method: HTTPMethod, targetBytes: ByteBuffer, version: HTTPVersion = .http1_1, headers: Headers,
        bodyLength: BodyLength, keepAlive: Bool, expectsContinue: Bool, protocolName: String? = nil
    ) {
        self.method = method
        self.targetBytes = targetBytes
        self.version = version
        self.headers = headers
        self.bodyLength = bodyLength
        self.keepAlive = keepAlive
        self.expectsContinue = expectsContinue
        extended = protocolName.map(Extended.init)
    }

    /// The request target as it was sent: path and query, an absolute URL, `host:port` or `*` (RFC 9112, section 3.2).
    public var target: String { String(buffer: targetBytes) }
}

/// The head of a response as a client receives it.
public struct ResponseHead: Sendable {
    /// The status code.
    public var status: HTTPStatus
    /// The reason phrase as it was sent; the standard one where the protocol has none.
    public var reason: String
    /// The version that carried it.
    public var version: HTTPVersion
    /// The header section.
    public var headers: Headers
    /// How much content follows.
    public var bodyLength: BodyLength

    package init(
        status: HTTPStatus, reason: String, version: HTTPVersion = .http1_1, headers: Headers, bodyLength: BodyLength
    ) {
        self.status = status
        self.reason = reason
        self.version = version
        self.headers = headers
        self.bodyLength = bodyLength
    }
}
