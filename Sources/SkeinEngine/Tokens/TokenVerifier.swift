// Verifies tokens: signature by an allowed key, times, issuer, audience (RFC 7519, section 7.2; RFC 8725).

import SkeinCore

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// A token whose signature and claims were verified.
public struct VerifiedToken: Sendable {
    /// The header.
    public let header: JSONValue
    /// The claims.
    public let claims: JSONValue
    /// The moment at which it expires, in seconds since 1970; nil without `exp`.
    public let expires: Double?

    /// The `sub` claim.
    public var subject: String? { claims["sub"]?.string }
}

/// Verifies tokens.
///
///     let verifier = TokenVerifier(keys: try TokenKey.jsonWebKeys(document), issuers: ["https://id.example.org"], audiences: ["shop"])
///     let token = try verifier.verify(text)
///     print(token.subject ?? "")
public struct TokenVerifier: Sendable {
    /// The keys.
    public var keys: [TokenKey]
    /// The accepted values of `iss`. Default: empty, any or none.
    public var issuers: Set<String>
    /// The accepted values of `aud`, of which a token needs one. Default: empty; then a token must not have `aud`,
    /// since it would be for another audience (RFC 7519, section 4.1.3).
    public var audiences: Set<String>
    /// The tolerance for clock differences, in seconds. Default: 60.
    public var leeway: Double = 60
    /// Whether a token needs `exp`. Default: true.
    public var requiresExpiry = true
    /// The size limit of a token. Default: 16 KiB.
    public var maximumSize = 16 << 10

    /// A verifier.
    public init(keys: [TokenKey], issuers: Set<String> = [], audiences: Set<String> = []) {
        self.keys = keys
        self.issuers = issuers
        self.audiences = audiences
    }

    /// Verifies a token now.
    /// - Throws: ``TokenError``.
    public func verify(_ text: String) throws(TokenError) -> VerifiedToken {
        try verify(text, at: Date().timeIntervalSince1970)
    }

    /// Verifies a token.
    /// - Parameter now: seconds since 1970.
    public func verify(_ text: String, at now: Double) throws(TokenError) -> VerifiedToken {
        let token = try verifySignature(text)
        guard let claims = try? JSONValue(json: token.payload), claims.members != nil else {
            throw TokenError(.malformed, "the token's payload is not a JSON object")
        }
        let expires = try Self.time("exp", claims)
        if let expires {
            guard now < expires + leeway else { throw TokenError(.expired, "the token has expired") }
        } else if requiresExpiry {
            throw TokenError(.invalidClaim, "the token has no exp")
        }
        for name in ["nbf", "iat"] {
            if let time = try Self.time(name, claims), time > now + leeway {
                throw TokenError(.notYetValid, "the token's \(name) is in the future")
            }
        }
        if !issuers.isEmpty {
            guard let issuer = claims["iss"]?.string, issuers.contains(where: { $0.equalsBytes(issuer) }) else {
                throw TokenError(.wrongIssuer, "the token's issuer is not accepted")
            }
        }
        let audience = Self.audiences(claims)
        guard
            claims["aud"] == nil && audiences.isEmpty
                || audience.contains(where: { one in audiences.contains { $0.equalsBytes(one) } })
        else { throw TokenError(.wrongAudience, "the token is for another audience") }
        return VerifiedToken(header: token.header, claims: claims, expires: expires)
    }

    /// The audiences of a token: one, or several.
    static func audiences(_ claims: JSONValue) -> [String] {
        guard let audience = claims["aud"] else { return [] }
        return (audience.elements ?? [audience]).compactMap(\.string)
    }

    /// Verifies the signature alone, of any payload.
    package func verifySignature(_ text: String) throws(TokenError) -> SignedToken {
        let token = try SignedToken(text, maximum: maximumSize)
        let named = keys.filter { key in
            guard let id = key.id, let wanted = token.keyID else { return true }
            return id.equalsBytes(wanted)
        }
        guard !named.isEmpty else { throw TokenError(.unknownKey, "no key has the token's kid") }
        let usable = named.filter { $0.algorithms.contains(token.algorithm) }
        guard !usable.isEmpty else {
            throw TokenError(.algorithmNotAllowed, "no key may be used with \(token.algorithm.rawValue)")
        }
        guard usable.prefix(8).contains(where: { $0.isValid(token.signature, of: token.signed, token.algorithm) })
        else {
            throw TokenError(.invalidSignature, "the token's signature does not match")
        }
        return token
    }

    /// A NumericDate (RFC 7519, section 2).
    private static func time(_ name: String, _ claims: JSONValue) throws(TokenError) -> Double? {
        guard let value = claims[name] else { return nil }
        guard let seconds = value.double, seconds.isFinite, abs(seconds) < 1e14 else {
            throw TokenError(.invalidClaim, "the token's \(name) is not a number of seconds")
        }
        return seconds
    }
}

extension TokenKey {
    /// Signs claims as a compact JWS.
    /// - Parameters:
    ///   - claims: the payload.
    ///   - algorithm: the algorithm. Default: the only or the first one that the key allows.
    /// - Throws: code 701 for a public key, and for an algorithm that is not allowed.
    public func sign(_ claims: JSONValue, _ algorithm: TokenAlgorithm? = nil) throws -> String {
        let order = TokenAlgorithm.allCases
        guard let algorithm = algorithm ?? order.first(where: algorithms.contains) else {
            throw SkeinError(.exception, because: "this key has no algorithm")
        }
        let kid = id.map { ",\"kid\":\(JSONValue.string($0).json)" } ?? ""
        let head = "{\"alg\":\"\(algorithm.rawValue)\",\"typ\":\"JWT\"\(kid)}"
        let signed = "\(Base64URL.encode(head.utf8)).\(Base64URL.encode(claims.json.utf8))"
        return "\(signed).\(Base64URL.encode(try signature(of: Array(signed.utf8), algorithm)))"
    }
}
