// The account at a certificate authority: its key, and the requests signed with it (RFC 8555, section 6).

import Crypto
import SkeinCore
import SkeinHTTP

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// The key of an account, and the URL by which the authority identifies it.
struct ACMEAccount: Sendable {
    let key: P256.Signing.PrivateKey
    /// Nil before the account is registered.
    var url: String?

    /// The public key as a JSON Web Key, in the form from which the thumbprint is computed (RFC 7638, section 3.2).
    var publicKey: String {
        let point = key.publicKey.rawRepresentation
        return
            #"{"crv":"P-256","kty":"EC","x":"\#(Base64URL.encode(point.prefix(32)))","y":"\#(Base64URL.encode(point.suffix(32)))"}"#
    }

    /// The key authorization for the token of a challenge (section 8.1).
    func keyAuthorization(_ token: String) -> String {
        "\(token).\(Base64URL.encode(SHA256.hash(data: Array(publicKey.utf8))))"
    }

    /// A signed request (section 6.2).
    /// - Parameters:
    ///   - payload: JSON, or an empty string to read a resource (section 6.3).
    ///   - nonce: from the authority; nil inside a key change.
    ///   - usesKey: whether the key itself is sent instead of the account's URL.
    func sign(_ payload: String, url: String, nonce: String?, usesKey: Bool = false) throws -> String {
        var head = [#""alg":"ES256""#]
        if let account = self.url, !usesKey {
            head.append(#""kid":\#(JSONValue.string(account).json)"#)
        } else {
            head.append(#""jwk":\#(publicKey)"#)
        }
        if let nonce { head.append(#""nonce":\#(JSONValue.string(nonce).json)"#) }
        head.append(#""url":\#(JSONValue.string(url).json)"#)
        let protected = Base64URL.encode("{\(head.joined(separator: ","))}".utf8)
        let body = Base64URL.encode(payload.utf8)
        let signature = try key.signature(for: SHA256.hash(data: Array("\(protected).\(body)".utf8))).rawRepresentation
        return #"{"protected":"\#(protected)","payload":"\#(body)","signature":"\#(Base64URL.encode(signature))"}"#
    }
}
