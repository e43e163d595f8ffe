// A request as a caller describes it, before any version of the protocol has a say.

import SkeinCore
import SkeinTransport
import SkeinWire

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
    public var meta: Meta
    private var extras: RequestExtras?

    /// TLS for this request, instead of the session's; its connections are not those of other requests.
    public var tls: TLSOptions? {
        get { extras?.tls }
        set { extras = RequestExtras(tls: newValue, proxy: proxy, auth: auth, trailers: trailers) }
    }

    /// The proxy for this request, instead of the session's.
    public var proxy: ProxyUse? {
        get { extras?.proxy }
        set { extras = RequestExtras(tls: tls, proxy: newValue, auth: auth, trailers: trailers) }
    }

    /// Who the request comes from; an Authorization field in the headers comes first.
    public var auth: HTTPAuth? {
        get { extras?.auth }
        set { extras = RequestExtras(tls: tls, proxy: proxy, auth: newValue, trailers: trailers) }
    }

    /// The trailer section, sent behind the content; over HTTP/1.1 only behind content of unknown length.
    public var trailers: Headers? {
        get { extras?.trailers }
        set { extras = RequestExtras(tls: tls, proxy: proxy, auth: auth, trailers: newValue) }
    }

    /// Whether there may be anything that most requests do not have.
    package var hasExtras: Bool { extras != nil }

    /// A request.
    public init(
        _ method: HTTPMethod = .get, _ url: HTTPURL, headers: Headers = Headers(), body: HTTPBody = .none,
        trailers: Headers? = nil, auth: HTTPAuth? = nil, timeout: Duration? = nil, isStreamed: Bool = false,
        isPipelined: Bool? = nil,
        meta: Meta = Meta()
    ) {
        self.method = method
        self.url = url
        self.headers = headers
        self.body = body
        self.timeout = timeout
        self.isStreamed = isStreamed
        self.isPipelined = isPipelined
        self.meta = meta
        if auth != nil || trailers != nil {
            extras = RequestExtras(tls: nil, proxy: nil, auth: auth, trailers: trailers)
        }
    }

    /// Out of line: most requests are sent as the session says, and every copy would carry the places.
    private final class RequestExtras: Sendable {
        let tls: TLSOptions?
        let proxy: ProxyUse?
        let auth: HTTPAuth?
        let trailers: Headers?

        init(tls: TLSOptions?, proxy: ProxyUse?, auth: HTTPAuth?, trailers: Headers?) {
            self.tls = tls
            self.proxy = proxy
            self.auth = auth
            self.trailers = trailers
        }
    }

    /// Whether sending it twice is safe: its method is idempotent and its body can be made again.
    package var isReplayable: Bool { method.isIdempotent && body.isReplayable }
}
