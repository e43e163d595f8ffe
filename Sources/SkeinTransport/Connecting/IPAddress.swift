// Addresses of the internet between text and bytes.

import NIOCore

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// Addresses between text and bytes.
package enum IPAddress {
    /// The four or sixteen bytes of an address; nil for what is none.
    package static func bytes(_ text: String) -> [UInt8]? {
        var four = in_addr()
        if inet_pton(AF_INET, text, &four) == 1 { return withUnsafeBytes(of: &four) { Array($0) } }
        var sixteen = in6_addr()
        // A zone names a local interface, which an address in a message does not have.
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

    /// A server written as `ADDRESS`, `ADDRESS:PORT` or `[ADDRESS]:PORT`.
    static func server(_ text: String, port: Int) -> SocketAddress? {
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
