// The options of a server's processes: workers, their limits, running in the background.

import ArgumentParser
import SkeinCore
import SkeinEngine
import SkeinWorkers

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// The command that the first word of the command line gives to an engine's program.
public enum ProcessCommand: String, CaseIterable, ExpressibleByArgument, Sendable {
    /// Serve in the foreground.
    case run
    /// Serve in the background.
    case start
    /// Stop the server in the background.
    case stop
    /// Stop, then start.
    case restart
    /// Replace the old workers with new ones.
    case reload
    /// Replace the running program with the one on the disk.
    case upgrade
    /// Show the state.
    case status

    /// The command that a first word asks for, with the ancestor's options among them; nil for any other word.
    init?(word: String) {
        switch word {
        case "-d": self = .start
        case "-s": self = .stop
        case "-r": self = .restart
        case "run": return nil
        default:
            guard let command = Self(rawValue: word) else { return nil }
            self = command
        }
    }

    /// Converts a first word that is a command to an option: `start --db x` is `--process-command start --db x`.
    public static func asOption(_ words: [String]) -> [String] {
        guard let first = words.first, let command = ProcessCommand(word: first) else { return words }
        return ["--process-command", command.rawValue] + words.dropFirst()
    }
}

/// Options of a server's processes, as part of ``EngineOptions``.
public struct ProcessOptions: ParsableArguments {
    @Option(help: .hidden) var processCommand: ProcessCommand = .run

    /// Serve with this number of processes under a master, which replaces those that end. Default: one process without a master.
    @Option(
        help: ArgumentHelp(
            "Serve with this number of processes under a master, which replaces those that end. Default: one process without a master; in the background, one worker.",
            valueName: "count"))
    public var workers: Int?

    @Option(help: ArgumentHelp("Replace a worker that uses more than this share of a core.", valueName: "percent"))
    var workerCpu: Double?

    @Option(help: ArgumentHelp("How long the worker must exceed --worker-cpu.", valueName: "seconds"))
    var workerCpuSeconds: Int = 60

    @Option(help: ArgumentHelp("Replace a worker that uses more memory.", valueName: "MiB"))
    var workerMemory: Int?

    @Option(help: ArgumentHelp("Replace a worker after this number of requests.", valueName: "count"))
    var workerRequests: Int?

    @Option(help: ArgumentHelp("Replace a worker after this time.", valueName: "seconds"))
    var workerAge: Int?

    @Option(help: ArgumentHelp("Replace a worker that does not respond for this time.", valueName: "seconds"))
    var workerTimeout: Int = 30

    @Option(help: ArgumentHelp("Timeout for the start of a worker.", valueName: "seconds"))
    var startTimeout: Int = 60

    /// How long requests and WebSockets may continue when the server stops or a worker is replaced.
    @Option(
        help: ArgumentHelp(
            "How long requests and WebSockets may continue when the server stops or a worker is replaced.",
            valueName: "seconds"))
    public var drainTime: Int?

    /// The name in process lists and of the default pid file.
    @Option(help: ArgumentHelp("The name in process lists and of the default pid file.", valueName: "name"))
    public var name: String?

    /// The pid file of the master.
    @Option(help: ArgumentHelp("The pid file of the master.", valueName: "file"))
    public var pidFile: String?

    @Option(help: ArgumentHelp("The log file of a server in the background.", valueName: "file"))
    var daemonLog: String?

    @Option(help: "The user of workers, after the ports are open.")
    var user: String?

    @Option(help: "The group of workers. Default: that of the user.")
    var group: String?

    @Option(help: ArgumentHelp("The file mode mask (umask), in octal.", valueName: "mask"))
    var umask: String?

    @Option(help: ArgumentHelp("Maximum number of open files of each process.", valueName: "count"))
    var openFiles: Int?

    /// For development: rebuild and replace the program when its sources have changed, or load apps in Python again.
    @Flag(
        help:
            "For development: rebuild and replace the program when its sources have changed, or load apps in Python again; errors are shown in the browser."
    )
    public var reload = false

    @Flag(help: "With status: print JSON.")
    var json = false

    /// The defaults.
    public init() {}

    /// Checks that the options are compatible.
    public func validate() throws {
        guard (1...64).contains(workers ?? 1) else { throw ValidationError("--workers must be from 1 to 64.") }
        guard workerCpu ?? 1 > 0, workerCpuSeconds > 0, workerMemory ?? 1 > 0, workerRequests ?? 1 > 0,
            workerAge ?? 1 > 0, workerTimeout > 0, startTimeout > 0, drainTime ?? 0 >= 0, openFiles ?? 1 > 0
        else { throw ValidationError("Worker limits must be numbers above 0.") }
        if let umask, UInt32(umask, radix: 8).map({ $0 <= 0o777 }) != true {
            throw ValidationError("--umask must be an octal number up to 777.")
        }
        guard group == nil || user != nil else { throw ValidationError("--group needs --user.") }
        guard !json || processCommand == .status else {
            throw ValidationError("--json is only for the command status.")
        }
        if let name {
            let isSound = !name.isEmpty && name.utf8.count <= 64 && !name.utf8.contains { $0 == 0x2f || $0 < 0x20 }
            guard isSound else { throw ValidationError("--name must have 1 to 64 bytes and no slash.") }
        }
    }

    /// Whether this process only sends a command to another one, so that it needs none of a server's resources.
    public var isForAnotherProcess: Bool { [.stop, .reload, .upgrade, .status].contains(processCommand) }

    /// Whether a master is needed.
    var needsMaster: Bool {
        workers != nil || reload || processCommand == .start || processCommand == .restart || isDaemon
            || Inheritance.isThere
    }

    private var isDaemon: Bool { ProcessInfo.processInfo.environment["SKEIN_READY"] != nil }

    func settings(drainTime: Duration) -> SupervisorMachine.Settings {
        var settings = SupervisorMachine.Settings()
        settings.count = workers ?? 1
        settings.cpuLimit = workerCpu
        settings.cpuTime = .seconds(workerCpuSeconds)
        settings.memoryLimit = workerMemory.map { $0 << 20 }
        settings.maximumRequests = workerRequests
        settings.maximumAge = workerAge.map { .seconds($0) }
        settings.readyTimeout = .seconds(startTimeout)
        settings.heartbeatTimeout = .seconds(workerTimeout)
        settings.drainTimeout = drainTime + .seconds(5)
        return settings
    }

    var identity: ProcessIdentity? {
        get throws { try user.map { try ProcessIdentity(user: $0, group: group) } }
    }
}
