// What a TLS connection turned out to be.

import NIOSSL

/// What was agreed while a TLS connection was made.
public struct TLSInfo: Sendable {
    /// The version.
    public let version: ClientTLSConfiguration.Version
    /// The protocol inside, by ALPN (RFC 7301): `h2` or `http/1.1`; nil when nothing was agreed.
    public let applicationProtocol: String?
    /// The certificate that the peer has shown; nil when it has shown none.
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

/// A certificate as its bearer has shown it.
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

    /// The moment from which it is valid, in seconds since 1970.
    public var notBefore: Int { Int(certificate.notValidBefore) }
    /// The moment until which it is valid, in seconds since 1970.
    public var notAfter: Int { Int(certificate.notValidAfter) }
    /// The common name of its bearer, if it has one.
    public var subject: String? { CertificateNames(derBytes)?.subject }
    /// The common name of its issuer, if it has one.
    public var issuer: String? { CertificateNames(derBytes)?.issuer }
    /// Whether it is its own issuer.
    package var isSelfIssued: Bool { CertificateNames(derBytes)?.isSelfIssued ?? false }

    /// Its bearer, its names and its issuer.
    public var description: String {
        "\(subject ?? "an unnamed subject"), for \(names.joined(separator: ", ")), issued by \(issuer ?? "an unnamed issuer")"
    }
}

/// The two names in a certificate, read from its DER form (RFC 5280, section 4.1), for messages only: what is trusted is
/// decided by BoringSSL.
private struct CertificateNames {
    let subject: String?
    let issuer: String?
    let isSelfIssued: Bool

    init?(_ bytes: [UInt8]) {
        var certificate = DER(bytes[...])
        guard var body = certificate.next(0x30).map({ DER($0) }), var fields = body.next(0x30).map({ DER($0) }) else {
            return nil
        }
        _ = fields.next(0xA0)  // the version, unless it is the first
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

    /// Walks over the elements of a DER encoding.
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
