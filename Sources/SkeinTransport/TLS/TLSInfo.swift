// The parameters of a TLS connection.

import NIOSSL

/// The negotiated parameters of a TLS connection.
public struct TLSInfo: Sendable {
    /// The version.
    public let version: ClientTLSConfiguration.Version
    /// The application protocol, by ALPN (RFC 7301): `h2` or `http/1.1`; nil when none was negotiated.
    public let applicationProtocol: String?
    /// The peer's certificate; nil when it has sent none.
    public let peerCertificate: PeerCertificate?

    package init(
        version: ClientTLSConfiguration.Version, applicationProtocol: String?, peerCertificate: PeerCertificate?
    ) {
        self.version = version
        self.applicationProtocol = applicationProtocol
        self.peerCertificate = peerCertificate
    }

    package init(_ version: TLSVersion?, _ applicationProtocol: String?, _ certificate: NIOSSLCertificate?) {
        self.init(
            version: version == .tlsv13 ? .tls13 : version == .tlsv12 ? .tls12 : .old,
            applicationProtocol: applicationProtocol, peerCertificate: certificate.map(PeerCertificate.init))
    }
}

/// The certificate of a peer.
public struct PeerCertificate: Sendable, CustomStringConvertible {
    private let certificate: NIOSSLCertificate

    package init(_ certificate: NIOSSLCertificate) { self.certificate = certificate }

    /// The certificate in DER form.
    public var derBytes: [UInt8] { (try? certificate.toDERBytes()) ?? [] }

    /// The host names and addresses it is for (the subject's alternative names, RFC 5280, section 4.2.1.6).
    public var names: [String] {
        certificate._subjectAlternativeNames().compactMap { name in
            switch name.nameType {
            case .dnsName: String(decoding: name.contents, as: UTF8.self)
            case .ipAddress: IPAddress.text(Array(name.contents))
            default: nil
            }
        }
    }

    /// The start of its validity, in seconds since 1970.
    public var notBefore: Int { Int(certificate.notValidBefore) }
    /// The end of its validity, in seconds since 1970.
    public var notAfter: Int { Int(certificate.notValidAfter) }
    /// The common name of its subject, if it has one.
    public var subject: String? { CertificateNames(derBytes)?.subject }
    /// The common name of its issuer, if it has one.
    public var issuer: String? { CertificateNames(derBytes)?.issuer }
    /// Whether subject and issuer are equal.
    package var isSelfIssued: Bool { CertificateNames(derBytes)?.isSelfIssued ?? false }

    /// Its subject, its names and its issuer.
    public var description: String {
        "\(subject ?? "an unnamed subject"), for \(names.joined(separator: ", ")), issued by \(issuer ?? "an unnamed issuer")"
    }
}

/// Subject and issuer of a certificate, parsed from its DER form (RFC 5280, section 4.1), for messages only: BoringSSL
/// decides about trust.
private struct CertificateNames {
    let subject: String?
    let issuer: String?
    let isSelfIssued: Bool

    init?(_ bytes: [UInt8]) {
        var certificate = DER(bytes[...])
        guard var body = certificate.next(0x30).map({ DER($0) }), var fields = body.next(0x30).map({ DER($0) }) else {
            return nil
        }
        _ = fields.next(0xA0)  // the version, unless it is v1
        guard fields.next(0x02) != nil, fields.next(0x30) != nil, let issuer = fields.next(0x30),
            fields.next(0x30) != nil, let subject = fields.next(0x30)
        else { return nil }
        self.issuer = Self.commonName(issuer)
        self.subject = Self.commonName(subject)
        isSelfIssued = issuer.elementsEqual(subject)
    }

    private static func commonName(_ name: ArraySlice<UInt8>) -> String? {
        var sets = DER(name)
        var found: String?
        while var set = sets.next(0x31).map({ DER($0) }) {
            while var pair = set.next(0x30).map({ DER($0) }) {
                guard let identifier = pair.next(0x06), identifier.elementsEqual([0x55, 0x04, 0x03]) else { continue }
                if let value = pair.next(nil) { found = String(decoding: value, as: UTF8.self) }
            }
        }
        return found
    }

    /// Iterates over the elements of a DER encoding.
    private struct DER {
        private var rest: ArraySlice<UInt8>

        init(_ bytes: ArraySlice<UInt8>) { rest = bytes }

        /// The content of the next element, if it has the tag.
        mutating func next(_ tag: UInt8?) -> ArraySlice<UInt8>? {
            guard let first = rest.first, tag == nil || first == tag, var length = rest.dropFirst().first.map(Int.init)
            else { return nil }
            var start = rest.startIndex + 2
            if length >= 0x80 {
                let count = length & 0x7F
                guard count <= 4, rest.count >= 2 + count else { return nil }
                length = rest[start..<(start + count)].reduce(0) { $0 << 8 | Int($1) }
                start += count
            }
            guard rest.endIndex - start >= length else { return nil }
            defer { rest = rest[(start + length)...] }
            return rest[start..<(start + length)]
        }
    }
}
