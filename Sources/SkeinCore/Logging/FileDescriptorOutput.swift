// Whole writes to a file descriptor: what every log, file and terminal needs, and no more.

#if canImport(Glibc)
    import Glibc
    private let systemWrite = Glibc.write
#elseif canImport(Musl)
    import Musl
    private let systemWrite = Musl.write
#elseif canImport(Darwin)
    import Darwin
    private let systemWrite = Darwin.write
#endif

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
            guard count > 0 else { return false }
            rest = UnsafeRawBufferPointer(rebasing: rest[count...])
        }
        return true
    }
}
