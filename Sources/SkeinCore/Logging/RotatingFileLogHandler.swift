// Log lines in a file with rotation.

import Logging
import Synchronization

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif
#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// Writes one line per event to a file; a full file is renamed to `name.1`, the one before to `name.2`, and so on.
public struct RotatingFileLogHandler: LogHandler {
    public var logLevel: Logger.Level = .info
    public var metadata: Logger.Metadata = [:]
    private let label: String
    private let file: RotatingFile

    /// A handler over a file, which several loggers may share.
    public init(label: String, file: RotatingFile) {
        self.label = label
        self.file = file
    }

    public subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    public func log(event: LogEvent) {
        file.write(LogLine.make(event.level, "\(event.message)", metadata, event.metadata, label: label, isDated: true))
    }
}

/// A file for lines, replaced by a new one when it is full.
///
/// Several processes may write to one file: each write appends whole lines, and only one process starts the new file.
public final class RotatingFile: Sendable {
    private struct State {
        var descriptor: CInt
        /// The inode of the file.
        var number: UInt64
        /// The size in bytes at the last check. Other processes may have written since.
        var size: Int
        var looked: ContinuousClock.Instant
    }

    private let path: String
    private let maximumBytes: Int
    private let keep: Int
    private let state: Mutex<State>

    /// Opens a file for appending, creating it if needed.
    /// - Parameters:
    ///   - path: the file; its folder must exist.
    ///   - maximumBytes: the size at which a new file is started. Default: 10 MiB.
    ///   - keep: the number of full files that are retained. Default: 5.
    /// - Throws: code 701 when the file cannot be opened.
    public init(path: String, maximumBytes: Int = 10 << 20, keep: Int = 5) throws {
        self.path = path
        self.maximumBytes = maximumBytes
        self.keep = keep
        guard let opened = Self.open(path) else {
            throw SkeinError(
                .exception, peer: path, because: "the log file cannot be opened (\(String(cString: strerror(errno))))")
        }
        state = Mutex(opened)
    }

    deinit { _ = state.withLock { close($0.descriptor) } }

    /// Appends a line.
    public func write(_ line: String) {
        var line = line
        line.withUTF8 { write(UnsafeRawBufferPointer($0)) }
    }

    /// Appends whole lines.
    package func write(_ lines: UnsafeRawBufferPointer) {
        state.withLock { state in
            look(&state)
            if state.size > 0, state.size + lines.count > maximumBytes { rotate(&state) }
            FileDescriptorOutput(descriptor: state.descriptor).write(lines)
            state.size += lines.count
        }
    }

    /// Opens the path again, after another program has renamed the file.
    public func reopen() {
        state.withLock { state in
            guard let fresh = Self.open(path) else { return }
            close(state.descriptor)
            state = fresh
        }
    }

    /// Checks the size of the file, and whether another process has started a new one; at most ten times a second.
    private func look(_ state: inout State) {
        let now = ContinuousClock.now
        guard now - state.looked >= .milliseconds(100) else { return }
        state.looked = now
        guard Self.number(of: path) == state.number else {
            guard let fresh = Self.open(path) else { return }
            close(state.descriptor)
            state = fresh
            return
        }
        state.size = Int(lseek(state.descriptor, 0, SEEK_END))
    }

    private static func number(of path: String) -> UInt64? {
        var facts = stat()
        return stat(path, &facts) == 0 ? UInt64(facts.st_ino) : nil
    }

    private func rotate(_ state: inout State) {
        // The lock is on the full file, which all writers have open.
        flock(state.descriptor, LOCK_EX)
        let full = state.descriptor
        defer { if full == state.descriptor { flock(full, LOCK_UN) } }  // A closed one has no lock.
        guard Self.number(of: path) == state.number else {
            if let fresh = Self.open(path) {
                close(state.descriptor)
                state = fresh
            }
            return
        }
        for number in stride(from: keep, to: 0, by: -1) {
            rename(number == 1 ? path : "\(path).\(number - 1)", "\(path).\(number)")
        }
        if keep == 0 { unlink(path) }
        // When no new file can be opened, lines go on to the old one: too long is better than lost.
        guard let fresh = Self.open(path) else { return }
        close(state.descriptor)
        state = fresh
    }

    private static func open(_ path: String) -> State? {
        #if canImport(Darwin)
            let descriptor = Darwin.open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0o640)
        #elseif canImport(Musl)
            let descriptor = Musl.open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0o640)
        #else
            let descriptor = Glibc.open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0o640)
        #endif
        guard descriptor >= 0 else { return nil }
        var facts = stat()
        fstat(descriptor, &facts)
        return State(
            descriptor: descriptor, number: UInt64(facts.st_ino), size: Int(lseek(descriptor, 0, SEEK_END)),
            looked: .now)
    }
}
