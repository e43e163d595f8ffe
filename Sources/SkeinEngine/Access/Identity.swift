// Who a client has proved to be, and what proves it.

import SkeinCore
import SkeinHTTP

/// Who a client has proved to be.
public struct Identity: Sendable, Equatable {
    /// What an identity was proved with.
    public enum Proof: String, Sendable {
        /// A bearer token.
        case token
        /// A name and a password.
        case password
        /// A key of a program.
        case apiKey
        /// A certificate of TLS.
        case certificate
    }

    /// The name.
    public var user: String
    /// The roles.
    public var roles: Set<String>
    /// What it was proved with.
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

/// Middleware that requires the proof of an identity. By itself it answers requests without one with 401; in a ``Gateway``, several are
/// alternatives.
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
    /// Forwards a request with a valid proof; ``ServerRequest/identity`` and ``ServerRequest/user`` are set.
    public func respond(to request: ServerRequest, next: any App) async throws -> ServerResponse {
        guard let identity = try await identity(of: request) else {
            throw ServerError.unauthenticated([challenge].compactMap(\.self))
        }
        request.identity = identity
        return try await next.respond(to: request)
    }
}

extension ServerError {
    /// 401 with the schemes that are accepted.
    static func unauthenticated(_ challenges: [String], _ message: String = "credentials are required") -> ServerError {
        var headers = Headers()
        for challenge in challenges { headers.add("WWW-Authenticate", challenge) }
        return ServerError(.unauthorized, message, headers: headers)
    }
}

private enum IdentityKey: RequestKey { typealias Value = Identity }

extension ServerRequest {
    /// Who the client has proved to be; nil when nothing was proved. Setting it sets ``user``, too.
    public var identity: Identity? {
        get { self[IdentityKey.self] }
        nonmutating set {
            self[IdentityKey.self] = newValue
            user = newValue?.user
        }
    }
}
