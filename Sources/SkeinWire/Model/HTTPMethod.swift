// The request method: any token, with constants for the registered ones.

/// An HTTP request method (RFC 9110, section 9). Methods are case-sensitive tokens; any token is accepted.
public struct HTTPMethod: RawRepresentable, Hashable, Sendable, CustomStringConvertible, ExpressibleByStringLiteral {
    /// The method on the wire, for example `GET`.
    public let rawValue: String

    /// A method with any name.
    /// - Parameter rawValue: the name; one that is not a token is refused when the request is sent.
    public init(rawValue: String) { self.rawValue = rawValue }

    /// A method literal: `"PROPFIND"`.
    public init(stringLiteral value: String) { self.rawValue = value }

    /// The method's name.
    public var description: String { rawValue }

    /// GET: transfer a representation (RFC 9110, section 9.3.1).
    public static let get: HTTPMethod = "GET"
    /// HEAD: as GET, without content (RFC 9110, section 9.3.2).
    public static let head: HTTPMethod = "HEAD"
    /// POST: process the enclosed content (RFC 9110, section 9.3.3).
    public static let post: HTTPMethod = "POST"
    /// PUT: replace the target (RFC 9110, section 9.3.4).
    public static let put: HTTPMethod = "PUT"
    /// DELETE: remove the target (RFC 9110, section 9.3.5).
    public static let delete: HTTPMethod = "DELETE"
    /// CONNECT: open a tunnel (RFC 9110, section 9.3.6).
    public static let connect: HTTPMethod = "CONNECT"
    /// OPTIONS: ask what the target can do (RFC 9110, section 9.3.7).
    public static let options: HTTPMethod = "OPTIONS"
    /// TRACE: loop the request back (RFC 9110, section 9.3.8).
    public static let trace: HTTPMethod = "TRACE"
    /// PATCH: change parts of the target (RFC 5789).
    public static let patch: HTTPMethod = "PATCH"

    /// Whether it is safe (RFC 9110, section 9.2.1).
    public var isSafe: Bool { [.get, .head, .options, .trace].contains(self) }

    /// Whether it is idempotent (RFC 9110, section 9.2.2), so that it may be replayed.
    public var isIdempotent: Bool {
        switch rawValue {
        case "GET", "HEAD", "PUT", "DELETE", "OPTIONS", "TRACE": true
        default: false
        }
    }

    /// Whether a request without content carries `Content-Length: 0` (RFC 9110, section 8.6).
    package var announcesEmptyBody: Bool {
        switch rawValue {
        case "POST", "PUT", "PATCH": true
        default: false
        }
    }
}
