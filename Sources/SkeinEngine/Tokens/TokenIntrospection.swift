// Opaque tokens, verified by their issuer (RFC 7662).

import Crypto
import SkeinCore
import SkeinHTTP
import Synchronization

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// Requires a bearer token, and verifies it by introspection at its issuer (RFC 7662). Use it over TLS.
///
/// Responses are cached, up to 10 000: for active tokens until they expire and 60 s at most, for others 10 s. While the
/// issuer does not respond, and while 64 requests are in flight, tokens that are not cached are refused with 503.
public struct TokenIntrospection: Authenticator {
    private static let longest = 8 << 10

    private let realm: String
    private let endpoint: String
    private let credentials: HTTPAuth
    private let audiences: Set<String>
    private let claims: TokenClaims
    private let memory = ActiveTokens()
    private let complaints = Complaints()

    /// - Parameters:
    ///   - realm: the realm of `WWW-Authenticate`.
    ///   - endpoint: the issuer's introspection endpoint, `https://…`.
    ///   - client: the client ID of this program at the issuer.
    ///   - secret: its client secret.
    ///   - audiences: accepted values of `aud`, of which a token needs one. Default: empty, any.
    ///   - claims: the claims with user and roles. Default: `sub`, and the words of `scope`.
    /// - Throws: code 701 for an endpoint that is neither `https` nor on this machine.
    public init(
        realm: String, endpoint: String, client: String, secret: String, audiences: Set<String> = [],
        claims: TokenClaims = TokenClaims(roles: "scope")
    ) throws(SkeinError) {
        try RemoteKeySet.requireTLS(endpoint)
        self.realm = HTTPText.unquotable(realm)
        self.endpoint = endpoint
        credentials = .basic(client, secret)
        self.audiences = audiences
        self.claims = claims
    }

    /// `Bearer`.
    public var challenge: String? { BearerToken.challenge(realm) }

    /// The identity of an active token.
    public func identity(of request: ServerRequest) async throws -> Identity? {
        guard let token = request.headers.bytes("authorization").flatMap(BearerToken.read) else { return nil }
        guard token.utf8.count <= Self.longest else { throw BearerToken.refusal(realm, "the token is too long") }
        // The hash, so that no tokens are held in memory.
        let key = Hex.encode(SHA256.hash(data: Array(token.utf8)))
        let now = Date().timeIntervalSince1970
        var entry = memory.entry(key, at: now)
        if entry == nil {
            let asked = try await ask(token, request.scope.owner.skein, at: now)
            memory.keep(key, asked)
            entry = asked
        }
        guard let identity = entry?.identity else { throw BearerToken.refusal(realm, "the token is not active") }
        return identity
    }

    private func ask(_ token: String, _ client: SkeinClient, at now: Double) async throws -> ActiveTokens.Entry {
        guard memory.begins() else {
            throw ServerError(
                .serviceUnavailable, "too many tokens are being verified", headers: ["Retry-After": "1"])
        }
        let response = await client.ask(
            .post, endpoint, headers: ["Accept": "application/json"],
            body: .form(["token": token, "token_type_hint": "access_token"]), auth: credentials)
        memory.ends()
        guard response.failure == nil, response.statusCode == 200,
            let said = try? JSONValue(json: response.content.readableBytesView), let isActive = said["active"]?.bool
        else {
            if complaints.isDue(at: now) {
                let why = response.failure?.message ?? "status \(response.statusCode)"
                client.session.logger.warning("the issuer at \(endpoint) failed to introspect a token: \(why)")
            }
            throw ServerError(
                .serviceUnavailable, "tokens cannot be verified right now", headers: ["Retry-After": "10"])
        }
        let audience = TokenVerifier.audiences(said)
        let isForUs = audiences.isEmpty || audiences.contains { one in audience.contains { $0.equalsBytes(one) } }
        let expires = said["exp"]?.double ?? .infinity
        guard isActive, isForUs, now < expires, let identity = claims.identity(said) else {
            return ActiveTokens.Entry(identity: nil, until: now + 10)
        }
        return ActiveTokens.Entry(identity: identity, until: min(expires, now + 60))
    }
}

/// Recent introspection results.
private final class ActiveTokens: Sendable {
    struct Entry {
        /// Nil for a token that is not active.
        let identity: Identity?
        let until: Double
    }

    private struct State {
        /// Separate, so that invalid tokens do not evict valid ones.
        var active = ByteDictionary<Entry>()
        var refused = ByteDictionary<Entry>()
        var open = 0
    }

    private static let maximum = 10_000
    private static let mostOpen = 64

    private let state = Mutex(State())

    func entry(_ key: String, at now: Double) -> Entry? {
        state.withLock { state in
            guard let entry = state.active[key] ?? state.refused[key] else { return nil }
            if now < entry.until { return entry }
            state.active[key] = nil
            state.refused[key] = nil
            return nil
        }
    }

    func keep(_ key: String, _ entry: Entry) {
        state.withLock { state in
            let place = entry.identity == nil ? \State.refused : \State.active
            if state[keyPath: place].count >= Self.maximum { state[keyPath: place] = ByteDictionary() }
            state[keyPath: place][key] = entry
        }
    }

    /// A request starts. Returns whether the limit allows it.
    func begins() -> Bool {
        state.withLock { state in
            guard state.open < Self.mostOpen else { return false }
            state.open += 1
            return true
        }
    }

    func ends() { state.withLock { $0.open -= 1 } }
}
