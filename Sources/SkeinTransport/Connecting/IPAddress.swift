// Converts IP addresses between text and bytes.

import NIOCore
import SkeinCore

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// Addresses between text and bytes.
package enum IPAddress {
    /// The four or sixteen bytes of an address; nil for other text.
    package static func bytes(_ text: String) -> [UInt8]? {
        var four = in_addr()
        if inet_pton(AF_INET, text, &four) == 1 { return withUnsafeBytes(of: &four) { Array($0) } }
        var sixteen = in6_addr()
        // A zone names a local interface, and is not part of an address in a message.
        if inet_pton(AF_INET6, text, &sixteen) == 1 { return withUnsafeBytes(of: &sixteen) { Array($0) } }
        return nil
    }

    /// The text of four or sixteen bytes.
    package static func text(_ bytes: [UInt8]) -> String? {
        guard bytes.count == 4 || bytes.count == 16 else { return nil }
        var text = [CChar](repeating: 0, count: Int(INET6_ADDRSTRLEN))
        guard inet_ntop(bytes.count == 4 ? AF_INET : AF_INET6, bytes, &text, socklen_t(text.count)) != nil else {
            return nil
        }
        return String(decoding: text.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    /// The socket address of four or sixteen bytes.
    package static func socketAddress(_ bytes: [UInt8], port: Int) -> SocketAddress? {
        try? SocketAddress(packedIPAddress: ByteBuffer(bytes: bytes), port: port)
    }

    /// The socket address of a textual address; a link-local one may name its interface, `fe80::1%eth0` (RFC 4007,
    /// section 11).
    /// - Returns: nil for other text.
    /// - Throws: code 714 when there is no such interface.
    static func socketAddress(_ text: String, port: Int) throws(SkeinError) -> SocketAddress? {
        if let bytes = bytes(text) { return socketAddress(bytes, port: port) }
        guard let percent = text.firstByte("%"), let bytes = bytes(String(text[..<percent])), bytes.count == 16 else {
            return nil
        }
        let zone = String(text.text(after: percent))
        let index = UInt32(zone) ?? if_nametoindex(zone)
        guard index > 0, case .v6(let storage)? = socketAddress(bytes, port: port) else {
            throw SkeinError(
                .connectionFailed, peer: text, because: "this machine has no network interface \(zone.debugDescription)"
            )
        }
        var address = storage.address
        address.sin6_scope_id = index
        return SocketAddress(address)
    }

    /// The canonical form of an IPv4 address in a legacy notation: `127.1`, `2130706433`, `0x7f.1`, also with a
    /// trailing dot.
    package static func anyNotation(_ host: String) -> String? {
        var four = in_addr()
        guard inet_aton(host.hasByteSuffix(".") ? String(host.droppingBytes(last: 1)) : host, &four) != 0 else {
            return nil
        }
        return text(withUnsafeBytes(of: &four) { Array($0) })
    }

    /// An address without its zone.
    package static func withoutZone(_ host: String) -> String {
        guard let percent = host.firstByte("%"), bytes(String(host[..<percent])) != nil else { return host }
        return String(host[..<percent])
    }

    /// A server written as `ADDRESS`, `ADDRESS:PORT` or `[ADDRESS]:PORT`.
    package static func server(_ text: String, port: Int) -> SocketAddress? {
        if let bytes = bytes(text) { return socketAddress(bytes, port: port) }
        guard let colon = text.lastByte(":") else { return nil }
        var host = text[..<colon]
        if host.first == "[", host.last == "]" { host = host.dropFirst().dropLast() }
        guard let number = Int(text[text.index(after: colon)...]), (1...65535).contains(number),
            let bytes = bytes(String(host))
        else { return nil }
        return socketAddress(bytes, port: number)
    }
}
