// Bearer tokens that are JSON Web Tokens, verified before a handler runs.

import SkeinCore
import SkeinHTTP
import Synchronization

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// Requires a JSON Web Token with each request (RFC 6750, RFC 7519). Use it over TLS.
///
///     router.group("/orders", TokenAuthentication(realm: "shop", verifier)) { routes in
///         routes.get("") { .text("orders of \($0.user ?? "")") }
///     }
///
/// Verified tokens are remembered until they expire or the keys change, up to 10 000 of them.
public struct TokenAuthentication: Authenticator {
    private let realm: String
    private let verifier: TokenVerifier
    private let remote: RemoteKeySet?
    private let claims: TokenClaims
    private let remembered = RememberedTokens()

    /// - Parameters:
    ///   - realm: the realm of `WWW-Authenticate`.
    ///   - verifier: the keys, issuers and audiences.
    ///   - claims: where user and roles are. Default: `sub` and `roles`.
    public init(realm: String, _ verifier: TokenVerifier, claims: TokenClaims = TokenClaims()) {
        self.init(realm: realm, verifier, keysFrom: nil, claims: claims)
    }

    /// - Parameters:
    ///   - realm: the realm of `WWW-Authenticate`.
    ///   - verifier: issuers and audiences, and keys that are valid beside those of the set.
    ///   - keysFrom: the issuer's key set, kept up to date.
    ///   - claims: where user and roles are. Default: `sub` and `roles`.
    public init(
        realm: String, _ verifier: TokenVerifier, keysFrom: RemoteKeySet?, claims: TokenClaims = TokenClaims()
    ) {
        self.realm = HTTPText.unquotable(realm)
        self.verifier = verifier
        remote = keysFrom
        self.claims = claims
    }

    /// `Bearer`.
    public var challenge: String? { BearerToken.challenge(realm) }

    /// The identity by a valid token; ``ServerRequest/token`` is the token.
    public func identity(of request: ServerRequest) async throws -> Identity? {
        guard let text = request.headers.bytes("authorization").flatMap(BearerToken.read) else { return nil }
        guard request.headers.values("Authorization").count == 1 else {
            throw BearerToken.refusal(realm, "there is more than one Authorization field")
        }
        let now = Date().timeIntervalSince1970
        var verifier = self.verifier
        var generation = 0
        do {
            if let remote {
                let id = try remembered.keyID(of: text) ?? SignedToken(text, maximum: verifier.maximumSize).keyID
                do {
                    let set = try await remote.keys(for: id, request.scope.owner.skein, at: request.shard.now)
                    verifier.keys += set.keys
                    generation = set.generation
                } catch {
                    throw ServerError(
                        .serviceUnavailable, "tokens cannot be verified right now", headers: ["Retry-After": "30"])
                }
            }
            let token = try remembered.verify(text, verifier, generation, at: now)
            guard let identity = claims.identity(token.claims) else {
                throw TokenError(.invalidClaim, "the token does not say who its bearer is")
            }
            request[TokenKeyOfRequest.self] = token
            return identity
        } catch let error as TokenError {
            throw BearerToken.refusal(realm, "the token is not accepted: \(error.reason.rawValue)")
        }
    }
}

private enum TokenKeyOfRequest: RequestKey { typealias Value = VerifiedToken }

extension ServerRequest {
    /// The token that ``TokenAuthentication`` has verified; nil without one.
    public var token: VerifiedToken? { self[TokenKeyOfRequest.self] }
}

/// Tokens that were verified of late.
private final class RememberedTokens: Sendable {
    private struct Entry {
        let token: VerifiedToken
        /// Of the keys that it was verified with.
        let generation: Int
    }

    private static let maximum = 10_000

    private let tokens = Mutex<ByteDictionary<Entry>>([:])

    /// The `kid` of a token that is remembered.
    func keyID(of text: String) -> String? { tokens.withLock { $0[text] }?.token.header["kid"]?.string }

    func verify(_ text: String, _ verifier: TokenVerifier, _ generation: Int, at now: Double) throws(TokenError)
        -> VerifiedToken
    {
        if let known = tokens.withLock({ $0[text] }) {
            if known.generation == generation, let expires = known.token.expires, now < expires + verifier.leeway {
                return known.token
            }
            tokens.withLock { $0[text] = nil }
        }
        let token = try verifier.verify(text, at: now)
        guard token.expires != nil else { return token }
        tokens.withLock { tokens in
            if tokens.count >= Self.maximum { tokens = [:] }
            tokens[text] = Entry(token: token, generation: generation)
        }
        return token
    }
}
