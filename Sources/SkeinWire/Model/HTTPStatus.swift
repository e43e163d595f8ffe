// The status code as a value, with the standard reason phrases.

/// An HTTP status code (RFC 9110, section 15).
public struct HTTPStatus: Hashable, Sendable, CustomStringConvertible, ExpressibleByIntegerLiteral {
    /// The three digits, 100 to 599; up to 999 in responses accepted in tolerant mode.
    public let code: Int

    /// A status from its number.
    public init(_ code: Int) { self.code = code }

    /// A status literal: `404`.
    public init(integerLiteral value: Int) { self.code = value }

    /// 100 Continue: send the content (RFC 9110, section 15.2.1).
    public static let `continue`: HTTPStatus = 100
    /// 101 Switching Protocols (RFC 9110, section 15.2.2).
    public static let switchingProtocols: HTTPStatus = 101
    /// 200 OK (RFC 9110, section 15.3.1).
    public static let ok: HTTPStatus = 200
    /// 201 Created (RFC 9110, section 15.3.2).
    public static let created: HTTPStatus = 201
    /// 202 Accepted (RFC 9110, section 15.3.3).
    public static let accepted: HTTPStatus = 202
    /// 204 No Content (RFC 9110, section 15.3.5).
    public static let noContent: HTTPStatus = 204
    /// 206 Partial Content (RFC 9110, section 15.3.7).
    public static let partialContent: HTTPStatus = 206
    /// 303 See Other (RFC 9110, section 15.4.4).
    public static let seeOther: HTTPStatus = 303
    /// 304 Not Modified (RFC 9110, section 15.4.5).
    public static let notModified: HTTPStatus = 304
    /// 308 Permanent Redirect (RFC 9110, section 15.4.9).
    public static let permanentRedirect: HTTPStatus = 308
    /// 400 Bad Request (RFC 9110, section 15.5.1).
    public static let badRequest: HTTPStatus = 400
    /// 401 Unauthorized (RFC 9110, section 15.5.2).
    public static let unauthorized: HTTPStatus = 401
    /// 403 Forbidden (RFC 9110, section 15.5.4).
    public static let forbidden: HTTPStatus = 403
    /// 404 Not Found (RFC 9110, section 15.5.5).
    public static let notFound: HTTPStatus = 404
    /// 405 Method Not Allowed (RFC 9110, section 15.5.6).
    public static let methodNotAllowed: HTTPStatus = 405
    /// 408 Request Timeout (RFC 9110, section 15.5.9).
    public static let requestTimeout: HTTPStatus = 408
    /// 413 Content Too Large (RFC 9110, section 15.5.14).
    public static let contentTooLarge: HTTPStatus = 413
    /// 500 Internal Server Error (RFC 9110, section 15.6.1).
    public static let internalServerError: HTTPStatus = 500
    /// 503 Service Unavailable (RFC 9110, section 15.6.4).
    public static let serviceUnavailable: HTTPStatus = 503

    /// Whether the response is interim (1xx) and another one follows.
    public var isInformational: Bool { code < 200 }

    /// Whether a response with this status never has content, whatever its fields (RFC 9112, section 6.3).
    package var forbidsBody: Bool { code < 200 || code == 204 || code == 304 }

    /// The code and its phrase: `404 Not Found`.
    public var description: String { reason.isEmpty ? String(code) : "\(code) \(reason)" }

    /// The registered phrase of the code, empty for a code without one (RFC 9110, section 15).
    public var reason: String { Self.phrases[code] ?? "" }

    private static let phrases: [Int: String] = [
        100: "Continue", 101: "Switching Protocols", 102: "Processing", 103: "Early Hints",
        200: "OK", 201: "Created", 202: "Accepted", 203: "Non-Authoritative Information", 204: "No Content",
        205: "Reset Content", 206: "Partial Content", 207: "Multi-Status", 208: "Already Reported", 226: "IM Used",
        300: "Multiple Choices", 301: "Moved Permanently", 302: "Found", 303: "See Other", 304: "Not Modified",
        305: "Use Proxy", 307: "Temporary Redirect", 308: "Permanent Redirect",
        400: "Bad Request", 401: "Unauthorized", 402: "Payment Required", 403: "Forbidden", 404: "Not Found",
        405: "Method Not Allowed", 406: "Not Acceptable", 407: "Proxy Authentication Required",
        408: "Request Timeout", 409: "Conflict", 410: "Gone", 411: "Length Required", 412: "Precondition Failed",
        413: "Content Too Large", 414: "URI Too Long", 415: "Unsupported Media Type", 416: "Range Not Satisfiable",
        417: "Expectation Failed", 418: "I'm a Teapot", 421: "Misdirected Request", 422: "Unprocessable Content",
        423: "Locked", 424: "Failed Dependency", 425: "Too Early", 426: "Upgrade Required",
        428: "Precondition Required", 429: "Too Many Requests", 431: "Request Header Fields Too Large",
        451: "Unavailable For Legal Reasons",
        500: "Internal Server Error", 501: "Not Implemented", 502: "Bad Gateway", 503: "Service Unavailable",
        504: "Gateway Timeout", 505: "HTTP Version Not Supported", 506: "Variant Also Negotiates",
        507: "Insufficient Storage", 508: "Loop Detected", 511: "Network Authentication Required",
    ]
}
