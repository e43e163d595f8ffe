// Credentials of a request.

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// Credentials for a request (RFC 9110, section 11). They are sent to the request's origin, and after a redirect to no other.
public struct HTTPAuth: Sendable, CustomStringConvertible {
    enum Kind {
        case fixed(String)
        case authenticator(any HTTPAuthenticator)
    }

    let kind: Kind
    private let name: String

    private init(_ name: String, _ kind: Kind) {
        self.name = name
        self.kind = kind
    }

    /// A user and a password (RFC 7617), in UTF-8, sent with the first request.
    public static func basic(_ user: String, _ password: String) -> HTTPAuth {
        HTTPAuth("Basic", .fixed(basicField(user, password)))
    }

    /// The value of the field that names a user and a password.
    static func basicField(_ user: String, _ password: String) -> String {
        "Basic " + Data("\(user):\(password)".utf8).base64EncodedString()
    }

    /// A token (RFC 6750).
    public static func bearer(_ token: String) -> HTTPAuth { HTTPAuth("Bearer", .fixed("Bearer \(token)")) }

    /// A user and a password that are never sent: the client answers the server's challenge with a hash of them (RFC
    /// 7616). Keep the value for further requests: they carry credentials from the start.
    public static func digest(_ user: String, _ password: String) -> HTTPAuth {
        HTTPAuth("Digest", .authenticator(PasswordAuthenticator(user, password, schemes: [.digest])))
    }

    /// A user and a password for the scheme that the server demands: digest if it offers that, else basic.
    public static func password(_ user: String, _ password: String) -> HTTPAuth {
        HTTPAuth("Password", .authenticator(PasswordAuthenticator(user, password, schemes: [.digest, .basic])))
    }

    /// A request signed by OAuth 1.0 (RFC 5849).
    public static func oauth1(_ credentials: OAuth1) -> HTTPAuth { HTTPAuth("OAuth", .authenticator(credentials)) }

    /// A token that is fetched, kept and renewed by OAuth 2.0 (RFC 6749).
    public static func oauth2(_ credentials: OAuth2) -> HTTPAuth { HTTPAuth("Bearer", .authenticator(credentials)) }

    /// A custom scheme.
    public static func custom(_ authenticator: any HTTPAuthenticator) -> HTTPAuth {
        HTTPAuth("\(type(of: authenticator))", .authenticator(authenticator))
    }

    /// The scheme alone; secrets never appear in messages.
    public var description: String { "\(name) …" }
}

/// A way to authenticate requests. Its one method is called before a request is sent, and again after a 401.
public protocol HTTPAuthenticator: Sendable {
    /// Adds credentials to a request.
    /// - Parameters:
    ///   - request: the request to be sent, with all of its other fields; after a redirect to the same origin, it is
    ///     called again.
    ///   - answer: the 401 that demands credentials or did not accept those that were sent; nil before the first sending.
    ///   - service: sends auxiliary requests, to a token endpoint for example. They need no slot in the session's
    ///     queue.
    /// - Returns: the request to send. Nil sends the request unchanged; after a 401, nil makes the 401 the response.
    /// - Throws: an error that ends the request; one that is not a `SkeinError` becomes code 706.
    func authorize(
        _ request: HTTPRequest, after answer: HTTPResponse?, using service: HTTPService
    ) async throws -> HTTPRequest?
}
