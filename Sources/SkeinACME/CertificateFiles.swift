// The account and the certificates on disk, for their owner alone.

import Crypto
import SkeinCore
import SkeinHTTP
import SkeinTransport
import SwiftASN1
import X509

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// A folder with an account and certificates.
struct CertificateFiles: Sendable {
    let folder: String

    /// - Throws: code 701 when the folder cannot be made.
    init(_ folder: String) throws(SkeinError) {
        self.folder = folder
        do {
            try FileManager.default.createDirectory(
                atPath: folder, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o700])
        } catch {
            throw SkeinError(
                .exception, because: "the folder \(folder.debugDescription) for certificates cannot be made: \(error)")
        }
    }

    /// The file of the certificate for names: the first name, without what is special in file names.
    func path(_ names: [String]) -> String {
        let name = (names.first ?? "certificate").replacingBytes("*", with: "_").replacingBytes("/", with: "_")
        return "\(folder)/\(name).pem"
    }

    /// Writes a file as a whole, or not at all, for its owner alone.
    func write(_ text: String, to path: String) throws {
        let new = "\(path).new"
        try? FileManager.default.removeItem(atPath: new)
        guard
            FileManager.default.createFile(
                atPath: new, contents: Data(text.utf8), attributes: [.posixPermissions: 0o600])
        else { throw SkeinError(.exception, because: "the file \(new.debugDescription) cannot be written") }
        guard rename(new, path) == 0 else {
            throw SkeinError(.exception, because: "the file \(path.debugDescription) cannot be replaced")
        }
    }

    // MARK: Account

    /// The account of an authority, or a new key.
    func account(_ directory: String) -> ACMEAccount {
        if let bytes = FileManager.default.contents(atPath: accountPath), let json = try? JSONValue(json: bytes),
            json["directory"]?.string.map({ $0.equalsBytes(directory) }) == true,
            let key = json["key"]?.string.flatMap({ try? P256.Signing.PrivateKey(pemRepresentation: $0) })
        {
            return ACMEAccount(key: key, url: json["url"]?.string)
        }
        return ACMEAccount(key: P256.Signing.PrivateKey(), url: nil)
    }

    func keep(_ account: ACMEAccount, _ directory: String) throws {
        let document: JSONValue = .object([
            "directory": .string(directory), "url": account.url.map { .string($0) } ?? .null,
            "key": .string(account.key.pemRepresentation),
        ])
        try write(document.json, to: accountPath)
    }

    private var accountPath: String { "\(folder)/account.json" }

    // MARK: Certificates

    /// What is known of a certificate in a file.
    struct Life {
        let start: Double
        let end: Double
        let names: Set<String>
        let isSelfSigned: Bool
    }

    /// The life of the certificate in a file; nil when there is none that can be read.
    func life(_ path: String) -> Life? {
        guard let bytes = FileManager.default.contents(atPath: path),
            let text = String(validating: bytes, as: UTF8.self),
            let certificate = try? PEMDocument.parseMultiple(pemString: text)
                .first(where: { $0.discriminator == "CERTIFICATE" })
                .map({ try Certificate(derEncoded: $0.derBytes) })
        else { return nil }
        let names = (try? certificate.extensions.subjectAlternativeNames)?.compactMap { name in
            if case .dnsName(let text) = name { text.lowercased() } else { nil }
        }
        return Life(
            start: certificate.notValidBefore.timeIntervalSince1970,
            end: certificate.notValidAfter.timeIntervalSince1970,
            names: Set(names ?? []), isSelfSigned: certificate.issuer == certificate.subject)
    }

    /// Writes a certificate and its key.
    func keep(_ chain: String, _ key: P256.Signing.PrivateKey, _ path: String) throws {
        try write(chain + (chain.hasByteSuffix("\n") ? "" : "\n") + key.pemRepresentation + "\n", to: path)
    }
}

/// Certificates that their own key has signed, for names of this machine and until another one comes.
public enum SelfSignedCertificate {
    /// Makes one.
    /// - Parameters:
    ///   - names: host names and addresses.
    ///   - days: its life.
    /// - Returns: the certificate and its key in PEM.
    public static func make(names: [String], days: Int = 30) throws -> (certificate: String, key: String) {
        try make(names: names, days: days, more: [])
    }

    /// The certificate of a tls-alpn-01 challenge (RFC 8737, section 3).
    static func make(challenge name: String, proof: [UInt8]) throws -> (certificate: String, key: String) {
        // id-pe-acmeIdentifier: the hash as an octet string.
        let identifier = Certificate.Extension(
            oid: [1, 3, 6, 1, 5, 5, 7, 1, 31], critical: true, value: [4, UInt8(proof.count)] + proof[...])
        return try make(names: [name], days: 7, more: [identifier])
    }

    private static func make(names: [String], days: Int, more: [Certificate.Extension]) throws -> (
        certificate: String, key: String
    ) {
        let key = P256.Signing.PrivateKey()
        let subject = try DistinguishedName { CommonName(names.first ?? "localhost") }
        let alternatives = names.map { name -> GeneralName in
            if let bytes = IPAddress.bytes(name) { return .ipAddress(ASN1OctetString(contentBytes: bytes[...])) }
            return .dnsName(name)
        }
        // A certificate that begins now is not valid yet where clocks are late.
        let start = Date().addingTimeInterval(-3600)
        let certificate = try Certificate(
            version: .v3, serialNumber: Certificate.SerialNumber(), publicKey: Certificate.PrivateKey(key).publicKey,
            notValidBefore: start, notValidAfter: start.addingTimeInterval(Double(days) * 86_400 + 3600),
            issuer: subject, subject: subject, signatureAlgorithm: .ecdsaWithSHA256,
            extensions: Certificate.Extensions {
                Critical(BasicConstraints.notCertificateAuthority)
                Critical(KeyUsage(digitalSignature: true))
                try ExtendedKeyUsage([.serverAuth])
                SubjectAlternativeNames(alternatives)
                for one in more { one }
            }, issuerPrivateKey: Certificate.PrivateKey(key))
        return (try certificate.serializeAsPEM().pemString + "\n", key.pemRepresentation + "\n")
    }
}
