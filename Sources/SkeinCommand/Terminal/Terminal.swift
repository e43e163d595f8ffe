// What a command says to a person: results on standard output, progress and complaints on standard error.

import SkeinCore

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// The two outputs of a command.
enum Terminal {
    /// Whether a person watches standard error.
    static let isWatched = isatty(2) == 1

    /// Writes a line to standard output.
    static func say(_ line: String) { write(line + "\n", to: 1) }

    /// Writes a line to standard error.
    static func complain(_ line: String) { write(line + "\n", to: 2) }

    /// Writes bytes as they are to standard output.
    static func emit(_ bytes: UnsafeRawBufferPointer) { _ = writeAll(bytes, to: 1) }

    /// Replaces the progress line, when a person watches.
    static func progress(_ line: String) {
        guard isWatched else { return }
        write("\r\u{1B}[K\(line)", to: 2)
    }

    /// Removes the progress line.
    static func endProgress() { progress("") }

    private static func write(_ text: String, to descriptor: CInt) {
        var text = text
        text.withUTF8 { _ = writeAll(UnsafeRawBufferPointer($0), to: descriptor) }
    }

    /// Writes all bytes to a descriptor. Returns false when it does not take them.
    static func writeAll(_ bytes: UnsafeRawBufferPointer, to descriptor: CInt) -> Bool {
        FileDescriptorOutput(descriptor: descriptor).write(bytes)
    }
}
