// The account and the certificates on disk, readable by their owner only.

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
package struct CertificateFiles: Sendable {
    let folder: String

    /// - Throws: code 701 when the folder cannot be made.
    init(_ folder: String) throws(SkeinError) {
        self.folder = folder
        do {
            try FileManager.default.createDirectory(
                atPath: folder, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o700])
        } catch {
            throw SkeinError(
                .exception,
                because: "the folder \(folder.debugDescription) for certificates cannot be created: \(error)")
        }
        var state = stat()
        guard stat(folder, &state) == 0, state.st_mode & 0o022 == 0 else {
            throw SkeinError(
                .exception,
                because: "other users may write to the folder \(folder.debugDescription); run chmod 700 on it")
        }
    }

    /// The file of the certificate for names: the first name, without characters that are special in file names.
    func path(_ names: [String]) -> String {
        let name = (names.first ?? "certificate").replacingBytes("*", with: "_").replacingBytes("/", with: "_")
        return "\(folder)/\(name).pem"
    }

    /// Writes a file completely or not at all; only its owner can read it, from the first byte on.
    package static func write(_ text: String, to path: String) throws {
        func failure() -> SkeinError {
            SkeinError(
                .exception,
                because: "the file \(path.debugDescription) cannot be written (\(String(cString: strerror(errno))))")
        }
        let new = "\(path).\(UInt32.random(in: .min ... .max)).new"
        let file = open(new, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0o600)
        guard file >= 0 else { throw failure() }
        let bytes = Array(text.utf8)
        var written = 0
        while written < bytes.count {
            let count = bytes.withUnsafeBytes {
                writeBytes(file, $0.baseAddress?.advanced(by: written), bytes.count - written)
            }
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { break }
            written += count
        }
        let isWhole = written == bytes.count && fsync(file) == 0
        close(file)
        guard isWhole, rename(new, path) == 0 else {
            let problem = failure()
            unlink(new)
            throw problem
        }
    }

    func write(_ text: String, to path: String) throws { try Self.write(text, to: path) }

    // MARK: Account

    /// The account of an authority, or a new key.
    func account(_ directory: String) -> ACMEAccount {
        guard let json = document(directory), let key = Self.key(json["key"]) else {
            return ACMEAccount(key: P256.Signing.PrivateKey(), url: nil)
        }
        return ACMEAccount(key: key, url: json["url"]?.string)
    }

    /// The next key, if a key change did not complete.
    func nextKey(_ directory: String) -> P256.Signing.PrivateKey? { Self.key(document(directory)?["next"]) }

    private static func key(_ value: JSONValue?) -> P256.Signing.PrivateKey? {
        value?.string.flatMap { try? P256.Signing.PrivateKey(pemRepresentation: $0) }
    }

    private func document(_ directory: String) -> JSONValue? {
        FileManager.default.contents(atPath: accountPath(directory)).flatMap { try? JSONValue(json: $0) }
    }

    func keep(_ account: ACMEAccount, _ directory: String, next: P256.Signing.PrivateKey? = nil) throws {
        var document: JSONObject = [
            "directory": .string(directory), "url": account.url.map { .string($0) } ?? .null,
            "key": .string(account.key.pemRepresentation),
        ]
        if let next { document["next"] = .string(next.pemRepresentation) }
        try write(JSONValue.object(document).json, to: accountPath(directory))
    }

    /// One file for each authority.
    func accountPath(_ directory: String) -> String { "\(folder)/account-\(Self.mark(directory)).json" }

    private static func mark(_ directory: String) -> String {
        Hex.encode(SHA256.hash(data: Array(directory.utf8)).prefix(6))
    }

    // MARK: Certificates

    /// The facts about a certificate in a file.
    struct Life {
        let start: Double
        let end: Double
        let names: Set<String>
        let isSelfSigned: Bool
    }

    /// The life of the certificate in a file; nil if there is no readable certificate.
    func life(_ path: String) -> Life? {
        guard let bytes = FileManager.default.contents(atPath: path),
            let text = String(validating: bytes, as: UTF8.self),
            let certificate = try? PEMDocument.parseMultiple(pemString: text)
                .first(where: { $0.discriminator == "CERTIFICATE" })
                .map({ try Certificate(derEncoded: $0.derBytes) })
        else { return nil }
        return Life(
            start: certificate.notValidBefore.timeIntervalSince1970,
            end: certificate.notValidAfter.timeIntervalSince1970,
            names: Self.names(certificate), isSelfSigned: certificate.issuer == certificate.subject)
    }

    /// Writes a certificate, its key, and the authority that issued it.
    func keep(_ chain: String, _ key: P256.Signing.PrivateKey, _ path: String, _ directory: String) throws {
        try write(chain + key.pemRepresentation + "\n# \(Self.mark(directory))\n", to: path)
    }

    /// Whether a certificate was issued by an authority.
    func isOf(_ directory: String, _ path: String) -> Bool {
        FileManager.default.contents(atPath: path).flatMap { String(validating: $0, as: UTF8.self) }?
            .containsBytes("\n# \(Self.mark(directory))\n") ?? false
    }

    /// The certificates of a chain, if the first is for our key and names.
    static func checked(_ chain: String, _ key: P256.Signing.PrivateKey, _ names: [String]) throws -> String {
        func refuse(_ why: String) -> ACMEProblem {
            ACMEProblem(kind: "unusable", detail: "the issued certificate \(why)", retryAfter: nil)
        }
        let blocks = (try? PEMDocument.parseMultiple(pemString: chain)) ?? []
        guard !blocks.isEmpty, blocks.allSatisfy({ $0.discriminator == "CERTIFICATE" }),
            let leaf = try? Certificate(derEncoded: blocks[0].derBytes)
        else { throw refuse("cannot be read") }
        guard leaf.publicKey == Certificate.PrivateKey(key).publicKey else { throw refuse("is for another key") }
        let own = Self.names(leaf)
        guard names.allSatisfy(own.contains) else { throw refuse("does not contain all names") }
        return blocks.map { $0.pemString + "\n" }.joined()
    }

    private static func names(_ certificate: Certificate) -> Set<String> {
        let names = (try? certificate.extensions.subjectAlternativeNames)?.compactMap { name in
            if case .dnsName(let text) = name { text.lowercased() } else { nil }
        }
        return Set(names ?? [])
    }
}

/// Self-signed certificates, for names of this machine or until the first certificate is issued.
public enum SelfSignedCertificate {
    /// Makes one.
    /// - Parameters:
    ///   - names: host names and addresses.
    ///   - days: how long it is valid.
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
        // A certificate that begins now is not yet valid for peers whose clocks are behind.
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

/// write(2), for a type that has a method with this name.
private func writeBytes(_ file: CInt, _ bytes: UnsafeRawPointer?, _ count: Int) -> Int { write(file, bytes, count) }
