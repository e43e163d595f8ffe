// The connection between a master and a worker.

import CSkeinWorkers
import SkeinCore

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// A connected socket that carries whole messages (SOCK_SEQPACKET, unix(7)). The size of its buffers limits the
/// messages in transit.
struct ControlSocket: Sendable {
    /// Bytes of a message.
    static let maximumMessage = 60 << 10

    /// A message.
    enum Message: Equatable, Sendable {
        /// The worker serves; from a master that replaces another one: all its workers serve.
        case ready
        /// A message for all other workers, as the bytes of a ``Broadcast``.
        case broadcast([UInt8])
    }

    enum Sent {
        case done, full, closed
    }

    let descriptor: CInt

    /// The two ends of a connection: one for this process, and one to pass on.
    static func pair() throws(SkeinError) -> (ControlSocket, ControlSocket) {
        var ends: [CInt] = [-1, -1]
        #if canImport(Darwin)
            let result = socketpair(AF_UNIX, SOCK_DGRAM, 0, &ends)
        #else
            let kind =
                CInt(SOCK_SEQPACKET.rawValue) | CInt(SOCK_CLOEXEC.rawValue) | CInt(SOCK_NONBLOCK.rawValue)
            let result = socketpair(AF_UNIX, kind, 0, &ends)
        #endif
        guard result == 0 else {
            throw SkeinError(.exception, because: "no socket can be created: \(String(cString: strerror(errno)))")
        }
        return (
            ControlSocket(descriptor: FileNumbers.raised(ends[0])),
            ControlSocket(descriptor: FileNumbers.raised(ends[1]))
        )
    }

    func send(_ message: Message) -> Sent {
        let bytes: [UInt8] =
            switch message {
            case .ready: [UInt8(ascii: "R")]
            case .broadcast(let content): [UInt8(ascii: "B")] + content
            }
        while true {
            if Self.send(bytes, over: descriptor) { return .done }
            switch errno {
            case EINTR: continue
            case EAGAIN, ENOBUFS: return .full
            default: return .closed
            }
        }
    }

    private static func send(_ bytes: [UInt8], over descriptor: CInt) -> Bool {
        #if canImport(Darwin)
            let flags: CInt = 0
        #else
            let flags = CInt(MSG_NOSIGNAL)
        #endif
        return bytes.withUnsafeBytes { transmit(descriptor, $0.baseAddress, $0.count, flags) } >= 0
    }

    enum Received: Equatable {
        case message(Message)
        case nothing
        case closed
    }

    /// The next message; does not wait.
    /// - Parameter buffer: a little larger than `maximumMessage` bytes; reused.
    func receive(into buffer: UnsafeMutableRawBufferPointer) -> Received {
        while true {
            let count = recv(descriptor, buffer.baseAddress, buffer.count, 0)
            if count > 0 { return Self.message(UnsafeRawBufferPointer(rebasing: buffer[..<count])) }
            if count == 0 { return .closed }
            if errno == EINTR { continue }
            return errno == EAGAIN ? .nothing : .closed
        }
    }

    private static func message(_ bytes: UnsafeRawBufferPointer) -> Received {
        switch bytes[0] {
        case UInt8(ascii: "R"): .message(.ready)
        case UInt8(ascii: "B"): .message(.broadcast(Array(bytes.dropFirst())))
        default: .nothing  // of a later version
        }
    }

    /// Waits until a message arrives, or the connection is closed.
    func wait() {
        var entry = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
        _ = poll(&entry, 1, -1)
    }
}

/// send(2), for a type that has a method with this name.
private func transmit(_ descriptor: CInt, _ bytes: UnsafeRawPointer?, _ count: Int, _ flags: CInt) -> Int {
    send(descriptor, bytes, count, flags)
}
