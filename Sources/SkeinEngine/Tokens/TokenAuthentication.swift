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
/// Verified tokens are remembered until they expire, up to 10 000 of them.
public struct TokenAuthentication: Middleware {
    private let realm: String
    private let verifier: TokenVerifier
    private let remembered = RememberedTokens()

    /// - Parameters:
    ///   - realm: the realm of `WWW-Authenticate`.
    ///   - verifier: the keys, issuers and audiences.
    public init(realm: String, _ verifier: TokenVerifier) {
        self.realm = HTTPText.unquotable(realm)
        self.verifier = verifier
    }

    /// Forwards a request with a valid token; ``ServerRequest/user`` is its `sub`, and ``ServerRequest/token`` the token.
    public func respond(to request: ServerRequest, next: any App) async throws -> ServerResponse {
        guard request.headers.values("Authorization").count == 1,
            let text = request.headers.bytes("authorization").flatMap(BearerToken.read)
        else {
            throw ServerError(
                .unauthorized, "a token is required", headers: ["WWW-Authenticate": "Bearer realm=\"\(realm)\""])
        }
        let token: VerifiedToken
        do throws(TokenError) {
            token = try remembered.verify(text, verifier, at: Date().timeIntervalSince1970)
        } catch {
            throw ServerError(
                .unauthorized, "the token is not accepted: \(error.reason.rawValue)",
                headers: ["WWW-Authenticate": "Bearer realm=\"\(realm)\", error=\"invalid_token\""])
        }
        request[TokenKeyOfRequest.self] = token
        request.user = token.subject
        return try await next.respond(to: request)
    }
}

private enum TokenKeyOfRequest: RequestKey { typealias Value = VerifiedToken }

extension ServerRequest {
    /// The token that ``TokenAuthentication`` has verified; nil without one.
    public var token: VerifiedToken? { self[TokenKeyOfRequest.self] }
}

/// Tokens that were verified of late.
private final class RememberedTokens: Sendable {
    private static let maximum = 10_000

    private let tokens = Mutex<ByteDictionary<VerifiedToken>>([:])

    func verify(_ text: String, _ verifier: TokenVerifier, at now: Double) throws(TokenError) -> VerifiedToken {
        if let known = tokens.withLock({ $0[text] }) {
            if let expires = known.expires, now < expires + verifier.leeway { return known }
            tokens.withLock { $0[text] = nil }
        }
        let token = try verifier.verify(text, at: now)
        guard token.expires != nil else { return token }
        tokens.withLock { tokens in
            if tokens.count >= Self.maximum { tokens = [:] }
            tokens[text] = token
        }
        return token
    }
}
