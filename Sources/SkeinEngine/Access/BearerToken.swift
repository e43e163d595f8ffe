// The syntax of bearer tokens (RFC 6750).

import Crypto
import NIOCore
import SkeinCore
import SkeinWire

/// A bearer token in an Authorization field.
enum BearerToken {
    /// The token; nil when the field is of another scheme.
    static func read(_ field: ByteBuffer) -> String? {
        let text = String(buffer: field)
        guard text.utf8.count > 7, text.prefix(7).lowercased() == "bearer " else { return nil }
        return String(text.dropFirst(7)[...].trimmingBlanks())
    }

    /// The value of `WWW-Authenticate` for a request without a token.
    static func challenge(_ realm: String) -> String { "Bearer realm=\"\(realm)\"" }

    /// 401 for a token that is not valid (RFC 6750, section 3.1).
    static func refusal(_ realm: String, _ why: String) -> ServerError {
        .unauthenticated(["\(challenge(realm)), error=\"invalid_token\""], why)
    }

    /// An identifier of a token that does not reveal it.
    static func fingerprint(_ token: String) -> String {
        "sha256:" + Hex.encode(SHA256.hash(data: Array(token.utf8)).prefix(6))
    }
}
