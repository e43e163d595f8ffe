// The proved identity of a client.

import SkeinCore
import SkeinHTTP

/// The proved identity of a client.
public struct Identity: Sendable, Equatable {
    /// The kind of credentials.
    public enum Proof: String, Sendable {
        /// A bearer token.
        case token
        /// A name and a password.
        case password
        /// An API key.
        case apiKey
        /// A TLS certificate.
        case certificate
    }

    /// The name.
    public var user: String
    /// The roles.
    public var roles: Set<String>
    /// The kind of credentials that proved it.
    public var proof: Proof
    /// The claims of a token; nil without one.
    public var claims: JSONValue?

    /// An identity.
    public init(user: String, roles: Set<String> = [], proof: Proof = .token, claims: JSONValue? = nil) {
        self.user = user
        self.roles = roles
        self.proof = proof
        self.claims = claims
    }
}

/// Middleware that requires credentials. Alone, it answers requests without them with 401; in a ``Gateway``, several
/// are alternatives.
public protocol Authenticator: Middleware {
    /// The identity that a request proves.
    /// - Returns: nil for a request that has no credentials of this kind.
    /// - Throws: ``ServerError`` 401 for credentials that are not valid, with a `WWW-Authenticate` field.
    func identity(of request: ServerRequest) async throws -> Identity?

    /// The value of `WWW-Authenticate` (RFC 9110, section 11.6.1) for a request without credentials; nil where the scheme has none, as for
    /// certificates.
    var challenge: String? { get }
}

extension Authenticator {
    /// Forwards a request with valid credentials; ``ServerRequest/identity`` and ``ServerRequest/user`` are set.
    public func respond(to request: ServerRequest, next: any App) async throws -> ServerResponse {
        guard let identity = try await identity(of: request) else {
            throw ServerError.unauthenticated([challenge].compactMap(\.self))
        }
        request.identity = identity
        return try await next.respond(to: request)
    }
}

extension ServerError {
    /// 401 with the accepted schemes.
    static func unauthenticated(_ challenges: [String], _ message: String = "credentials are required") -> ServerError {
        var headers = Headers()
        for challenge in challenges { headers.add("WWW-Authenticate", challenge) }
        return ServerError(.unauthorized, message, headers: headers)
    }
}

private enum IdentityKey: RequestKey { typealias Value = Identity }

extension ServerRequest {
    /// The proved identity of the client; nil for none. Setting it sets ``user``, too.
    public var identity: Identity? {
        get { self[IdentityKey.self] }
        nonmutating set {
            self[IdentityKey.self] = newValue
            user = newValue?.user
        }
    }
}
