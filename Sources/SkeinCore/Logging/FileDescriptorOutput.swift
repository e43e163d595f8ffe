// Complete reads and writes on file descriptors, for logs, files and terminals.

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

/// Reads from a file descriptor that may block.
package enum FileDescriptorInput {
    /// The next bytes; an empty array at the end.
    /// - Returns: nil when reading failed; see `errno`.
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

/// Writes all bytes of a call to a file descriptor, or reports failure.
package struct FileDescriptorOutput: Sendable {
    package let descriptor: CInt

    package static let standardError = FileDescriptorOutput(descriptor: 2)

    package init(descriptor: CInt) { self.descriptor = descriptor }

    /// Writes text. Returns false on failure.
    @discardableResult
    package func write(_ text: String) -> Bool {
        var text = text
        return text.withUTF8 { write(UnsafeRawBufferPointer($0)) }
    }

    /// Writes bytes. Returns false on failure.
    @discardableResult
    package func write(_ bytes: UnsafeRawBufferPointer) -> Bool {
        var rest = bytes
        while !rest.isEmpty {
            let count = systemWrite(descriptor, rest.baseAddress, rest.count)
            if count < 0, errno == EINTR { continue }
            if count < 0, errno == EAGAIN || errno == EWOULDBLOCK {
                // Another process that shares the descriptor may have made it non-blocking.
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
