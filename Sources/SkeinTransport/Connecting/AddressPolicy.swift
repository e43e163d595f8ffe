// The addresses that connections may be made to, for programs that handle untrusted URLs.

import NIOCore
import SkeinCore

/// The addresses that a client connects to.
public enum AddressPolicy: Hashable, Sendable {
    /// All addresses.
    case all
    /// Public addresses: none that are private, loopback, link-local, multicast, or reserved (RFC 6890), and no unix
    /// sockets. Each address is checked before the connect, after name resolution. With a proxy, which resolves names
    /// itself, only URLs are checked: addresses in any notation, and `localhost`.
    case publicOnly
    /// Public addresses and the allowed ones, except the denied ones; checked as for ``publicOnly``.
    case listed(allowed: [AddressRange], denied: [AddressRange])

    /// The reason why connecting to an address is forbidden; nil if it is allowed.
    func problem(_ address: [UInt8]) -> SkeinError? {
        let text = IPAddress.text(address) ?? ""
        var isDenied = false
        if case .listed(let allowed, let denied) = self {
            isDenied = denied.contains { $0.contains(text) }
            if !isDenied, allowed.contains(where: { $0.contains(text) }) { return nil }
        }
        guard self != .all, isDenied || !IPAddress.isPublic(address) else { return nil }
        return SkeinError(
            .connectionFailed, peer: text,
            because: isDenied
                ? "the address policy denies this address (addresses: .listed)"
                : "the address policy allows public internet addresses only (addresses: \(self == .publicOnly ? ".publicOnly" : ".listed"))",
            cause: AddressRefusal())
    }
}

/// The cause of a refusal by the address policy.
package struct AddressRefusal: Error {}

extension AddressPolicy {
    /// The reason why a host must not be requested from a proxy, which resolves it; nil if it is allowed.
    func problem(host: String) -> SkeinError? {
        let name = IPAddress.withoutZone(host.hasByteSuffix(".") ? String(host.droppingBytes(last: 1)) : host)
        if let bytes = IPAddress.bytes(IPAddress.anyNotation(name) ?? name) { return problem(bytes) }
        let small = name.asciiLowercased
        return small.equalsBytes("localhost") || small.hasByteSuffix(".localhost") ? problem([127, 0, 0, 1]) : nil
    }
}

extension IPAddress {
    /// Whether an address of four or sixteen bytes is public.
    package static func isPublic(_ bytes: [UInt8]) -> Bool {
        guard bytes.count == 16 else { return bytes.count == 4 && isPublicIPv4(bytes) }
        // IPv4 addresses embedded in IPv6 ones (RFC 4291, 6052, 3056).
        if bytes[0..<10].allSatisfy({ $0 == 0 }), bytes[10] == 0xFF, bytes[11] == 0xFF {
            return isPublic(Array(bytes[12...]))
        }
        if bytes.starts(with: [0, 0x64, 0xFF, 0x9B]) {
            return bytes[4..<12].allSatisfy { $0 == 0 } && isPublic(Array(bytes[12...]))
        }
        if bytes.starts(with: [0x20, 0x02]) { return isPublic(Array(bytes[2..<6])) }
        // The assigned public addresses are 2000::/3, except 2001::/23 and 2001:db8::/32.
        guard bytes[0] & 0xE0 == 0x20 else { return false }
        return !(bytes[0] == 0x20 && bytes[1] == 0x01 && (bytes[2] < 0x02 || bytes[2] == 0x0D && bytes[3] == 0xB8))
    }

    private static func isPublicIPv4(_ bytes: [UInt8]) -> Bool {
        switch (bytes[0], bytes[1]) {
        case (0, _), (10, _), (127, _), (169, 254), (172, 16...31), (192, 168), (198, 18...19), (224..., _): false
        case (100, 64...127): false
        case (192, 0): bytes[2] != 0 && bytes[2] != 2
        case (198, 51): bytes[2] != 100
        case (203, 0): bytes[2] != 113
        default: true
        }
    }

    /// Whether an address is a loopback address.
    package static func isLoopback(_ bytes: [UInt8]) -> Bool {
        if bytes.count == 4 { return bytes[0] == 127 }
        return bytes == [UInt8](repeating: 0, count: 15) + [1]
            || bytes.count == 16 && bytes[0..<10].allSatisfy { $0 == 0 } && bytes[10] == 0xFF && bytes[11] == 0xFF
                && bytes[12] == 127
    }
}

/// Refuses forbidden addresses before the connect, independent of the resolver.
final class AddressFilter: ChannelOutboundHandler, Sendable {
    typealias OutboundIn = ByteBuffer

    private let policy: AddressPolicy

    init(_ policy: AddressPolicy) { self.policy = policy }

    func connect(context: ChannelHandlerContext, to address: SocketAddress, promise: EventLoopPromise<Void>?) {
        if let bytes = IPAddress.bytes(of: address), let problem = policy.problem(bytes) {
            promise?.fail(problem)
            return
        }
        context.connect(to: address, promise: promise)
    }
}

extension IPAddress {
    /// The four or sixteen bytes of a socket's address; nil for a unix socket.
    static func bytes(of address: SocketAddress) -> [UInt8]? {
        switch address {
        case .v4(let address):
            var four = address.address.sin_addr
            return withUnsafeBytes(of: &four) { Array($0) }
        case .v6(let address):
            var sixteen = address.address.sin6_addr
            return withUnsafeBytes(of: &sixteen) { Array($0) }
        case .unixDomainSocket: return nil
        }
    }
}

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif
