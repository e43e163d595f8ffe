// Signed and encrypted values, which clients store but cannot change.

import SkeinCore
import Crypto
import SkeinHTTP

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// A secret that signs or encrypts values which a client stores.
public struct SigningKey: Sendable {
    /// The newest first: it signs, and all of them verify.
    private let secrets: [SymmetricKey]

    /// A key.
    /// - Parameters:
    ///   - secret: at least 32 bytes from a random number generator, the same in all processes of a service.
    ///   - older: earlier secrets, whose values are still accepted.
    /// - Throws: code 701 for a secret that is too short.
    public init(_ secret: some Collection<UInt8>, older: [[UInt8]] = []) throws(SkeinError) {
        let all = [Array(secret)] + older
        guard all.allSatisfy({ $0.count >= 32 }) else {
            throw SkeinError(
                .exception,
                because: "a secret for signatures needs at least 32 bytes; create one with openssl rand -hex 32")
        }
        secrets = all.map { SymmetricKey(data: SHA256.hash(data: $0)) }
    }

    /// A random key, for this process only.
    public static func random() -> SigningKey { SigningKey(secrets: [SymmetricKey(size: .bits256)]) }

    private init(secrets: [SymmetricKey]) { self.secrets = secrets }

    /// A value with its signature, for the given purpose only.
    package func sign(_ value: String, for purpose: String) -> String {
        let text = Base64URL.encode(value.utf8)
        return
            "\(text).\(Base64URL.encode(HMAC<SHA256>.authenticationCode(for: Self.bytes(text, purpose), using: secrets[0])))"
    }

    /// The value of a signed text; nil when it was not signed here for this purpose.
    package func open(_ signed: String, for purpose: String) -> String? {
        let parts = signed.splitBytes(separator: ".", maxSplits: 1).map(String.init)
        guard parts.count == 2, let code = Base64URL.decode(parts[1]), let value = Base64URL.decode(parts[0]),
            secrets.contains(where: {
                HMAC<SHA256>.isValidAuthenticationCode(code, authenticating: Self.bytes(parts[0], purpose), using: $0)
            })
        else { return nil }
        return String(validating: value, as: UTF8.self)
    }

    /// A value that only this service can read.
    package func seal(_ value: some DataProtocol, for purpose: String) throws -> String {
        let box = try AES.GCM.seal(value, using: secrets[0], authenticating: Array(purpose.utf8))
        return Base64URL.encode(box.combined ?? Data())
    }

    /// The value of an encrypted text; nil when it was not encrypted here for this purpose.
    package func unseal(_ sealed: String, for purpose: String) -> Data? {
        guard let bytes = Base64URL.decode(sealed), let box = try? AES.GCM.SealedBox(combined: bytes) else {
            return nil
        }
        for secret in secrets {
            if let value = try? AES.GCM.open(box, using: secret, authenticating: Array(purpose.utf8)) { return value }
        }
        return nil
    }

    private static func bytes(_ text: String, _ purpose: String) -> [UInt8] {
        Array(purpose.utf8) + [0] + Array(text.utf8)
    }
}

extension ServerResponse {
    /// Sets a cookie that the client can read, but not change.
    public mutating func setSignedCookie(
        _ name: String, _ value: String, _ key: SigningKey, _ options: CookieOptions = CookieOptions(),
        for request: ServerRequest
    ) {
        setCookie(name, key.sign(value, for: "cookie \(name)"), options, for: request)
    }
}

extension ServerRequest {
    /// The value of a signed cookie; nil without one, and for a modified one.
    public func signedCookie(_ name: String, _ key: SigningKey) -> String? {
        cookies[name].flatMap { key.open($0, for: "cookie \(name)") }
    }
}
