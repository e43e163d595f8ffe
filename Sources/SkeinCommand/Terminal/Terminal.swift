// The output of a command: results on standard output, progress and errors on standard error.

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
    /// Whether standard error is a terminal.
    static let isWatched = isatty(2) == 1
    /// Whether standard output is a terminal.
    static let isRead = isatty(1) == 1

    /// Writes a line to standard output. Ends the process when it cannot be written.
    static func say(_ line: String) { say(bytes: Array((line + "\n").utf8)) }

    /// Writes bytes unchanged to standard output. Ends the process when they cannot be written.
    static func say(bytes: [UInt8]) { bytes.withUnsafeBytes { emit($0) } }

    /// Writes bytes unchanged to standard output. Ends the process when they cannot be written.
    static func emit(_ bytes: UnsafeRawBufferPointer) {
        guard !FileDescriptorOutput(descriptor: 1).write(bytes) else { return }
        let problem = errno
        if problem == EPIPE {
            // The reader has closed the pipe: programs end by SIGPIPE then.
            signal(SIGPIPE, SIG_DFL)
            raise(SIGPIPE)
        }
        complain("Standard output cannot be written: \(String(cString: strerror(problem))).")
        leave(1)
    }

    /// Writes a line to standard error.
    static func complain(_ line: String) { FileDescriptorOutput.standardError.write(line + "\n") }

    /// Replaces the progress line, if standard error is a terminal.
    static func progress(_ line: String) {
        guard isWatched else { return }
        FileDescriptorOutput.standardError.write("\r\u{1B}[K\(line)")
    }

    /// Removes the progress line.
    static func endProgress() { progress("") }

    /// Ends the process.
    static func leave(_ code: CInt) -> Never {
        #if canImport(Darwin)
            Darwin.exit(code)
        #elseif canImport(Musl)
            Musl.exit(code)
        #else
            Glibc.exit(code)
        #endif
    }
}
