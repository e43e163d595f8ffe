// DKIM signatures (RFC 6376; Ed25519: RFC 8463).

import Crypto
import SkeinCore
import _CryptoExtras

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// A DKIM key of a domain. The public key is published at `SELECTOR._domainkey.DOMAIN`; ``record`` is its text.
public struct DKIMKey: Sendable {
    private enum Key: Sendable {
        case rsa(_RSA.Signing.PrivateKey)
        case ed25519(Curve25519.Signing.PrivateKey)
    }

    /// The signing domain.
    public let domain: String
    /// The selector of the key.
    public let selector: String
    private let key: Key

    /// - Parameters:
    ///   - domain: the signing domain: messages from it and its subdomains are signed.
    ///   - selector: the selector of the key.
    ///   - pem: the private key in PEM form: RSA with at least 1024 bits, or Ed25519 (PKCS #8).
    /// - Throws: code 701 for an invalid key, or names that are invalid in the DNS.
    public init(domain: String, selector: String, pem: String) throws(SkeinError) {
        let name = MailAddress("a@\(domain)")
        let label = MailAddress("a@\(selector).example")
        guard name.problem == nil, label.problem == nil else {
            throw SkeinError(
                .exception, because: "\(domain.debugDescription) or \(selector.debugDescription) is not a DNS name")
        }
        self.domain = name.domain
        self.selector = String(label.domain.droppingBytes(last: 8))
        if let rsa = try? _RSA.Signing.PrivateKey(unsafePEMRepresentation: pem), rsa.keySizeInBits >= 1024 {
            key = .rsa(rsa)
        } else if let seed = Self.seed(pem), let ed25519 = try? Curve25519.Signing.PrivateKey(rawRepresentation: seed) {
            key = .ed25519(ed25519)
        } else {
            throw SkeinError(
                .exception,
                because: "the key of \(domain) is not an RSA (1024 bits or more) or Ed25519 private key in PEM")
        }
    }

    /// - Parameter file: a file with the private key in PEM form.
    public init(domain: String, selector: String, file: String) throws(SkeinError) {
        let bytes = try MailFile(reading: file).read(upTo: 64 << 10) ?? []
        try self.init(domain: domain, selector: selector, pem: String(decoding: bytes, as: UTF8.self))
    }

    /// The text for `SELECTOR._domainkey.DOMAIN` in the DNS.
    public var record: String {
        switch key {
        case .rsa(let key): "v=DKIM1; k=rsa; p=\(key.publicKey.derRepresentation.base64EncodedString())"
        case .ed25519(let key): "v=DKIM1; k=ed25519; p=\(key.publicKey.rawRepresentation.base64EncodedString())"
        }
    }

    /// The seed in a key of PKCS #8 (RFC 8410, section 7).
    private static func seed(_ pem: String) -> Data? {
        let body = pem.lines().filter { !$0.hasBytePrefix("-----") }.joined()
        let prefix: [UInt8] = [
            0x30, 0x2E, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2B, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20,
        ]
        guard let der = Data(base64Encoded: body), der.count == 48, der.starts(with: prefix) else { return nil }
        return der.suffix(32)
    }

    /// Whether messages from a domain are signed with it.
    package func signs(for other: String) -> Bool { other.equalsBytes(domain) || other.hasByteSuffix(".\(domain)") }

    // MARK: Signing

    /// Signed fields, each once more than it occurs, so that none can be added.
    private static let signed = [
        "from", "sender", "reply-to", "to", "cc", "subject", "date", "message-id", "in-reply-to", "references",
        "mime-version", "content-type", "content-transfer-encoding", "list-unsubscribe", "list-unsubscribe-post",
    ]
    private static let oversigned: Set<String> = ["from", "subject", "to", "cc", "date", "reply-to", "content-type"]

    /// The DKIM-Signature field.
    /// - Parameters:
    ///   - header: the header as it is sent.
    ///   - bodyHash: the hash of the body in its relaxed form.
    ///   - now: seconds since 1970.
    /// - Throws: code 701 when the key cannot sign.
    func signature(header: [UInt8], bodyHash: [UInt8], now: Int) throws(SkeinError) -> String {
        let fields = RelaxedHeader.fields(header)
        var names: [String] = []
        var input: [UInt8] = []
        for name in Self.signed {
            // From the bottom up (RFC 6376, section 5.4.2).
            for field in fields.reversed() where field.name.equalsIgnoringCase(name) {
                names.append(name)
                input += RelaxedHeader.field(name: field.name, value: field.value) + [Bytes.cr, Bytes.lf]
            }
            if Self.oversigned.contains(name) { names.append(name) }
        }
        let algorithm = if case .rsa = key { "rsa-sha256" } else { "ed25519-sha256" }
        var line = "v=1; a=\(algorithm); c=relaxed/relaxed; d=\(domain); s=\(selector);\r\n t=\(now); h="
        var column = 4 + "\(now)".utf8.count + 3
        for (index, name) in names.enumerated() {
            let text = name + (index + 1 < names.count ? ":" : "")
            if column + text.utf8.count > 74 {
                line += "\r\n  "
                column = 2
            }
            line += text
            column += text.utf8.count
        }
        line += ";\r\n bh=\(Data(bodyHash).base64EncodedString());\r\n b="
        input += RelaxedHeader.field(name: "DKIM-Signature", value: line)
        let signature = try sign(input)
        var folded = ""
        for (index, byte) in signature.utf8.enumerated() {
            if index > 0, index % 70 == 0 { folded += "\r\n  " }
            folded.unicodeScalars.append(Unicode.Scalar(byte))
        }
        return "DKIM-Signature: \(line)\(folded)\r\n"
    }

    private func sign(_ input: [UInt8]) throws(SkeinError) -> String {
        do {
            let digest = SHA256.hash(data: input)
            switch key {
            case .rsa(let key):
                return try key.signature(for: digest, padding: .insecurePKCS1v1_5).rawRepresentation
                    .base64EncodedString()
            case .ed25519(let key): return try key.signature(for: Data(digest)).base64EncodedString()
            }
        } catch {
            throw SkeinError(.exception, because: "the key of \(domain) cannot sign: \(error)", cause: error)
        }
    }
}
