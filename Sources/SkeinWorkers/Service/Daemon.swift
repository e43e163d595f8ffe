// A server in the background: started, controlled, and watched.

import CSkeinWorkers
import SkeinCore

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// A master that runs in the background, known by its pid file.
package struct Daemon: Sendable {
    /// The file with the number of the process.
    package let pidFile: String
    /// The file for its output.
    package let log: String

    /// - Parameters:
    ///   - pidFile: the file with the number of the process.
    ///   - log: a file. Default: beside the pid file.
    package init(pidFile: String, log: String? = nil) {
        self.pidFile = pidFile
        self.log = log ?? "\(pidFile.hasByteSuffix(".pid") ? String(pidFile.utf8.dropLast(4)) ?? pidFile : pidFile).log"
    }

    /// The process, if it runs.
    package var processID: Int32? { PidFile.owner(of: pidFile) }

    /// Starts this program in the background, and waits until it serves.
    /// - Parameter arguments: those of the program, without its name.
    /// - Returns: the process.
    /// - Throws: code 701 when it runs already, or ends before it serves; with the last lines of its output.
    package func start(_ arguments: [String], within timeout: Duration = .seconds(120)) throws(SkeinError) -> Int32 {
        if let processID { throw SkeinError(.exception, because: "it is running already as process \(processID)") }
        let output = open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0o640)
        guard output >= 0 else {
            throw SkeinError(
                .exception, peer: log, because: "the log file cannot be written: \(String(cString: strerror(errno)))")
        }
        defer { close(output) }
        let before = lseek(output, 0, SEEK_END)
        var ends: [CInt] = [-1, -1]
        guard pipe(&ends) == 0 else { throw SkeinError(.exception, because: "no pipe can be created") }
        let (heard, told) = (FileNumbers.raised(ends[0]), FileNumbers.raised(ends[1]))
        let high = FileNumbers.raised(dup(output))
        defer {
            close(heard)
            close(high)
        }
        // The process gets the same descriptor numbers, whatever is open here.
        var given = Given(Listeners())
        given.add(high, as: 1)
        given.add(high, as: 2)
        given.add(told, as: 3)
        let started = Result { () throws(SkeinError) in
            try given.start(
                program: ProgramPath.own, title: ProgramPath.current, [""] + arguments, [Readiness.variable: "3"],
                inSession: true)
        }
        close(told)
        let processID = try started.get()
        var entry = pollfd(fd: heard, events: Int16(POLLIN), revents: 0)
        let milliseconds = CInt(timeout / .milliseconds(1))
        guard poll(&entry, 1, milliseconds) > 0 else {
            kill(processID, SIGTERM)
            throw SkeinError(.timeout, because: "process \(processID) was not ready within \(timeout); see \(log)")
        }
        var byte: UInt8 = 0
        if read(heard, &byte, 1) == 1 { return processID }
        throw SkeinError(.exception, because: "the server ended before it was ready:\n\(said(since: before))")
    }

    private func said(since offset: off_t) -> String {
        let descriptor = open(log, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return "see \(log)" }
        defer { close(descriptor) }
        var bytes = [UInt8](repeating: 0, count: 8 << 10)
        let count = pread(descriptor, &bytes, bytes.count, offset)
        guard count > 0 else { return "see \(log)" }
        return String(decoding: bytes[..<count], as: UTF8.self)
    }

    /// Stops it, and waits until it has ended.
    /// - Returns: whether it ran.
    /// - Throws: code 702 when it does not end in time.
    package func stop(within timeout: Duration = .seconds(60)) throws(SkeinError) -> Bool {
        guard let processID else { return false }
        kill(processID, SIGTERM)
        guard wait(within: timeout, until: { self.processID != processID }) else {
            throw SkeinError(.timeout, because: "process \(processID) did not end within \(timeout)")
        }
        return true
    }

    /// Replaces the old workers with new ones, and waits until they serve.
    package func reload(within timeout: Duration = .seconds(120)) throws(SkeinError) {
        let processID = try running()
        let before = try ServerStatusReport(master: processID)
        kill(processID, SIGHUP)
        let isDone = wait(within: timeout) {
            guard let now = try? ServerStatusReport(master: processID) else { return true }
            return now.serving && (now.reloads > before.reloads || now.failedReloads > before.failedReloads)
        }
        guard isDone else { throw SkeinError(.timeout, because: "the new workers were not ready within \(timeout)") }
        guard try ServerStatusReport(master: processID).failedReloads == before.failedReloads else {
            throw SkeinError(
                .exception, because: "a new worker ended before it was ready; the old ones keep running. See \(log)")
        }
    }

    /// Starts the program on the disk in place of the running one, and waits until it serves.
    /// - Returns: the new process.
    package func upgrade(within timeout: Duration = .seconds(120)) throws(SkeinError) -> Int32 {
        let processID = try running()
        kill(processID, SIGUSR2)
        var new: Int32?
        _ = wait(within: timeout) {
            new = self.processID
            return new != nil && new != processID
        }
        guard let new, new != processID else {
            throw SkeinError(.exception, because: "the new program is not ready; process \(processID) keeps running")
        }
        return new
    }

    private func running() throws(SkeinError) -> Int32 {
        if let processID { return processID }
        throw SkeinError(.exception, because: "it is not running (\(pidFile))")
    }

    private func wait(within timeout: Duration, until isDone: () -> Bool) -> Bool {
        let end = ContinuousClock.now + timeout
        while !isDone() {
            if ContinuousClock.now > end { return false }
            usleep(20_000)
        }
        return true
    }
}
