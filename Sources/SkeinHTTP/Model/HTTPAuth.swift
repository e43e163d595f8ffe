// Who a request says that it comes from.

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// Credentials for a request (RFC 9110, section 11). They are sent with the request, and with no other origin's after a redirect.
public struct HTTPAuth: Sendable, CustomStringConvertible {
    /// The value of the Authorization field.
    package let authorization: String
    private let scheme: String

    private init(_ scheme: String, _ credentials: String) {
        self.scheme = scheme
        authorization = "\(scheme) \(credentials)"
    }

    /// A user and a password (RFC 7617), in UTF-8.
    public static func basic(_ user: String, _ password: String) -> HTTPAuth {
        HTTPAuth("Basic", Data("\(user):\(password)".utf8).base64EncodedString())
    }

    /// A token (RFC 6750).
    public static func bearer(_ token: String) -> HTTPAuth { HTTPAuth("Bearer", token) }

    /// The scheme alone; secrets are no part of any message.
    public var description: String { "\(scheme) …" }
}
