// Third-party programs, started, and stopped by their process ID.

import Foundation
import Synchronization

/// A failure of the test support itself.
public struct PeerError: Error, CustomStringConvertible {
    public let description: String
    public init(_ description: String) { self.description = description }
}

/// A program with its arguments and its files; it inherits nothing else from this process.
struct ChildProcess {
    let id: pid_t

    /// Starts a program.
    ///
    /// Not Foundation's `Process`: its children inherit every file that is open, so that a socket which one test closes
    /// stays open in the peer that another test has just started, and they inherit the signals that a task's thread blocks.
    init(
        _ program: String, _ arguments: [String], environment: [String: String], input: String = "/dev/null",
        output: String, errors: String
    ) throws {
        var files = posix_spawn_file_actions_t()
        var attributes = posix_spawnattr_t()
        posix_spawn_file_actions_init(&files)
        posix_spawnattr_init(&attributes)
        defer {
            posix_spawn_file_actions_destroy(&files)
            posix_spawnattr_destroy(&attributes)
        }
        posix_spawn_file_actions_addopen(&files, 0, input, O_RDONLY, 0)
        posix_spawn_file_actions_addopen(&files, 1, output, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND, 0o644)
        posix_spawn_file_actions_addopen(&files, 2, errors, O_WRONLY | O_CREAT | O_APPEND, 0o644)
        #if canImport(Darwin)
            posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_CLOEXEC_DEFAULT))
        #else
            for file in Int32(3)..<4096 { posix_spawn_file_actions_addclose(&files, file) }
            posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSIGMASK))
        #endif
        var none = sigset_t()
        sigemptyset(&none)
        posix_spawnattr_setsigmask(&attributes, &none)

        let path = try Self.find(program)
        let variables = ProcessInfo.processInfo.environment.merging(environment) { $1 }
        var argumentPointers = ([path] + arguments).map { strdup($0) } + [nil]
        var variablePointers = variables.map { strdup("\($0)=\($1)") } + [nil]
        defer { for pointer in argumentPointers + variablePointers { free(pointer) } }
        var id: pid_t = 0
        let code = posix_spawn(&id, path, &files, &attributes, &argumentPointers, &variablePointers)
        guard code == 0 else { throw PeerError("\(path) does not start: \(String(cString: strerror(code)))") }
        self.id = id
    }

    /// Waits for its end; a cancelled task ends it, so that a test whose time limit is over does not wait forever.
    /// - Returns: its exit code, or 128 and the signal that ended it.
    func untilExit() async -> Int32 {
        await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                Thread.detachNewThread {
                    var status: Int32 = 0
                    while waitpid(id, &status, 0) == -1, errno == EINTR {}
                    let signal = status & 0x7F
                    continuation.resume(returning: signal == 0 ? status >> 8 & 0xFF : 128 + signal)
                }
            }
        } onCancel: {
            kill(id, SIGKILL)
        }
    }

    private static func find(_ program: String) throws -> String {
        if program.contains("/") { return program }
        let path = ProcessInfo.processInfo.environment["PATH"] ?? ""
        let folders = path.split(separator: ":").map(String.init) + ["/usr/bin", "/usr/sbin", "/sbin"]
        for folder in folders where access("\(folder)/\(program)", X_OK) == 0 { return "\(folder)/\(program)" }
        throw PeerError("\(program) is not installed; run scripts/setup tests")
    }
}

/// A running peer.
public final class PeerProcess: Sendable {
    /// The peers of this process, ended with it.
    private static let running = Mutex<Set<pid_t>>([])
    private static let endsWithUs = atexit { PeerProcess.running.withLock { for id in $0 { kill(id, SIGTERM) } } }

    private let child: ChildProcess
    private let log: String

    /// Starts a program.
    /// - Parameters:
    ///   - program: a name to be found on the PATH, or a path.
    ///   - log: a file for its output.
    public init(_ program: String, _ arguments: [String], environment: [String: String] = [:], log: String) throws {
        _ = Self.endsWithUs
        self.log = log
        let child = try ChildProcess(program, arguments, environment: environment, output: log, errors: log)
        self.child = child
        Self.running.withLock { _ = $0.insert(child.id) }
        let file = TestFolder.url.appending(path: "\(child.id).pid").path
        try "\(child.id)\n".write(toFile: file, atomically: true, encoding: .utf8)
    }

    /// Its output.
    public var output: String { String(decoding: FileManager.default.contents(atPath: log) ?? Data(), as: UTF8.self) }

    /// Its process ID.
    public var id: Int32 { child.id }

    /// Its resident memory in bytes; Linux only.
    public var residentBytes: Int {
        get throws {
            let fields = try String(contentsOfFile: "/proc/\(child.id)/statm", encoding: .utf8).split(separator: " ")
            guard fields.count > 1, let pages = Int(fields[1]) else { throw PeerError("its memory is not known") }
            return pages * Int(getpagesize())
        }
    }

    /// Waits until its output contains a text, and returns the rest of that line.
    public func untilPrinted(_ text: String) async throws -> String {
        for _ in 0..<1500 {
            let lines = output.split(separator: "\n", omittingEmptySubsequences: false).dropLast()
            if let line = lines.first(where: { $0.contains(text) }), let range = line.range(of: text) {
                return String(line[range.upperBound...])
            }
            try await SupportLoops.group.any().scheduleTask(in: .milliseconds(20)) {}.futureResult.get()
        }
        throw PeerError("the peer did not print \(text.debugDescription) in 30 s, but: \(output)")
    }

    /// Sends it a signal.
    public func send(_ signal: Int32) { kill(child.id, signal) }

    /// Ends it and waits for its end.
    /// - Returns: its exit code.
    @discardableResult
    public func stop(_ signal: Int32 = SIGTERM) async -> Int32 {
        send(signal)
        let code = await child.untilExit()
        Self.running.withLock { _ = $0.remove(child.id) }
        return code
    }
}

/// The output of a program that has ended.
public struct Finished: Sendable {
    public let code: Int32
    public let output: String
    public let errors: String
}

/// Runs a program to its end.
public func runToEnd(
    _ program: String, _ arguments: [String], input: String? = nil, environment: [String: String] = [:]
) async throws -> Finished {
    // Files instead of pipes: a program may write more than a pipe holds before it is read.
    let inputPath = try TestFolder.write(input ?? "", as: "in")
    let outputPath = TestFolder.path("out")
    let errorPath = TestFolder.path("err")
    let child = try ChildProcess(
        program, arguments, environment: environment, input: inputPath, output: outputPath, errors: errorPath)
    let code = await child.untilExit()
    func text(_ path: String) -> String {
        String(decoding: FileManager.default.contents(atPath: path) ?? Data(), as: UTF8.self)
    }
    return Finished(code: code, output: text(outputPath), errors: text(errorPath))
}
