// Ranges of IP addresses, for trusted proxies and for hosts reached without a proxy.

import SkeinCore

/// Addresses with a common prefix: `10.0.0.0/8`, `2001:db8::/32`, or one address.
public struct AddressRange: Sendable, Hashable, ExpressibleByStringLiteral, CustomStringConvertible {
    private let bytes: [UInt8]
    private let bits: Int

    static let loopback: AddressRange = "127.0.0.0/8"

    /// Parses a range (RFC 4632, section 3.1); nil for other text.
    public init?(_ text: String) {
        let parts = text.splitBytes(separator: "/", omittingEmptySubsequences: false)
        guard let bytes = IPAddress.bytes(String(parts[0])), parts.count <= 2 else { return nil }
        let bits = parts.count == 2 ? Int(parts[1]) : bytes.count * 8
        guard let bits, (0...bytes.count * 8).contains(bits) else { return nil }
        self.bytes = bytes
        self.bits = bits
    }

    /// A range literal.
    public init(stringLiteral value: String) {
        // An invalid range contains no address, instead of all.
        self = AddressRange(value) ?? AddressRange(bytes: [], bits: 0)
    }

    private init(bytes: [UInt8], bits: Int) {
        self.bytes = bytes
        self.bits = bits
    }

    /// Whether an address is in the range. An IPv4 address may be written as an IPv6 one, `::ffff:10.0.0.1`.
    public func contains(_ address: String) -> Bool {
        guard var other = IPAddress.bytes(address) else { return false }
        if other.count == 16, bytes.count == 4,
            other.prefix(12).elementsEqual([UInt8](repeating: 0, count: 10) + [255, 255])
        {
            other.removeFirst(12)
        }
        guard other.count == bytes.count, !bytes.isEmpty else { return false }
        for bit in 0..<bits where (bytes[bit / 8] ^ other[bit / 8]) & (0x80 >> UInt8(bit % 8)) != 0 { return false }
        return true
    }

    /// The range as text: `10.0.0.0/8`.
    public var description: String { "\(IPAddress.text(bytes) ?? "no address")/\(bits)" }
}
