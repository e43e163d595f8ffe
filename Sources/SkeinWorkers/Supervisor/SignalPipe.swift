// Signals, and the notice that a server serves, sent through pipes.

import CSkeinWorkers
import SkeinCore

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// Signals that can be read from a descriptor.
struct SignalPipe {
    let descriptor: CInt

    init(_ signals: [CInt]) throws(SkeinError) {
        var ends: [CInt] = [-1, -1]
        guard pipe(&ends) == 0 else {
            throw SkeinError(.exception, because: "no pipe can be created: \(String(cString: strerror(errno)))")
        }
        for end in ends { _ = fcntl(end, F_SETFL, O_NONBLOCK) }
        descriptor = FileNumbers.raised(ends[0])
        let error = skein_signals_write(FileNumbers.raised(ends[1]), signals, signals.count)
        guard error == 0 else {
            throw SkeinError(
                .exception, because: "signal handlers cannot be installed: \(String(cString: strerror(error)))")
        }
    }

    /// The signals received, each once.
    func received() -> [CInt] {
        var bytes = [UInt8](repeating: 0, count: 256)
        let count = read(descriptor, &bytes, bytes.count)
        guard count > 0 else { return [] }
        var seen: [CInt] = []
        for byte in bytes[..<count] where !seen.contains(CInt(byte)) { seen.append(CInt(byte)) }
        return seen
    }
}

/// Tells the process that has started this one in the background that it serves.
package struct Readiness {
    static let variable = "SKEIN_READY"

    private let descriptor: CInt?

    package init() {
        descriptor = getenv(Self.variable).flatMap { CInt(String(cString: $0)) }.map(FileNumbers.raised)
        unsetenv(Self.variable)
    }

    package func tell() {
        guard let descriptor else { return }
        _ = write(descriptor, "R", 1)
        close(descriptor)
    }
}
