// What a handler answers with, whatever version of HTTP will carry it.

/// One answer of the server.
public struct ServerResponse: Sendable {
    /// The status. Default: 200.
    public var status: HTTPStatus
    /// The header section. Content-Length, Transfer-Encoding and Date are set by the server.
    public var headers: Headers
    /// The content: bytes, or pieces sent as they are made. Its media type is sent unless the headers name one.
    public var body: HTTPBody {
        didSet { fileRange = nil }
    }
    /// The same content as a range of a file, which the kernel can send by itself.
    var fileRange: FileRange?
    /// The trailer section, sent behind a chunked body.
    public var trailers: Headers?
    /// Whether it goes on until the client leaves, so that neither a client that has left nor the server's end waits for it.
    var isEndless = false
    /// What takes over the connection behind this answer.
    package var upgrade: (any ServerUpgrade)?

    /// Whether the connection ends behind it, as its own Connection field says.
    var closesConnection: Bool {
        headers.known.contains(.connection) && headers.listContains("Connection", token: "close")
    }

    /// An answer.
    public init(
        _ status: HTTPStatus = .ok, headers: Headers = Headers(), body: HTTPBody = .none, trailers: Headers? = nil
    ) {
        self.status = status
        self.headers = headers
        self.body = body
        self.trailers = trailers
    }

    /// An answer of text in UTF-8.
    public static func text(_ text: String, status: HTTPStatus = .ok) -> ServerResponse {
        ServerResponse(status, body: .text(text))
    }

    /// An answer of a JSON tree: `.json(["name": "Ada", "born": 1815])`.
    public static func json(_ value: JSONValue, status: HTTPStatus = .ok) -> ServerResponse {
        ServerResponse(status, body: .json(value))
    }

    /// An answer of a value as JSON.
    public static func json(_ value: some Encodable, status: HTTPStatus = .ok) -> ServerResponse {
        ServerResponse(status, body: .json(value))
    }
}
