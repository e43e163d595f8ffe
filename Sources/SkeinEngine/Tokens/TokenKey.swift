// Keys of tokens: each has its allowed algorithms, regardless of a token's header (RFC 8725, section 3.1).

import Crypto
import SkeinCore
import _CryptoExtras

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// A key that verifies tokens, and signs them if it is a secret or a private key.
public struct TokenKey: Sendable {
    enum Material: Sendable {
        case secret(SymmetricKey)
        case rsa(_RSA.Signing.PublicKey, _RSA.Signing.PrivateKey?)
        case p256(P256.Signing.PublicKey, P256.Signing.PrivateKey?)
        case p384(P384.Signing.PublicKey, P384.Signing.PrivateKey?)
        case p521(P521.Signing.PublicKey, P521.Signing.PrivateKey?)
        case ed25519(Curve25519.Signing.PublicKey, Curve25519.Signing.PrivateKey?)
    }

    /// The `kid` of tokens that were signed with it; nil for any.
    public let id: String?
    /// The algorithms that it may be used with.
    public let algorithms: Set<TokenAlgorithm>
    let material: Material

    init(_ material: Material, id: String?, algorithms: Set<TokenAlgorithm>?) throws(SkeinError) {
        self.material = material
        self.id = id
        let possible = Self.possible(material)
        self.algorithms = algorithms ?? possible
        guard !self.algorithms.isEmpty, self.algorithms.isSubset(of: possible) else {
            throw SkeinError(
                .exception,
                because: "this key can be used with \(possible.map(\.rawValue).sorted().joined(separator: ", ")) only")
        }
        if case .rsa(let key, _) = material, key.keySizeInBits < 2048 {
            throw SkeinError(
                .exception, because: "an RSA key for tokens needs at least 2048 bits (RFC 7518, section 3.3)")
        }
    }

    /// A secret for HMAC.
    /// - Parameters:
    ///   - secret: at least 32 bytes for HS256, 48 for HS384, 64 for HS512 (RFC 7518, section 3.2).
    ///   - id: the `kid` of its tokens. Default: nil, any.
    ///   - algorithms: the allowed algorithms. Default: all that the length permits.
    /// - Throws: code 701 for a secret that is too short.
    public init(secret: some Collection<UInt8>, id: String? = nil, algorithms: Set<TokenAlgorithm>? = nil)
        throws(SkeinError)
    {
        guard secret.count >= 32 else {
            throw SkeinError(.exception, because: "a secret for tokens needs at least 32 bytes (RFC 7518, section 3.2)")
        }
        try self.init(.secret(SymmetricKey(data: Array(secret))), id: id, algorithms: algorithms)
    }

    /// A public or private key in PEM: RSA, P-256, P-384 or P-521.
    /// - Parameters:
    ///   - pem: one key.
    ///   - id: the `kid` of its tokens. Default: nil, any.
    ///   - algorithms: the allowed algorithms. Default: all of the key's type.
    /// - Throws: code 701 for an invalid key.
    public init(pem: String, id: String? = nil, algorithms: Set<TokenAlgorithm>? = nil) throws(SkeinError) {
        guard let material = Self.material(pem: pem) else {
            throw SkeinError(
                .exception, because: "the PEM is not a key of RSA (2048 bits or more), P-256, P-384, P-521 or Ed25519")
        }
        try self.init(material, id: id, algorithms: algorithms)
    }

