// The role of a process of an engine's program: a command for another process, a master, a worker, or the only process.

import ArgumentParser
import Logging
import SkeinCore
import SkeinEngine
import SkeinWorkers

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

/// The current process in its role.
public struct EngineProcess {
    /// What a master needs to know about a server, without creating it.
    public struct Plan {
        /// Where to listen.
        public var addresses: [ServerConfiguration.Address]
        /// How long workers may take to drain.
        public var shutdownTimeout: Duration
        /// The number of workers, if the command line does not set it.
        public var workers: Int?

        /// A plan.
        public init(addresses: [ServerConfiguration.Address], shutdownTimeout: Duration, workers: Int? = nil) {
            self.addresses = addresses
            self.shutdownTimeout = shutdownTimeout
            self.workers = workers
        }
    }

    private let options: ProcessOptions
    private let name: String
    private let logger: Logger
    /// The working folder of the server.
    private let folder: String?

    /// - Parameters:
    ///   - options: the options of the command line.
    ///   - folder: the working folder of the server, as set by `--chdir`. Default: the folder of this process.
    ///   - name: the name of the server if the command line has none.
    ///   - logger: for the log lines of the master.
    public init(_ options: ProcessOptions, name: String, folder: String? = nil, logger: Logger) {
        self.folder = folder
        _ = ProgramPath.current  // before the working folder changes
        self.options = options
        self.name = options.name ?? name
        self.logger = logger
    }

    /// Runs the role of this process, unless the role is to serve.
    /// - Parameters:
    ///   - watchedFiles: files whose change causes a reload.
    ///   - sourceFolders: of Python apps. With `--reload`, a change there causes a reload, and the program itself is
    ///     not rebuilt.
    ///   - plan: of the server; requested again for each reload.
    /// - Returns: whether this process is to serve.
    /// - Throws: `ExitCode` when any other role has ended; errors with a description.
    public func serves(
        watching watchedFiles: [String] = [], sourceFolders: [String] = [], plan: @escaping () throws -> Plan
    ) throws -> Bool {
        if WorkerLink.current != nil { return true }
        switch options.processCommand {
        case .run: break
        case .start: try start()
        case .stop: try stop()
        case .restart:
            if try daemon.stop() { say("stopped") }
            try start()
        case .reload:
            try daemon.reload()
            throw done("reloaded")
        case .upgrade: throw done("upgraded to process \(try daemon.upgrade())")
        case .status: try status()
        }
        let first = try plan()
        guard options.needsMaster || first.workers != nil else {
            guard options.user == nil else {
                throw ValidationError("--user is for workers, whose master keeps the ports open; add --workers 1.")
            }
            return true
        }
        throw ExitCode(try master(first, watchedFiles, sourceFolders, plan))
    }

    /// Sets up the engine for a worker, or for the only process.
    public func prepare(_ engine: inout Engine) throws {
        try prepare(&engine.configuration)
        if options.reload { engine.middleware.insert(BuildErrors(path: Supervisor.buildErrors), at: 0) }
    }

    private func prepare(_ configuration: inout ServerConfiguration) throws {
        if let mask = options.umask.flatMap({ UInt32($0, radix: 8) }) { umask(mode_t(mask)) }
        if let count = options.openFiles { try ProcessLimits.setOpenFiles(count) }
        if let drainTime = options.drainTime { configuration.shutdownTimeout = .seconds(drainTime) }
        guard let worker = WorkerLink.current else {
            let notifier = ServiceNotifier()
            configuration.afterListening = {
                notifier.ready()
                Task { await notifier.stayAlive() }
            }
            return
        }
        configuration.worker = worker
        configuration.threads = min(configuration.threads, 64)
        if let identity = try options.identity { configuration.beforeListening = { try identity.assume() } }
    }

    /// Event loops of one process, if not set: all workers together have one per core.
    public static func threads(workers: Int?) -> Int { max(1, ServerConfiguration().threads / max(1, workers ?? 1)) }

    // MARK: The master

    private func master(
        _ first: Plan, _ watchedFiles: [String], _ sourceFolders: [String], _ plan: @escaping () throws -> Plan
    ) throws -> Int32 {
        if let mask = options.umask.flatMap({ UInt32($0, radix: 8) }) { umask(mode_t(mask)) }
        var settings = options.settings(drainTime: options.drainTime.map { .seconds($0) } ?? first.shutdownTimeout)
        settings.count = options.workers ?? first.workers ?? 1
        var own = Supervisor.Options(name: name, addresses: { try plan().addresses.map(\.listener) }, logger: logger)
        own.settings = settings
        own.watchedFiles = watchedFiles
        own.watchedFolders = options.reload ? sourceFolders : []
        own.watchesProgram = options.reload && sourceFolders.isEmpty
        let isBackground = ProcessInfo.processInfo.environment["SKEIN_READY"] != nil
        let inherited = Inheritance.isThere ? Inheritance.pidFilePath.flatMap { $0.isEmpty ? nil : $0 } : nil
        own.pidFile = try options.pidFile ?? inherited ?? (isBackground ? PidFile.standardPath(name: name) : nil)
        return try Supervisor(own).run()
    }

    // MARK: Commands

    private var daemon: Daemon {
        get throws {
            Daemon(
                pidFile: try options.pidFile.map(inFolder) ?? PidFile.standardPath(name: name),
                log: options.daemonLog.map(inFolder))
        }
    }

    /// A path as the server sees it.
    private func inFolder(_ path: String) -> String {
        guard let folder, !path.hasBytePrefix("/") else { return path }
        return "\(folder)/\(path)"
    }

    private func start() throws -> Never {
        // The arguments unchanged, without the command.
        var arguments = Array(CommandLine.arguments.dropFirst())
        // The first word, or the first word after a subcommand of skein.
        if let index = arguments.prefix(2).firstIndex(where: { ProcessCommand(word: $0) != nil }) {
            arguments.remove(at: index)
        }
        let daemon = try daemon
        let process = try daemon.start(arguments)
        throw done("started as process \(process); it writes to \(daemon.log)")
    }

    private func stop() throws -> Never {
        guard try daemon.stop() else {
            throw SkeinError(.exception, because: "it is not running (\(try daemon.pidFile))")
        }
        throw done("stopped")
    }

    private func status() throws -> Never {
        let daemon = try daemon
        guard let process = daemon.processID else {
            if options.json { say("{\"running\":false}") } else { say("it is not running (\(daemon.pidFile))") }
            throw ExitCode(3)  // as service scripts have it (LSB)
        }
        let report = try ServerStatusReport(master: process)
        if options.json {
            let encoder = JSONEncoder()
            encoder.outputFormatting = .sortedKeys
            say(String(decoding: try encoder.encode(report), as: UTF8.self))
        } else {
            say(report.text)
        }
        throw ExitCode(report.serving ? 0 : 4)
    }

    private func done(_ text: String) -> ExitCode {
        say(text)
        return ExitCode(0)
    }

    private func say(_ text: String) { print(text) }
}
