// The signature algorithms of tokens (RFC 7518, section 3; RFC 8037).

import SkeinCore

/// A signature algorithm of JSON Web Signatures. `none` is not one.
public enum TokenAlgorithm: String, Sendable, Hashable, CaseIterable, Codable {
    /// HMAC with SHA-256, SHA-384, SHA-512.
    case HS256, HS384, HS512
    /// RSASSA-PKCS1-v1_5.
    case RS256, RS384, RS512
    /// RSASSA-PSS.
    case PS256, PS384, PS512
    /// ECDSA on P-256, P-384, P-521.
    case ES256, ES384, ES512
    /// Ed25519.
    case EdDSA

    enum Family {
        case secret, rsa, elliptic, edwards
    }

    var family: Family {
        switch self {
        case .HS256, .HS384, .HS512: .secret
        case .RS256, .RS384, .RS512, .PS256, .PS384, .PS512: .rsa
        case .ES256, .ES384, .ES512: .elliptic
        case .EdDSA: .edwards
        }
    }

    /// Bytes of the hash.
    var hashSize: Int {
        switch self {
        case .HS256, .RS256, .PS256, .ES256: 32
        case .HS384, .RS384, .PS384, .ES384: 48
        case .HS512, .RS512, .PS512, .ES512, .EdDSA: 64
        }
    }
}

/// Why a token is refused.
public struct TokenError: Error, Sendable, Equatable, CustomStringConvertible {
    /// The reasons.
    public enum Reason: String, Sendable {
        /// The text is not a compact JWS of three parts, or one of them is not what it has to be.
        case malformed
        /// The token is longer than the limit.
        case tooLarge
        /// The algorithm is unknown, `none`, or not allowed for any key.
        case algorithmNotAllowed
        /// The header has `crit`, or names keys of its own (`jwk`, `jku`, `x5u`).
        case headerNotAllowed
        /// No key has the token's `kid`.
        case unknownKey
        /// The signature does not match.
        case invalidSignature
        /// `exp` has passed.
        case expired
        /// `nbf` or `iat` lies in the future.
        case notYetValid
        /// `iss` is not one of the expected issuers.
        case wrongIssuer
        /// `aud` has none of the expected audiences.
        case wrongAudience
        /// A required claim is missing, or a claim has the wrong type.
        case invalidClaim
    }

    /// The reason.
    public let reason: Reason
    /// One sentence with the details; it does not quote the token.
    public let description: String

    init(_ reason: Reason, _ description: String) {
        self.reason = reason
        self.description = description
    }

    /// Errors are equal when their reasons are.
    public static func == (left: TokenError, right: TokenError) -> Bool { left.reason == right.reason }
}
