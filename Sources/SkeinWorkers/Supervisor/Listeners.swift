// The sockets that a master binds and keeps open.

import CSkeinWorkers
import SkeinCore

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// Where workers listen.
package enum ListenerAddress: Hashable, Sendable, CustomStringConvertible {
    /// A TCP port; 0 is a free one.
    case tcp(String, port: Int)
    /// A unix socket.
    case unix(String)
    /// A socket that was handed over by a service manager.
    case inherited(CInt)

    /// The address as it is written.
    package var description: String {
        switch self {
        case .tcp(let host, let port): host.containsBytes(":") ? "[\(host)]:\(port)" : "\(host):\(port)"
        case .unix(let path): "unix:\(path)"
        case .inherited(let descriptor): "descriptor \(descriptor)"
        }
    }
}

/// Listening sockets by their addresses.
///
/// One socket for each address, shared by all workers: its queue stays when a worker ends, so that no connection is
/// refused or lost.
struct Listeners {
    private(set) var sockets: [(address: ListenerAddress, descriptor: CInt)] = []

    /// Takes over the sockets of another master.
    init(inherited: [(address: ListenerAddress, descriptor: CInt)] = []) {
        sockets = inherited.map { ($0.address, FileNumbers.raised($0.descriptor)) }
    }

    /// Binds the addresses that are not bound yet.
    /// - Throws: code 714 with the address that cannot be bound; then nothing has changed.
    mutating func bind(_ addresses: [ListenerAddress]) throws(SkeinError) {
        var made: [(ListenerAddress, CInt)] = []
        for address in addresses where !sockets.contains(where: { $0.address == address }) {
            do throws(SkeinError) {
                made.append((address, try Self.listen(on: address)))
            } catch {
                for (_, descriptor) in made { close(descriptor) }
                throw error
            }
        }
        sockets += made
    }

    /// Closes the sockets of all other addresses.
    mutating func keepOnly(_ addresses: [ListenerAddress]) {
        for socket in sockets where !addresses.contains(socket.address) { close(socket.descriptor) }
        sockets.removeAll { !addresses.contains($0.address) }
    }

    private static func listen(on address: ListenerAddress) throws(SkeinError) -> CInt {
        switch address {
        case .inherited(let descriptor):
            let copy = fcntl(descriptor, F_DUPFD_CLOEXEC, FileNumbers.lowest)
            guard copy >= 0 else { throw refusal(address) }
            // Service managers pass on blocking sockets.
            _ = fcntl(copy, F_SETFL, fcntl(copy, F_GETFL) | O_NONBLOCK)
            return copy
        case .unix(let path): return try listen(onPath: path, address)
        case .tcp(let host, let port): return try listen(on: host, port, address)
        }
    }

    private static func listen(onPath path: String, _ address: ListenerAddress) throws(SkeinError) -> CInt {
        guard var name = UnixSocketAddress(path) else {
            throw SkeinError(
                .connectionFailed, peer: path, because: "the path of a unix socket must not exceed 107 bytes")
        }
        let descriptor = try open(AF_UNIX, address)
        if name.connects(descriptor) {
            close(descriptor)
            throw SkeinError(.connectionFailed, peer: path, because: "another process listens on this socket")
        }
        var facts = stat()
        if lstat(path, &facts) == 0, facts.st_mode & S_IFMT == S_IFSOCK { unlink(path) }
        guard name.binds(descriptor), startsListening(descriptor) else { throw refusal(address, closing: descriptor) }
        return FileNumbers.raised(descriptor)
    }

    private static func listen(on host: String, _ port: Int, _ address: ListenerAddress) throws(SkeinError) -> CInt {
        var hints = addrinfo()
        hints.ai_flags = AI_PASSIVE
        hints.ai_family = AF_UNSPEC
        #if canImport(Glibc)
            hints.ai_socktype = CInt(SOCK_STREAM.rawValue)
        #else
            hints.ai_socktype = SOCK_STREAM
        #endif
        var found: UnsafeMutablePointer<addrinfo>?
        let error = getaddrinfo(host, String(port), &hints, &found)
        guard error == 0, let first = found else {
            throw SkeinError(
                .connectionFailed, peer: "\(address)",
                because: "\(host) is not an address of this machine: \(String(cString: gai_strerror(error)))")
        }
        defer { freeaddrinfo(found) }
        let descriptor = try open(first.pointee.ai_family, address)
        var yes: CInt = 1
        setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &yes, socklen_t(MemoryLayout<CInt>.size))
        guard isBound(descriptor, first.pointee.ai_addr, first.pointee.ai_addrlen), startsListening(descriptor) else {
            throw refusal(address, closing: descriptor)
        }
        return FileNumbers.raised(descriptor)
    }

    private static func open(_ family: CInt, _ address: ListenerAddress) throws(SkeinError) -> CInt {
        #if canImport(Glibc)
            let descriptor = socket(family, CInt(SOCK_STREAM.rawValue) | CInt(SOCK_CLOEXEC.rawValue), 0)
        #else
            let descriptor = socket(family, SOCK_STREAM, 0)
        #endif
        guard descriptor >= 0 else { throw refusal(address) }
        // Workers compete for connections; one that comes too late must not block until the next connection.
        _ = fcntl(descriptor, F_SETFL, fcntl(descriptor, F_GETFL) | O_NONBLOCK)
        return descriptor
    }

    private static func refusal(_ address: ListenerAddress, closing descriptor: CInt? = nil) -> SkeinError {
        let reason = String(cString: strerror(errno))
        if let descriptor { close(descriptor) }
        return SkeinError(
            .connectionFailed, peer: "\(address)",
            because: "the server cannot listen on this address (\(reason)); is the address local and the port free?")
    }
}

/// The backlog is the same as that of a server without a master.
private func startsListening(_ descriptor: CInt) -> Bool { listen(descriptor, 1024) == 0 }
private func isBound(_ descriptor: CInt, _ address: UnsafePointer<sockaddr>?, _ length: socklen_t) -> Bool {
    bind(descriptor, address, length) == 0
}

/// The address of a unix socket.
struct UnixSocketAddress {
    private var address = sockaddr_un()
    private let length: socklen_t

    /// - Parameter path: `@name` is a name without a file (unix(7)). Nil for one that is too long.
    init?(_ path: String) {
        let bytes = Array(path.utf8)
        guard (1..<108).contains(bytes.count), !bytes.contains(0) else { return nil }
        address.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &address.sun_path) { place in
            place.copyBytes(from: bytes)
            if bytes[0] == UInt8(ascii: "@") { place[0] = 0 }
        }
        let isAbstract = bytes[0] == UInt8(ascii: "@")
        length = socklen_t(
            (MemoryLayout<sockaddr_un>.offset(of: \.sun_path) ?? 2) + bytes.count + (isAbstract ? 0 : 1))
    }

    private mutating func with<Result>(_ work: (UnsafePointer<sockaddr>, socklen_t) -> Result) -> Result {
        withUnsafePointer(to: &address) { [length] in
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { work($0, length) }
        }
    }

    mutating func connects(_ descriptor: CInt) -> Bool { with { connect(descriptor, $0, $1) == 0 } }
    mutating func binds(_ descriptor: CInt) -> Bool { with { isBound(descriptor, $0, $1) } }
    mutating func sends(_ text: String, over descriptor: CInt) -> Bool {
        with { address, length in
            var text = text
            return text.withUTF8 { sendto(descriptor, $0.baseAddress, $0.count, 0, address, length) } >= 0
        }
    }
}
