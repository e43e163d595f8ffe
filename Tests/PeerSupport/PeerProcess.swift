// Programs that we did not write, started and stopped by their process id.

import Foundation
import Synchronization

/// A failure of the test support itself.
public struct PeerError: Error, CustomStringConvertible {
    public let description: String
    public init(_ description: String) { self.description = description }
}

/// A running peer.
public final class PeerProcess: Sendable {
    /// The peers of this process, ended with it.
    private static let running = Mutex<[Int32]>([])
    private static let endsWithUs = atexit { PeerProcess.running.withLock { for id in $0 { kill(id, SIGTERM) } } }

    private let process: Mutex<Process>
    /// Its process id.
    public let id: Int32

    /// Starts a program.
    /// - Parameters:
    ///   - program: a name to be found on the PATH, or a path.
    ///   - log: a file for what it prints.
    public init(_ program: String, _ arguments: [String], environment: [String: String] = [:], log: String) throws {
        _ = Self.endsWithUs
        let process = Process()
        process.executableURL = try Self.find(program)
        process.arguments = arguments
        process.environment = ProcessInfo.processInfo.environment.merging(environment) { $1 }
        _ = FileManager.default.createFile(atPath: log, contents: nil)
        let output = FileHandle(forWritingAtPath: log)
        process.standardOutput = output
        process.standardError = output
        process.standardInput = FileHandle.nullDevice
        try Self.withoutSignalMask { try process.run() }
        id = process.processIdentifier
        Self.running.withLock { $0.append(process.processIdentifier) }
        let file = TestFolder.url.appending(path: "\(process.processIdentifier).pid").path
        try "\(process.processIdentifier)\n".write(toFile: file, atomically: true, encoding: .utf8)
        self.process = Mutex(process)
    }

    /// A child inherits the signals that its parent's thread blocks, and threads of a task block them all: without this,
    /// a peer that does not set its own mask could not be ended.
    private static func withoutSignalMask(_ spawn: () throws -> Void) throws {
        var none = sigset_t()
        var before = sigset_t()
        sigemptyset(&none)
        pthread_sigmask(SIG_SETMASK, &none, &before)
        defer { pthread_sigmask(SIG_SETMASK, &before, nil) }
        try spawn()
    }

    /// Sends it a signal.
    public func send(_ signal: Int32) { kill(id, signal) }

    /// Ends it and waits for its end.
    /// - Returns: its exit code.
    @discardableResult
    public func stop(_ signal: Int32 = SIGTERM) async -> Int32 {
        send(signal)
        let process = process.withLock { $0 }
        let code = await withCheckedContinuation { continuation in
            Thread.detachNewThread {
                process.waitUntilExit()
                continuation.resume(returning: process.terminationStatus)
            }
        }
        Self.running.withLock { $0.removeAll { $0 == id } }
        return code
    }

    static func find(_ program: String) throws -> URL {
        if program.contains("/") { return URL(filePath: program) }
        let path = ProcessInfo.processInfo.environment["PATH"] ?? ""
        let folders = path.split(separator: ":").map(String.init) + ["/usr/bin", "/usr/sbin", "/sbin"]
        for folder in folders where access("\(folder)/\(program)", X_OK) == 0 {
            return URL(filePath: "\(folder)/\(program)")
        }
        throw PeerError("\(program) is not installed; run scripts/setup tests")
    }
}

/// What a program that ran to its end has said.
public struct Finished: Sendable {
    public let code: Int32
    public let output: String
    public let errors: String
}

/// Runs a program to its end.
public func runToEnd(
    _ program: String, _ arguments: [String], input: String? = nil, environment: [String: String] = [:]
) async throws -> Finished {
    let url = try PeerProcess.find(program)
    return try await withCheckedThrowingContinuation { continuation in
        Thread.detachNewThread {
            do {
                let process = Process()
                process.executableURL = url
                process.arguments = arguments
                process.environment = ProcessInfo.processInfo.environment.merging(environment) { $1 }
                // Files, not pipes: a program may say more than a pipe holds before anybody reads.
                let outputPath = TestFolder.path("out")
                let errorPath = TestFolder.path("err")
                let inputPath = try TestFolder.write(input ?? "", as: "in")
                for path in [outputPath, errorPath] { _ = FileManager.default.createFile(atPath: path, contents: nil) }
                process.standardOutput = FileHandle(forWritingAtPath: outputPath)
                process.standardError = FileHandle(forWritingAtPath: errorPath)
                process.standardInput = FileHandle(forReadingAtPath: inputPath)
                try process.run()
                process.waitUntilExit()
                func text(_ path: String) -> String {
                    String(decoding: FileManager.default.contents(atPath: path) ?? Data(), as: UTF8.self)
                }
                continuation.resume(
                    returning: Finished(
                        code: process.terminationStatus, output: text(outputPath), errors: text(errorPath)))
            } catch {
                continuation.resume(throwing: error)
            }
        }
    }
}