    private static func material(pem: String) -> Material? {
        if pem.containsBytes("PRIVATE KEY") {
            if let key = try? P256.Signing.PrivateKey(pemRepresentation: pem) { return .p256(key.publicKey, key) }
            if let key = try? P384.Signing.PrivateKey(pemRepresentation: pem) { return .p384(key.publicKey, key) }
            if let key = try? P521.Signing.PrivateKey(pemRepresentation: pem) { return .p521(key.publicKey, key) }
            if let key = try? _RSA.Signing.PrivateKey(pemRepresentation: pem) { return .rsa(key.publicKey, key) }
            // PKCS #8 of Ed25519 (RFC 8410, section 7).
            if let bytes = der(pem), bytes.count == 48, bytes.starts(with: ed25519PrivatePrefix),
                let key = try? Curve25519.Signing.PrivateKey(rawRepresentation: bytes.suffix(32))
            {
                return .ed25519(key.publicKey, key)
            }
            return nil
        }
        if let key = try? P256.Signing.PublicKey(pemRepresentation: pem) { return .p256(key, nil) }
        if let key = try? P384.Signing.PublicKey(pemRepresentation: pem) { return .p384(key, nil) }
        if let key = try? P521.Signing.PublicKey(pemRepresentation: pem) { return .p521(key, nil) }
        if let key = try? _RSA.Signing.PublicKey(pemRepresentation: pem) { return .rsa(key, nil) }
        if let bytes = der(pem), bytes.count == 44, bytes.starts(with: ed25519PublicPrefix),
            let key = try? Curve25519.Signing.PublicKey(rawRepresentation: bytes.suffix(32))
        {
            return .ed25519(key, nil)
        }
        return nil
    }

    private static let ed25519PrivatePrefix: [UInt8] = [
        0x30, 0x2E, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2B, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20,
    ]
    private static let ed25519PublicPrefix: [UInt8] = [
        0x30, 0x2A, 0x30, 0x05, 0x06, 0x03, 0x2B, 0x65, 0x70, 0x03, 0x21, 0x00,
    ]

    private static func der(_ pem: String) -> [UInt8]? {
        let lines = pem.splitBytes(separator: "\n").map { $0.trimmingBlanks() }
            .filter { !$0.hasBytePrefix("-----") && !$0.isEmpty }
        return Data(base64Encoded: lines.joined().replacingBytes("\r", with: "")).map(Array.init)
    }

    private static func possible(_ material: Material) -> Set<TokenAlgorithm> {
        switch material {
        case .secret(let key):
            Set([TokenAlgorithm.HS256, .HS384, .HS512].filter { key.bitCount >= $0.hashSize * 8 })
        case .rsa: [.RS256, .RS384, .RS512, .PS256, .PS384, .PS512]
        case .p256: [.ES256]
        case .p384: [.ES384]
        case .p521: [.ES512]
        case .ed25519: [.EdDSA]
        }
    }

    // MARK: Signatures

    /// Whether a signature matches some bytes.
    func isValid(_ signature: Data, of bytes: [UInt8], _ algorithm: TokenAlgorithm) -> Bool {
        guard algorithms.contains(algorithm) else { return false }
        switch material {
        case .secret(let key):
            switch algorithm {
            case .HS256: return HMAC<SHA256>.isValidAuthenticationCode(signature, authenticating: bytes, using: key)
            case .HS384: return HMAC<SHA384>.isValidAuthenticationCode(signature, authenticating: bytes, using: key)
            default: return HMAC<SHA512>.isValidAuthenticationCode(signature, authenticating: bytes, using: key)
            }
        case .rsa(let key, _):
            // Leading zeros are part of the signature (RFC 8017, section 8.2.2).
            guard signature.count == (key.keySizeInBits + 7) / 8 else { return false }
            let padding: _RSA.Signing.Padding =
                [.PS256, .PS384, .PS512].contains(algorithm) ? .PSS : .insecurePKCS1v1_5
            let signature = _RSA.Signing.RSASignature(rawRepresentation: signature)
            return switch algorithm.hashSize {
            case 32: key.isValidSignature(signature, for: SHA256.hash(data: bytes), padding: padding)
            case 48: key.isValidSignature(signature, for: SHA384.hash(data: bytes), padding: padding)
            default: key.isValidSignature(signature, for: SHA512.hash(data: bytes), padding: padding)
            }
        case .p256(let key, _):
            return (try? P256.Signing.ECDSASignature(rawRepresentation: signature)).map {
                key.isValidSignature($0, for: SHA256.hash(data: bytes))
            } ?? false
        case .p384(let key, _):
            return (try? P384.Signing.ECDSASignature(rawRepresentation: signature)).map {
                key.isValidSignature($0, for: SHA384.hash(data: bytes))
            } ?? false
        case .p521(let key, _):
            return (try? P521.Signing.ECDSASignature(rawRepresentation: signature)).map {
                key.isValidSignature($0, for: SHA512.hash(data: bytes))
            } ?? false
        case .ed25519(let key, _): return key.isValidSignature(signature, for: bytes)
        }
    }

