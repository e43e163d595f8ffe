// Checks whether a certificate matches the requested server (RFC 9525). NIOSSL compares address names with the address
// of the socket, which with a proxy is the proxy's, and which does not verify a host name; so the check is made here.

import NIOSSL
import SkeinCore

/// The names of a certificate that a client compares.
package struct ServerIdentity {
    /// An entry of the subject's alternative names (RFC 5280, section 4.2.1.6).
    package enum Name: Equatable {
        case dns([UInt8])
        case address([UInt8])
    }

    private let names: [Name]

    package init(_ names: [Name]) { self.names = names }

    package init(_ certificate: NIOSSLCertificate) {
        self.init(
            certificate._subjectAlternativeNames().compactMap { name in
                switch name.nameType {
                case .dnsName: .dns(Array(name.contents))
                case .ipAddress: .address(Array(name.contents))
                default: nil
                }
            })
    }

    /// Whether the certificate matches a host.
    ///
    /// An address is compared with iPAddress entries only, a name with dNSName entries only. The common name does not count.
    /// - Parameter host: a name in its ASCII form, or the text of an address.
    package func isFor(_ host: String) -> Bool {
        if let address = IPAddress.bytes(host) { return names.contains(.address(address)) }
        let labels = Self.labels(Array(host.utf8))
        guard let labels else { return false }
        return names.contains { name in
            guard case .dns(let bytes) = name, let pattern = Self.labels(bytes) else { return false }
            return Self.matches(pattern, labels)
        }
    }

    /// The labels in lower case, without the root; nil for an invalid name.
    private static func labels(_ name: [UInt8]) -> [[UInt8]]? {
        let name = name.last == UInt8(ascii: ".") ? name.dropLast() : name[...]
        let labels = name.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false)
        guard labels.allSatisfy({ !$0.isEmpty && $0.allSatisfy { (0x21...0x7E).contains($0) } }) else { return nil }
        return labels.map { $0.map { (0x41...0x5A).contains($0) ? $0 | 0x20 : $0 } }
    }

    /// A wildcard matches exactly the left-most label (RFC 9525, section 6.3), above a domain of two labels.
    private static func matches(_ pattern: [[UInt8]], _ host: [[UInt8]]) -> Bool {
        guard pattern.first == [UInt8(ascii: "*")] else { return pattern == host }
        return pattern.count >= 3 && pattern.dropFirst() == host.dropFirst()
            && !pattern.dropFirst().contains { $0.contains(UInt8(ascii: "*")) }
    }
}
