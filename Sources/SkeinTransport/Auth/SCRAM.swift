// The client's side of SCRAM (RFC 5802, RFC 7677), without I/O: the password is not sent, and the server authenticates,
// too.

import Crypto
import SkeinCore
import _CryptoExtras

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// One authentication exchange.
package struct SCRAMClient<Hash: HashFunction> where Hash: Sendable {
    /// The channel binding (RFC 5929).
    package enum Binding {
        /// The connection does not support channel binding.
        case unsupported
        /// The connection supports it, but the server does not offer it: the server is told, so that it detects a
        /// removed offer.
        case notOffered
        /// Bound to the server's certificate.
        case serverEndPoint([UInt8])

        var header: String {
            switch self {
            case .unsupported: "n,,"
            case .notOffered: "y,,"
            case .serverEndPoint: "p=tls-server-end-point,,"
            }
        }

        var bytes: [UInt8] {
            if case .serverEndPoint(let data) = self { Array(header.utf8) + data } else { Array(header.utf8) }
        }
    }

    private let password: String
    private let maximumRounds: Int
    private let binding: Binding
    private let nonce: String
    private let firstBare: String
    private var serverSignature: [UInt8] = []

    /// - Parameters:
    ///   - user: the name; empty if the protocol transmits it separately.
    ///   - maximumRounds: the limit of hash iterations, which the server chooses and which block the loop.
    ///   - nonce: for tests. Default: 18 random bytes in Base64.
    package init(
        user: String, password: String, binding: Binding, maximumRounds: Int = 1_000_000, nonce: String? = nil
    ) {
        self.password = password
        self.maximumRounds = maximumRounds
        self.binding = binding
        self.nonce = nonce ?? Data(RandomBytes.make(18)).base64EncodedString()
        let name = user.replacingBytes("=", with: "=3D").replacingBytes(",", with: "=2C")
        firstBare = "n=\(name),r=\(self.nonce)"
    }

    /// The client's first message.
    package var first: String { binding.header + firstBare }

    /// The response to the server's challenge.
    /// - Throws: code 706 when the challenge is malformed or has too few iterations.
    package mutating func answer(_ challenge: String) throws(SkeinError) -> String {
        let fields = Self.fields(challenge)
        guard let serverNonce = fields["r"], serverNonce.hasBytePrefix(nonce), serverNonce.count > nonce.count,
            let salt = fields["s"].flatMap({ Data(base64Encoded: $0) }), !salt.isEmpty,
            let rounds = fields["i"].flatMap({ Int($0) })
        else { throw Self.malformed("the server's challenge is malformed") }
        // Fewer iterations would ease guessing; more would let the server block this side.
        guard (4096...maximumRounds).contains(rounds) else {
            throw Self.malformed(
                "the server asks for \(rounds) iterations; 4096 to \(maximumRounds) are accepted")
        }
        let final = "c=\(Data(binding.bytes).base64EncodedString()),r=\(serverNonce)"
        let message = Array("\(firstBare),\(challenge),\(final)".utf8)
        let salted = try Self.salted(password, Array(salt), rounds)
        let clientKey = Self.hmac(salted, Array("Client Key".utf8))
        let signature = Self.hmac(Array(Hash.hash(data: clientKey)), message)
        let proof = zip(clientKey, signature).map { $0 ^ $1 }
        serverSignature = Self.hmac(Self.hmac(salted, Array("Server Key".utf8)), message)
        return "\(final),p=\(Data(proof).base64EncodedString())"
    }

    /// Verifies the server's signature.
    /// - Throws: code 706 when it is wrong.
    package func verify(_ last: String) throws(SkeinError) {
        let fields = Self.fields(last)
        if let error = fields["e"] { throw Self.malformed("the server refused the proof: \(error)") }
        guard !serverSignature.isEmpty, let proof = fields["v"].flatMap({ Data(base64Encoded: $0) }),
            proof.count == serverSignature.count, zip(proof, serverSignature).reduce(0, { $0 | ($1.0 ^ $1.1) }) == 0
        else { throw Self.malformed("the server could not prove that it knows the password; it may be an impostor") }
    }

    private static func malformed(_ message: String) -> SkeinError {
        SkeinError(.unknownAuthentication, because: message)
    }

    private static func fields(_ text: String) -> [String: String] {
        var fields: [String: String] = [:]
        for part in text.splitBytes(separator: ",") where part.dropFirst().first == "=" {
            fields[String(part.prefix(1))] = String(part.dropFirst(2))
        }
        return fields
    }

    private static func hmac(_ key: [UInt8], _ message: [UInt8]) -> [UInt8] {
        Array(HMAC<Hash>.authenticationCode(for: message, using: SymmetricKey(data: key)))
    }

    private static func salted(_ password: String, _ salt: [UInt8], _ rounds: Int) throws(SkeinError) -> [UInt8] {
        do {
            let key = try KDF.Insecure.PBKDF2.deriveKey(
                from: Array(SASLprep.prepare(password).utf8), salt: salt,
                using: Hash.self == Insecure.SHA1.self ? .insecureSHA1 : .sha256,
                outputByteCount: Hash.Digest.byteCount, unsafeUncheckedRounds: rounds)
            return key.withUnsafeBytes { Array($0) }
        } catch {
            throw malformed("the password cannot be hashed: \(error)")
        }
    }
}