    /// The signature of some bytes.
    /// - Throws: code 701 for a public key, and for an algorithm that is not allowed.
    func signature(of bytes: [UInt8], _ algorithm: TokenAlgorithm) throws -> Data {
        guard algorithms.contains(algorithm) else {
            throw SkeinError(.exception, because: "this key may not be used with \(algorithm.rawValue)")
        }
        let isPublic = SkeinError(.exception, because: "a public key cannot sign; use the private one")
        switch material {
        case .secret(let key):
            switch algorithm {
            case .HS256: return Data(HMAC<SHA256>.authenticationCode(for: bytes, using: key))
            case .HS384: return Data(HMAC<SHA384>.authenticationCode(for: bytes, using: key))
            default: return Data(HMAC<SHA512>.authenticationCode(for: bytes, using: key))
            }
        case .rsa(_, let key):
            guard let key else { throw isPublic }
            let padding: _RSA.Signing.Padding =
                [.PS256, .PS384, .PS512].contains(algorithm) ? .PSS : .insecurePKCS1v1_5
            return switch algorithm.hashSize {
            case 32: try key.signature(for: SHA256.hash(data: bytes), padding: padding).rawRepresentation
            case 48: try key.signature(for: SHA384.hash(data: bytes), padding: padding).rawRepresentation
            default: try key.signature(for: SHA512.hash(data: bytes), padding: padding).rawRepresentation
            }
        case .p256(_, let key):
            guard let key else { throw isPublic }
            return try key.signature(for: SHA256.hash(data: bytes)).rawRepresentation
        case .p384(_, let key):
            guard let key else { throw isPublic }
            return try key.signature(for: SHA384.hash(data: bytes)).rawRepresentation
        case .p521(_, let key):
            guard let key else { throw isPublic }
            return try key.signature(for: SHA512.hash(data: bytes)).rawRepresentation
        case .ed25519(_, let key):
            guard let key else { throw isPublic }
            return try key.signature(for: bytes)
        }
    }
}

extension TokenKey {
    /// Whether it is a secret, which verifies and signs.
    var isSecret: Bool { if case .secret = material { true } else { false } }

    /// The keys of a file: a JSON Web Key or a set of them, or PEM.
    /// - Parameters:
    ///   - algorithms: the allowed ones. Default: all that fit a key.
    ///   - allowsSecret: whether any other file is read as the bytes of a secret, without its final line end. A public
    ///     file, such as a key in another format, must not become a secret. Default: false.
    /// - Throws: code 701 for an unreadable file, and for an invalid key.
    public static func read(file: String, algorithms: Set<TokenAlgorithm>? = nil, allowsSecret: Bool = false)
        throws(SkeinError) -> [TokenKey]
    {
        guard let bytes = FileManager.default.contents(atPath: file) else {
            throw SkeinError(.exception, because: "the file cannot be read")
        }
        if bytes.first(where: { $0 > 0x20 }) == UInt8(ascii: "{") {
            do {
                let keys = try jsonWebKeys(bytes)
                return algorithms.map { allowed in keys.filter { !$0.algorithms.isDisjoint(with: allowed) } } ?? keys
            } catch let error as SkeinError {
                throw error
            } catch {
                throw SkeinError(.exception, because: "\(error)")
            }
        }
        if let text = String(validating: bytes, as: UTF8.self), text.containsBytes("-----BEGIN") {
            return [try TokenKey(pem: text, algorithms: algorithms)]
        }
        guard allowsSecret else {
            throw SkeinError(.exception, because: "it is neither PEM nor a JSON Web Key or key set")
        }
        var secret = bytes[...]
        while let last = secret.last, last == Bytes.lf || last == Bytes.cr { secret = secret.dropLast() }
        return [try TokenKey(secret: secret, algorithms: algorithms)]
    }
}
