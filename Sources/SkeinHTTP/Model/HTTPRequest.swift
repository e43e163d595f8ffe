// A request, independent of the protocol version.

import SkeinCore
import SkeinTransport
import SkeinWire

/// Receives interim responses except 100 (Continue) (RFC 9110, section 15.2). Called on the loop.
package protocol InterimResponseTaker: AnyObject, Sendable {
    func inform(_ status: HTTPStatus, _ headers: Headers)
}

/// A request. A value; the client starts it as a corequest.
public struct HTTPRequest: Sendable {
    /// The method. Default: GET.
    public var method: HTTPMethod
    /// The URL.
    public var url: HTTPURL
    /// The header section. The client sets Host, Content-Length and Transfer-Encoding; also User-Agent and Accept
    /// unless they are set here.
    public var headers: Headers
    /// The content.
    public var body: HTTPBody
    /// The time limit from the start to the last byte of the response; for a streamed one, to its head. Default: the
    /// session's.
    public var timeout: Duration?
    /// Whether the corequest ends at the head of the response and delivers the body as a stream. Default: false.
    public var isStreamed: Bool
    /// Whether the request may be sent while another one is in flight on the same connection (RFC 9112, section 9.3.2).
    /// Only idempotent methods are. Default: the session's.
    public var isPipelined: Bool?
    /// Metadata that the response carries, too.
    public var meta: RequestMetadata
    private var box: ExtrasBox?

    /// TLS options for this request, instead of the session's; it uses connections of its own.
    public var tls: ClientTLSConfiguration? {
        get { box?.extras.tls }
        set { extras.tls = newValue }
    }

    /// The proxy for this request, instead of the session's.
    public var proxy: ProxyUse? {
        get { box?.extras.proxy }
        set { extras.proxy = newValue }
    }

    /// Credentials; an Authorization field in the headers takes precedence.
    public var auth: HTTPAuth? {
        get { box?.extras.auth }
        set { extras.auth = newValue }
    }

    /// The trailer section, sent after the content; over HTTP/1.1 only after content of unknown length.
    public var trailers: Headers? {
        get { box?.extras.trailers }
        set { extras.trailers = newValue }
    }

    /// Cookies for this request, beside those of the session's jar. They are not stored, and not sent to another
    /// origin.
    public var cookies: [String: String] {
        get { box?.extras.cookies ?? [:] }
        set { extras.cookies = newValue }
    }

    /// Accepted media types, such as `text/html` or `image/*`: sent as the Accept field unless the headers have one. A
    /// successful response of another type fails with code 718 before its content is read. Default: any.
    public var acceptedTypes: [String] {
        get { box?.extras.acceptedTypes ?? [] }
        set { extras.acceptedTypes = newValue }
    }

    /// The size limit of the response's content, also of a streamed one; larger content fails with code 719, at the
    /// head if that states the length. Default: the session's `maximumBodySize`; streams are not limited.
    public var maximumBodySize: Int? {
        get { box?.extras.maximumBodySize }
        set { extras.maximumBodySize = newValue }
    }

    /// Whether content codings of the response are decoded. Default: the session's setting.
    public var decompresses: Bool? {
        get { box?.extras.decompresses }
        set { extras.decompresses = newValue }
    }

    /// Whether the request is sent with `Expect: 100-continue` (RFC 9110, section 10.1.1). Default: the session's
    /// setting.
    public var expectsContinue: Bool? {
        get { box?.extras.expectsContinue }
        set { extras.expectsContinue = newValue }
    }

    /// Event handlers for this request, called after the session's.
    public var events: HTTPEvents? {
        get { box?.extras.events }
        set { extras.events = newValue }
    }

    /// The layers this request goes through, instead of the session's.
    public var layers: [any HTTPLayer]? {
        get { box?.extras.layers }
        set { extras.layers = newValue }
    }

    /// The handler that takes over the connection when the server accepts an upgrade.
    package var upgrade: (any HTTPUpgrade)? {
        get { box?.extras.upgrade }
        set { extras.upgrade = newValue }
    }

    /// When HTTP/2 is used, instead of the session's setting; the request uses connections of its own.
    package var http2: HTTP2Use? {
        get { box?.extras.http2 }
        set { extras.http2 = newValue }
    }