/// Prepares passwords for comparison (RFC 4013).
enum SASLprep {
    /// The text with spaces and characters in normal form; ASCII is unchanged. Prohibited characters are kept, as in
    /// PostgreSQL.
    static func prepare(_ text: String) -> String {
        if text.utf8.allSatisfy({ $0 < 0x80 }) { return text }
        var mapped = String.UnicodeScalarView()
        for scalar in text.unicodeScalars {
            switch scalar.value {
            case 0xAD, 0x34F, 0x1806, 0x180B...0x180D, 0x200B...0x200D, 0x2060, 0xFE00...0xFE0F, 0xFEFF: break
            default: mapped.append(scalar.properties.generalCategory == .spaceSeparator ? " " : scalar)
            }
        }
        return Compatibility.normalized(String(mapped))
    }
}

/// The channel binding of a TLS connection (RFC 5929, section 4): a hash of the server's certificate.
package enum ServerEndPoint {
    /// The hash by the certificate's signature algorithm; SHA-256 if that one is weaker.
    package static func binding(_ certificate: PeerCertificate) -> [UInt8] {
        let der = certificate.derBytes
        switch signatureHash(der) {
        case 384: return Array(SHA384.hash(data: der))
        case 512: return Array(SHA512.hash(data: der))
        default: return Array(SHA256.hash(data: der))
        }
    }

    /// The hash size of the signature algorithm: `SEQUENCE { tbsCertificate, SEQUENCE { OID … } … }`.
    private static func signatureHash(_ der: [UInt8]) -> Int {
        func content(at start: Int) -> Range<Int>? {
            guard start + 1 < der.count else { return nil }
            let first = Int(der[start + 1])
            guard first >= 0x80 else { return (start + 2)..<min(der.count, start + 2 + first) }
            let count = first & 0x7F
            guard count <= 4, start + 2 + count <= der.count else { return nil }
            let length = der[(start + 2)..<(start + 2 + count)].reduce(0) { $0 << 8 | Int($1) }
            return (start + 2 + count)..<min(der.count, start + 2 + count + length)
        }
        guard let whole = content(at: 0), let signed = content(at: whole.lowerBound),
            let algorithm = content(at: signed.upperBound), let name = content(at: algorithm.lowerBound)
        else { return 256 }
        switch Array(der[name]) {
        case [0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 0x01, 0x01, 0x0C], [0x2A, 0x86, 0x48, 0xCE, 0x3D, 0x04, 0x03, 0x03]:
            return 384
        case [0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 0x01, 0x01, 0x0D], [0x2A, 0x86, 0x48, 0xCE, 0x3D, 0x04, 0x03, 0x04]:
            return 512
        default: return 256
        }
    }
}
