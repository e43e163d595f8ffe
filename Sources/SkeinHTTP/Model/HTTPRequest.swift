// A request as a caller describes it, before any version of the protocol has a say.

import SkeinCore
import SkeinTransport
import SkeinWire

/// Takes the responses before a response, but for 100 (Continue) (RFC 9110, section 15.2). Called on the loop.
package protocol InterimResponseTaker: AnyObject, Sendable {
    func inform(_ status: HTTPStatus, _ headers: Headers)
}

/// What to ask for. A value; the client starts it as a corequest.
public struct HTTPRequest: Sendable {
    /// The method. Default: GET.
    public var method: HTTPMethod
    /// Whom to ask, and what for.
    public var url: HTTPURL
    /// The header section. Host, Content-Length and Transfer-Encoding are set by the client; User-Agent and Accept
    /// unless they stand here.
    public var headers: Headers
    /// The content.
    public var body: HTTPBody
    /// From the start to the last byte of the answer; for a streamed one, to its head. Default: the session's.
    public var timeout: Duration?
    /// Whether the corequest ends at the head of the answer and hands out the body as a stream. Default: false.
    public var isStreamed: Bool
    /// Whether the request may be sent while another one is under way on the same connection (RFC 9112, section 9.3.2).
    /// Only idempotent methods are. Default: the session's.
    public var isPipelined: Bool?
    /// What travels along to the response.
    public var meta: RequestMetadata
    private var box: ExtrasBox?

    /// TLS for this request, instead of the session's; its connections are not those of other requests.
    public var tls: ClientTLSConfiguration? {
        get { box?.extras.tls }
        set { extras.tls = newValue }
    }

    /// The proxy for this request, instead of the session's.
    public var proxy: ProxyUse? {
        get { box?.extras.proxy }
        set { extras.proxy = newValue }
    }

    /// Who the request comes from; an Authorization field in the headers comes first.
    public var auth: HTTPAuth? {
        get { box?.extras.auth }
        set { extras.auth = newValue }
    }

    /// The trailer section, sent behind the content; over HTTP/1.1 only behind content of unknown length.
    public var trailers: Headers? {
        get { box?.extras.trailers }
        set { extras.trailers = newValue }
    }

    /// Cookies for this request, beside those of the session's jar. They are not kept, and not sent to another origin.
    public var cookies: [String: String] {
        get { box?.extras.cookies ?? [:] }
        set { extras.cookies = newValue }
    }

    /// Media types that are wanted, such as `text/html` or `image/*`: the Accept field unless the headers have one, and a
    /// successful answer of another type is code 718 before its content is read. Default: any.
    public var acceptedTypes: [String] {
        get { box?.extras.acceptedTypes ?? [] }
        set { extras.acceptedTypes = newValue }
    }

    /// Bytes of the answer's content at most, also of a streamed one; more is code 719, from the head if that tells.
    /// Default: the session's `maximumBodySize`, which streams do not have.
    public var maximumBodySize: Int? {
        get { box?.extras.maximumBodySize }
        set { extras.maximumBodySize = newValue }
    }

    /// Whether content codings of the answer are undone. Default: as the session says.
    public var decompresses: Bool? {
        get { box?.extras.decompresses }
        set { extras.decompresses = newValue }
    }

    /// Whether the content waits until the server asks for it (RFC 9110, section 10.1.1). Default: as the session says.
    public var expectsContinue: Bool? {
        get { box?.extras.expectsContinue }
        set { extras.expectsContinue = newValue }
    }

    /// What is called while this request goes its way, after the session's.
    public var events: HTTPEvents? {
        get { box?.extras.events }
        set { extras.events = newValue }
    }

    /// The layers this request goes through, instead of the session's.
    public var layers: [any HTTPLayer]? {
        get { box?.extras.layers }
        set { extras.layers = newValue }
    }

    /// What takes over the connection when the server agrees to leave HTTP.
    package var upgrade: (any HTTPUpgrade)? {
        get { box?.extras.upgrade }
        set { extras.upgrade = newValue }
    }

    /// When HTTP/2 is spoken, instead of as the session says; its connections are not those of other requests.
    package var http2: HTTP2Use? {
        get { box?.extras.http2 }
        set { extras.http2 = newValue }
    }

    /// Which addresses it may lead to, instead of those of the session; its connections are not those of other requests.
    package var addresses: AddressPolicy? {
        get { box?.extras.addresses }
        set { extras.addresses = newValue }
    }

    /// Time limits of its connection, instead of those of the session; its connections are not those of other requests.
    package var times: ConnectionTimes {
        get { box?.extras.times ?? ConnectionTimes() }
        set { extras.times = newValue }
    }

    /// Whether it is somebody else's request that is passed on as it is: it gets no default fields, cookies or credentials of the
    /// session and no place in its queue, and its response is neither followed nor decoded.
    package var isForwarded: Bool {
        get { box?.extras.isForwarded ?? false }
        set { extras.isForwarded = newValue }
    }

    /// Whether somebody who is known has asked, although no field that is sent says so: for a shared cache it is as if there were an
    /// Authorization field.
    package var isPersonal: Bool {
        get { box?.extras.isPersonal ?? false }
        set { extras.isPersonal = newValue }
    }

    /// Who gets the interim responses; nil for nobody.
    package var interimResponses: (any InterimResponseTaker)? {
        get { box?.extras.interimResponses }
        set { extras.interimResponses = newValue }
    }

    /// By what name a cache knows what is asked for. Default: the URL.
    package var cacheKey: String? {
        get { box?.extras.cacheKey }
        set { extras.cacheKey = newValue }
    }

    /// Whether it shares connections with requests that are sent as the session says.
    var usesPlainPool: Bool { box?.extras.usesPlainPool ?? true }

    /// A request that is passed on as it is, for a streamed response.
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

    /// Whether there may be anything that most requests do not have.
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

    /// Out of line: most requests are sent as the session says, and every copy would carry the places.
    private final class ExtrasBox: Sendable {
        let extras: Extras

        init(_ extras: Extras) { self.extras = extras }
    }

    private var extras: Extras {
        get { box?.extras ?? Extras() }
        set { box = ExtrasBox(newValue) }
    }

    /// Whether sending it twice is safe: its method is idempotent and its body can be made again.
    package var isReplayable: Bool { method.isIdempotent && body.isReplayable }
}
