// The heads of messages, common to all versions of HTTP.

import NIOCore

/// The length of a message's content, as far as its head tells.
public enum BodyLength: Hashable, Sendable {
    /// No content.
    case none
    /// A number of bytes, more than zero.
    case known(Int)
    /// The framing delimits it: chunked, an HTTP/2 stream, or the end of the connection.
    case streamed
}

/// The head of a request as a server receives it.
public struct RequestHead: Sendable {
    /// The method.
    public var method: HTTPMethod
    /// The version of the message.
    public var version: HTTPVersion
    /// The header section.
    public var headers: Headers
    /// The length of the content.
    public var bodyLength: BodyLength
    /// Whether the connection can be reused after this request (RFC 9112, section 9.3).
    public var keepAlive: Bool
    /// Whether the client waits for `100 Continue` before it sends the content (RFC 9110, section 10.1.1).
    public var expectsContinue: Bool

    /// The protocol that an extended CONNECT asks for, such as `websocket` (RFC 8441).
    public var protocolName: String? { extended?.protocolName }
    private let extended: Extended?

    /// In a box: hardly any request has one, and every copy would carry this field.
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

    /// The request target as received: path and query, an absolute URL, `host:port` or `*` (RFC 9112, section 3.2).
    public var target: String { String(buffer: targetBytes) }
}

/// The head of a response as a client receives it.
public struct ResponseHead: Sendable {
    /// The status code.
    public var status: HTTPStatus
    /// The reason phrase as received; the standard one if the protocol has none.
    public var reason: String
    /// The version of the message.
    public var version: HTTPVersion
    /// The header section.
    public var headers: Headers
    /// The length of the content.
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
