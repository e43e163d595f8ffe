// Tokens in the compact form of JSON Web Signatures (RFC 7515, section 7.1), read strictly.

import SkeinCore

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// A token whose signature has not been verified yet.
package struct SignedToken {
    package let header: JSONValue
    package let algorithm: TokenAlgorithm
    let keyID: String?
    package let payload: Data
    let signature: Data
    /// The signed bytes.
    let signed: [UInt8]

    /// Parses a token.
    /// - Parameter maximum: the limit in bytes.
    package init(_ text: String, maximum: Int) throws(TokenError) {
        guard text.utf8.count <= maximum else {
            throw TokenError(.tooLarge, "the token is longer than \(maximum) bytes")
        }
        let bytes = text.utf8
        let dot = UInt8(ascii: ".")
        guard let first = bytes.firstIndex(of: dot),
            let second = bytes[bytes.index(after: first)...].firstIndex(of: dot),
            let head = Base64URL.decodeStrict(text[..<first]),
            let payload = Base64URL.decodeStrict(text[bytes.index(after: first)..<second]),
            let signature = Base64URL.decodeStrict(text[bytes.index(after: second)...])
        else { throw TokenError(.malformed, "the token is not three parts of base64url") }
        // The parser refuses duplicate members.
        guard let header = try? JSONValue(json: head), header.members != nil else {
            throw TokenError(.malformed, "the token's header is not a JSON object")
        }
        for name in ["crit", "jwk", "jku", "x5u", "b64", "zip"] where header[name] != nil {
            throw TokenError(.headerNotAllowed, "the token's header has \(name), which is not accepted")
        }
        guard let name = header["alg"]?.string else { throw TokenError(.malformed, "the token's header has no alg") }
        guard let algorithm = TokenAlgorithm(rawValue: name) else {
            throw TokenError(.algorithmNotAllowed, "the algorithm \(name.prefix(32).debugDescription) is not accepted")
        }
        if let id = header["kid"], id.string == nil { throw TokenError(.malformed, "the token's kid is not a string") }
        self.header = header
        self.algorithm = algorithm
        keyID = header["kid"]?.string
        self.payload = payload
        self.signature = signature
        signed = Array(bytes[..<second])
    }
}