    /// The addresses it may connect to, instead of the session's policy; the request uses connections of its own.
    package var addresses: AddressPolicy? {
        get { box?.extras.addresses }
        set { extras.addresses = newValue }
    }

    /// The time limits of its connection, instead of the session's; the request uses connections of its own.
    package var times: ConnectionTimes {
        get { box?.extras.times ?? ConnectionTimes() }
        set { extras.times = newValue }
    }

    /// Whether it is forwarded on behalf of another client: it gets no default fields, cookies or credentials of the
    /// session and no slot in its queue, and its response is neither redirected nor decoded.
    package var isForwarded: Bool {
        get { box?.extras.isForwarded ?? false }
        set { extras.isForwarded = newValue }
    }

    /// Whether an authenticated user sent it, although no field says so: a shared cache treats it as if there were an
    /// Authorization field.
    package var isPersonal: Bool {
        get { box?.extras.isPersonal ?? false }
        set { extras.isPersonal = newValue }
    }

    /// The receiver of interim responses; nil for none.
    package var interimResponses: (any InterimResponseTaker)? {
        get { box?.extras.interimResponses }
        set { extras.interimResponses = newValue }
    }

    /// The cache key. Default: the URL.
    package var cacheKey: String? {
        get { box?.extras.cacheKey }
        set { extras.cacheKey = newValue }
    }

    /// Whether it shares connections with requests that use the session's settings.
    var usesPlainPool: Bool { box?.extras.usesPlainPool ?? true }

    /// A forwarded request, for a streamed response.
    package static func forwarded(
        _ method: HTTPMethod, _ url: HTTPURL, headers: Headers, body: HTTPBody, timeout: Duration?,
        interimResponses: (any InterimResponseTaker)?, http2: HTTP2Use? = nil,
        times: ConnectionTimes = ConnectionTimes()
    ) -> HTTPRequest {
        var request = HTTPRequest(method, url, headers: headers, body: body, timeout: timeout, isStreamed: true)
        request.box = ExtrasBox(
            Extras(layers: [], http2: http2, times: times, isForwarded: true, interimResponses: interimResponses))
        return request
    }

    /// Whether it has settings that most requests lack.
    package var hasExtras: Bool { box != nil }

    /// A request.
    public init(
        _ method: HTTPMethod = .get, _ url: HTTPURL, headers: Headers = Headers(), body: HTTPBody = .none,
        trailers: Headers? = nil, auth: HTTPAuth? = nil, timeout: Duration? = nil, isStreamed: Bool = false,
        isPipelined: Bool? = nil, meta: RequestMetadata = RequestMetadata()
    ) {
        self.method = method
        self.url = url
        self.headers = headers
        self.body = body
        self.timeout = timeout
        self.isStreamed = isStreamed
        self.isPipelined = isPipelined
        self.meta = meta
        if auth != nil || trailers != nil { box = ExtrasBox(Extras(auth: auth, trailers: trailers)) }
    }

    private struct Extras {
        var tls: ClientTLSConfiguration?
        var proxy: ProxyUse?
        var auth: HTTPAuth?
        var trailers: Headers?
        var cookies: [String: String] = [:]
        var acceptedTypes: [String] = []
        var maximumBodySize: Int?
        var decompresses: Bool?
        var expectsContinue: Bool?
        var events: HTTPEvents?
        var layers: [any HTTPLayer]?
        var upgrade: (any HTTPUpgrade)?
        var http2: HTTP2Use?
        var addresses: AddressPolicy?
        var times = ConnectionTimes()
        var isForwarded = false
        var isPersonal = false
        var interimResponses: (any InterimResponseTaker)?
        var cacheKey: String?

        var usesPlainPool: Bool {
            tls == nil && proxy == nil && upgrade == nil && http2 == nil && addresses == nil
                && times == ConnectionTimes()
        }
    }

    /// In a box: most requests use the session's settings, and every copy would carry these fields.
    private final class ExtrasBox: Sendable {
        let extras: Extras

        init(_ extras: Extras) { self.extras = extras }
    }

    private var extras: Extras {
        get { box?.extras ?? Extras() }
        set { box = ExtrasBox(newValue) }
    }

    /// Whether it may be sent twice: its method is idempotent and its body is replayable.
    package var isReplayable: Bool { method.isIdempotent && body.isReplayable }
}
