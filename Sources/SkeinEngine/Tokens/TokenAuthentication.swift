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
/// Verified tokens are cached until they expire or the keys change, up to 10 000 of them.
public struct TokenAuthentication: Authenticator {
    private let realm: String
    private let verifier: TokenVerifier
    private let remote: RemoteKeySet?
    private let claims: TokenClaims
    private let remembered = RememberedTokens()

    /// - Parameters:
    ///   - realm: the realm of `WWW-Authenticate`.
    ///   - verifier: the keys, issuers and audiences.
    ///   - claims: the claims with user and roles. Default: `sub` and `roles`.
    public init(realm: String, _ verifier: TokenVerifier, claims: TokenClaims = TokenClaims()) {
        self.init(realm: realm, verifier, keysFrom: nil, claims: claims)
    }

    /// - Parameters:
    ///   - realm: the realm of `WWW-Authenticate`.
    ///   - verifier: issuers and audiences, and keys that are valid beside those of the set.
    ///   - keysFrom: the issuer's key set, kept up to date.
    ///   - claims: the claims with user and roles. Default: `sub` and `roles`.
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

    /// The identity of a valid token; ``ServerRequest/token`` is the token.
    public func identity(of request: ServerRequest) async throws -> Identity? {
        guard let text = request.headers.bytes("authorization").flatMap(BearerToken.read) else { return nil }
        guard request.headers.values("Authorization").count == 1 else {
            throw BearerToken.refusal(realm, "there is more than one Authorization field")
        }
        do {
            let entry = try await verified(text, request, at: Date().timeIntervalSince1970)
            request[TokenKeyOfRequest.self] = entry.token
            return entry.identity
        } catch let error as TokenError {
            throw BearerToken.refusal(realm, "the token is not accepted: \(error.reason.rawValue)")
        }
    }

    /// Verifies a token with the own keys or the issuer's. No fetch is made for tokens of the own keys.
    private func verified(_ text: String, _ request: ServerRequest, at now: Double) async throws
        -> RememberedTokens.Entry
    {
        guard let remote else { return try remembered.verify(text, verifier, claims, nil, at: now) }
        let known = remembered.entry(text)
        if known?.generation == nil, !verifier.keys.isEmpty,
            let token = try? remembered.verify(text, verifier, claims, nil, at: now)
        {
            return token
        }
        let id =
            if let known { known.token.header["kid"]?.string } else {
                try SignedToken(text, maximum: verifier.maximumSize).keyID
            }
        let set: (keys: [TokenKey], generation: Int)
        do {
            set = try await remote.keys(for: id, request.scope.owner.skein, at: request.shard.now)
        } catch {
            throw ServerError(
                .serviceUnavailable, "tokens cannot be verified right now", headers: ["Retry-After": "30"])
        }
        var verifier = self.verifier
        verifier.keys = set.keys
        return try remembered.verify(text, verifier, claims, set.generation, at: now)
    }
}

private enum TokenKeyOfRequest: RequestKey { typealias Value = VerifiedToken }

extension ServerRequest {
    /// The token that ``TokenAuthentication`` has verified; nil without one.
    public var token: VerifiedToken? { self[TokenKeyOfRequest.self] }
}

/// Recently verified tokens.
private final class RememberedTokens: Sendable {
    struct Entry {
        let token: VerifiedToken
        let identity: Identity
        /// The generation of the issuer's keys that verified it; nil for the own keys.
        let generation: Int?
    }

    private static let maximum = 10_000

    private let tokens = Mutex<ByteDictionary<Entry>>([:])

    func entry(_ text: String) -> Entry? { tokens.withLock { $0[text] } }

    func verify(
        _ text: String, _ verifier: TokenVerifier, _ claims: TokenClaims, _ generation: Int?, at now: Double
    ) throws(TokenError) -> Entry {
        if let known = entry(text), known.generation == generation {
            if let expires = known.token.expires, now < expires + verifier.leeway { return known }
            tokens.withLock { $0[text] = nil }
        }
        let token = try verifier.verify(text, at: now)
        guard let identity = claims.identity(token.claims) else {
            throw TokenError(.invalidClaim, "the token does not name its subject")
        }
        let entry = Entry(token: token, identity: identity, generation: generation)
        guard token.expires != nil else { return entry }
        tokens.withLock { tokens in
            if tokens.count >= Self.maximum { tokens = [:] }
            tokens[text] = entry
        }
        return entry
    }
}
