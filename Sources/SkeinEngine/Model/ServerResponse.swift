// A handler's response, independent of the HTTP version.

/// A response.
public struct ServerResponse: Sendable {
    /// The status. Default: 200.
    public var status: HTTPStatus
    /// The header section. Content-Length, Transfer-Encoding and Date are set by the server.
    public var headers: Headers
    /// The content: bytes, or pieces sent as they are made. Its media type is sent unless the headers name one.
    public var body: HTTPBody {
        didSet { fileRange = nil }
    }
    /// The content as a range of a file, which the kernel can send.
    var fileRange: FileRange?
    /// The trailer section, sent after a chunked body.
    public var trailers: Headers?
    /// Whether it continues until the client leaves, so that shutdown does not wait for it.
    var isEndless = false
    /// Takes over the connection after this response.
    package var upgrade: (any ServerUpgrade)?

    /// Whether its Connection field closes the connection.
    var closesConnection: Bool {
        headers.known.contains(.connection) && headers.listContains("Connection", token: "close")
    }

    /// A response.
    public init(
        _ status: HTTPStatus = .ok, headers: Headers = Headers(), body: HTTPBody = .none, trailers: Headers? = nil
    ) {
        self.status = status
        self.headers = headers
        self.body = body
        self.trailers = trailers
    }

    /// A text response in UTF-8.
    public static func text(_ text: String, status: HTTPStatus = .ok) -> ServerResponse {
        ServerResponse(status, body: .text(text))
    }

    /// A JSON response: `.json(["name": "Ada", "born": 1815])`.
    public static func json(_ value: JSONValue, status: HTTPStatus = .ok) -> ServerResponse {
        ServerResponse(status, body: .json(value))
    }

    /// A response with a value as JSON.
    public static func json(_ value: some Encodable, status: HTTPStatus = .ok) -> ServerResponse {
        ServerResponse(status, body: .json(value))
    }
}
