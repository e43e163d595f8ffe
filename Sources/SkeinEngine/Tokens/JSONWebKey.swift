// Keys in JSON (RFC 7517; RFC 7518, section 6; RFC 8037, section 2).

import Crypto
import SkeinCore
import _CryptoExtras

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

extension TokenKey {
    /// The keys of a JSON Web Key, or of a set of them. Keys of a set that cannot be used for signatures are left out (RFC 7517, section 5).
    /// - Parameter json: the document in UTF-8.
    /// - Throws: `JSONError` for invalid JSON; code 701 for a single key that cannot be used.
    public static func jsonWebKeys(_ json: some Collection<UInt8>) throws -> [TokenKey] {
        let document = try JSONValue(json: json)
        if let keys = document["keys"]?.elements { return keys.compactMap { try? TokenKey(jsonWebKey: $0) } }
        return [try TokenKey(jsonWebKey: document)]
    }

    /// The key of a JSON Web Key.
    /// - Throws: code 701 when it is not for signatures, or a member is missing or malformed.
    public init(jsonWebKey key: JSONValue) throws(SkeinError) {
        func refuse(_ why: String) -> SkeinError {
            SkeinError(.exception, because: "the JSON Web Key cannot be used: \(why)")
        }
        func bytes(_ name: String) throws(SkeinError) -> Data {
            guard let text = key[name]?.string, let bytes = Base64URL.decodeStrict(text) else {
                throw refuse("\(name) is missing or is not base64url")
            }
            return bytes
        }
        if let use = key["use"], use.string != "sig" { throw refuse("its use is not sig") }
        if let operations = key["key_ops"] {
            guard let names = operations.elements?.compactMap(\.string),
                names.contains("verify") || names.contains("sign")
            else { throw refuse("its key_ops include neither sign nor verify") }
        }
        var allowed: Set<TokenAlgorithm>?
        if let name = key["alg"] {
            guard let algorithm = name.string.flatMap(TokenAlgorithm.init(rawValue:)) else {
                throw refuse("its alg is not a supported signature algorithm")
            }
            allowed = [algorithm]
        }
        let material: Material
        do {
            switch (key["kty"]?.string, key["crv"]?.string) {
            case ("oct", _): material = .secret(SymmetricKey(data: try bytes("k")))
            case ("RSA", _):
                let (n, e) = (try bytes("n"), try bytes("e"))
                let isPrivate = key["d"] != nil && key["p"] != nil && key["q"] != nil
                let own =
                    isPrivate
                    ? try _RSA.Signing.PrivateKey(n: n, e: e, d: try bytes("d"), p: try bytes("p"), q: try bytes("q"))
                    : nil
                material = .rsa(try _RSA.Signing.PublicKey(n: n, e: e), own)
            case ("EC", "P-256"):
                let point = try Self.point(bytes("x"), bytes("y"), 32)
                let own = key["d"] == nil ? nil : try P256.Signing.PrivateKey(rawRepresentation: try bytes("d"))
                material = .p256(try P256.Signing.PublicKey(x963Representation: point), own)
            case ("EC", "P-384"):
                let point = try Self.point(bytes("x"), bytes("y"), 48)
                let own = key["d"] == nil ? nil : try P384.Signing.PrivateKey(rawRepresentation: try bytes("d"))
                material = .p384(try P384.Signing.PublicKey(x963Representation: point), own)
            case ("EC", "P-521"):
                let point = try Self.point(bytes("x"), bytes("y"), 66)
                let own = key["d"] == nil ? nil : try P521.Signing.PrivateKey(rawRepresentation: try bytes("d"))
                material = .p521(try P521.Signing.PublicKey(x963Representation: point), own)
            case ("OKP", "Ed25519"):
                let own = key["d"] == nil ? nil : try Curve25519.Signing.PrivateKey(rawRepresentation: try bytes("d"))
                material = .ed25519(try Curve25519.Signing.PublicKey(rawRepresentation: try bytes("x")), own)
            default: throw refuse("its type or curve is not supported")
            }
        } catch let error as SkeinError {
            throw error
        } catch {
            throw refuse("\(error)")
        }
        if case .secret(let secret) = material, secret.bitCount < 256 {
            throw refuse("a secret needs at least 32 bytes (RFC 7518, section 3.2)")
        }
        try self.init(material, id: key["kid"]?.string, algorithms: allowed)
    }

    /// An uncompressed point; each coordinate has its full length (RFC 7518, section 6.2.1.2).
    private static func point(_ x: Data, _ y: Data, _ size: Int) throws(SkeinError) -> Data {
        guard x.count == size, y.count == size else {
            throw SkeinError(
                .exception, because: "the JSON Web Key cannot be used: x and y must have \(size) bytes each")
        }
        return Data([4]) + x + y
    }
}
