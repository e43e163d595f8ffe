// Whole writes to a file descriptor: what every log, file and terminal needs, and no more.

#if canImport(Glibc)
    import Glibc
    private let systemWrite = Glibc.write
    private let systemRead = Glibc.read
#elseif canImport(Musl)
    import Musl
    private let systemWrite = Musl.write
    private let systemRead = Musl.read
#elseif canImport(Darwin)
    import Darwin
    private let systemWrite = Darwin.write
    private let systemRead = Darwin.read
#endif

/// Reads from a file descriptor that may wait.
package enum FileDescriptorInput {
    /// The next bytes; none at the end.
    /// - Returns: nil when they cannot be read; `errno` says why.
    package static func read(_ descriptor: CInt, atMost maximum: Int = 64 << 10) -> [UInt8]? {
        var failed = false
        let bytes = [UInt8](unsafeUninitializedCapacity: maximum) { buffer, count in
            while true {
                let got = systemRead(descriptor, buffer.baseAddress, buffer.count)
                if got >= 0 {
                    count = got
                    return
                }
                if errno == EINTR { continue }
                var entry = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
                guard errno == EAGAIN || errno == EWOULDBLOCK, poll(&entry, 1, -1) >= 0 || errno == EINTR else {
                    failed = true
                    return
                }
            }
        }
        return failed ? nil : bytes
    }
}

/// A file descriptor that takes all bytes of a call, or says that it does not.
package struct FileDescriptorOutput: Sendable {
    package let descriptor: CInt

    package static let standardError = FileDescriptorOutput(descriptor: 2)

    package init(descriptor: CInt) { self.descriptor = descriptor }

    /// Writes text. Returns false when the descriptor does not take it.
    @discardableResult
    package func write(_ text: String) -> Bool {
        var text = text
        return text.withUTF8 { write(UnsafeRawBufferPointer($0)) }
    }

    /// Writes bytes. Returns false when the descriptor does not take them.
    @discardableResult
    package func write(_ bytes: UnsafeRawBufferPointer) -> Bool {
        var rest = bytes
        while !rest.isEmpty {
            let count = systemWrite(descriptor, rest.baseAddress, rest.count)
            if count < 0, errno == EINTR { continue }
            if count < 0, errno == EAGAIN || errno == EWOULDBLOCK {
                // Another process that shares the descriptor has made it non-blocking.
                var entry = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
                guard poll(&entry, 1, -1) >= 0 || errno == EINTR else { return false }
                continue
            }
            guard count > 0 else { return false }
            rest = UnsafeRawBufferPointer(rebasing: rest[count...])
        }
        return true
    }
}
