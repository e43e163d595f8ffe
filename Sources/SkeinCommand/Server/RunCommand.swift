// skein run and skein check: an engine from a configuration file.

import ArgumentParser
import Foundation
import Logging
import SkeinACME
import SkeinConfiguration
import SkeinCore
import SkeinEngine
import SkeinEngineCommand
import SkeinWorkers
import Synchronization

extension ConfigurationExample: ExpressibleByArgument {}

struct RunCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "run",
        abstract: "Run the server, proxy or gateway that a configuration file describes.",
        discussion: """
            The file is TOML; `skein check FILE` prints its mistakes and its settings. On SIGHUP, or with --watch when it has \
            changed, it is read again: connections stay open and no request is lost. A file with mistakes is ignored; the log \
            says why.

              skein run --print-example proxy > skein.toml
              skein check skein.toml
              skein run skein.toml --watch
            """)

    @Argument(help: "The configuration file.", completion: .file(extensions: ["toml"]))
    var file: String?

    @Flag(help: "Read the file again when it has changed.")
    var watch = false

    @Option(
        help: "Print an example file: \(ConfigurationExample.allCases.map(\.rawValue).joined(separator: ", ")).")
    var printExample: ConfigurationExample?

    @OptionGroup(title: "Mail") var mail: MailAgentOption

    @OptionGroup(title: "Processes") var processes: ProcessOptions

    func validate() throws {
        guard file != nil || printExample != nil || processes.isForAnotherProcess else {
            throw ValidationError("Name a file, or begin with --print-example proxy > skein.toml.")
        }
    }

    func run() async throws {
        if let printExample { return Terminal.say(String(printExample.text.dropLast())) }
        let file = file ?? ""
        let worker = WorkerLink.current
        let logger = Logger.screen(label: worker.map { "run W\($0.slot)" } ?? "run")
        let process = EngineProcess(processes, name: "run", logger: logger)
        let isServing = try process.serves(watching: watch ? [file] : []) { [processes] in
            let read = try CheckCommand.read(file, keeping: KeptStates(isForReading: true))
            let workers = processes.workers ?? read.workers
            if read.acme != nil, workers ?? 1 > 1 {
                throw CommandFailure(
                    "[acme] needs a single worker: with several, validation requests could reach the wrong one")
            }
            return .init(
                addresses: read.engine.configuration.addresses,
                shutdownTimeout: read.engine.configuration.shutdownTimeout, workers: read.workers)
        }
        guard isServing else { return }
        try mail.start()
        let kept = KeptStates()
        let read = try CheckCommand.read(file, keeping: kept)
        var engine = read.engine
        if read.threads == nil, let workers = processes.workers {
            engine.configuration.threads = EngineProcess.threads(workers: workers)
        }
        try process.prepare(&engine)
        engine.configuration.logger = logger
        let certificates = Certificates()
        do {
            if let acme = read.acme {
                let manager = try CertificateManager(
                    acme, challenges: certificates.challenges, logger: logger, renewed: { certificates.renewed() })
                certificates.add(manager, to: &engine)
            }
        } catch let error as SkeinError {
            throw CommandFailure(error.message)
        }
        let (first, acme) = (engine.configuration, read.acme)
        let reload: @Sendable (HTTPServer) async -> Void = { server in
            do {
                let read = try ConfigurationFile(file, keeping: kept)
                var engine = read.engine
                certificates.add(to: &engine)
                var changes = first.changesForRestart(to: engine.configuration)
                if read.acme != acme { changes.append("acme") }
                if !changes.isEmpty {
                    logger.warning("these settings need a restart to change: \(changes.joined(separator: ", "))")
                }
                try await server.replace(with: engine)
                kept.dropUnused()
                server.reload()
            } catch let error as ConfigurationError {
                for problem in error.problems { logger.error("\(problem)") }
                logger.error("\(file) has mistakes; the previous configuration stays in force")
            } catch {
                logger.error("\(file) cannot be reloaded: \(error); the previous configuration stays in force")
            }
        }
        let server = engine.replaceableServer()
        certificates.server = server
        let managing = certificates.manager.map { manager in
            Task {
                // The authority validates the names immediately.
                while !server.isListening { try await Task.sleep(for: .milliseconds(20)) }
                try await manager.run()
            }
        }
        // Reloads run one after the other, whatever requests them.
        let (asked, ask) = AsyncStream.makeStream(of: Void.self, bufferingPolicy: .bufferingNewest(1))
        let reloading = Task { for await _ in asked { await reload(server) } }
        // Under a master, a changed file makes the master replace its workers.
        let watching = watch && worker == nil ? Task { await Self.watch(file) { ask.yield() } } : nil
        defer {
            watching?.cancel()
            reloading.cancel()
        }
        do {
            try await engine.serve(server) { _ in ask.yield() }
        } catch let error as SkeinError {
            managing?.cancel()
            throw CommandFailure(error.message)
        }
        managing?.cancel()
        _ = await managing?.result  // a record of DNS is cleared
    }

    /// Checks twice a second whether a file has changed and is not being written.
    private static func watch(_ file: String, _ changed: () -> Void) async {
        func state() -> [String] {
            let attributes = (try? FileManager.default.attributesOfItem(atPath: file)) ?? [:]
            return [FileAttributeKey.modificationDate, .size, .systemFileNumber].map { "\(attributes[$0] ?? "")" }
        }
        var (read, seen) = (state(), state())
        while (try? await Task.sleep(for: .milliseconds(500))) != nil {
            let now = state()
            if now == seen, now != read {
                read = now
                changed()
            }
            seen = now
        }
    }
}

/// The certificate that an engine requests automatically.
private final class Certificates: Sendable {
    private struct State {
        var manager: CertificateManager?
        var server: HTTPServer?
    }

    let challenges = CertificateChallenges()
    private let state = Mutex(State())

    var manager: CertificateManager? { state.withLock { $0.manager } }
    var server: HTTPServer? {
        get { state.withLock { $0.server } }
        set { state.withLock { $0.server = newValue } }
    }

    func add(_ manager: CertificateManager, to engine: inout Engine) {
        state.withLock { $0.manager = manager }
        add(to: &engine)
    }

    /// The certificate precedes those of files, which are for other names.
    func add(to engine: inout Engine) {
        guard let manager else { return }
        engine.challenges = challenges
        var tls = engine.configuration.tls ?? ServerTLSConfiguration(certificates: [])
        tls.certificates.insert(manager.certificate, at: 0)
        engine.configuration.tls = tls
    }

    func renewed() {
        do throws(SkeinError) { try server?.reloadCertificates() } catch { server?.reload() }
    }
}

/// An error that ends a command with exit code 1 and a message.
struct CommandFailure: Error, CustomStringConvertible {
    let description: String

    init(_ description: String) { self.description = description }
}

struct CheckCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "check",
        abstract: "Print the mistakes of a configuration file, or its settings.",
        discussion: """
            Each mistake is a line: file, line, column, key, and the expected value. The exit code is 0 for a valid file, and 1 \
            otherwise.

              skein check skein.toml
              skein check skein.toml --explain
              skein check skein.toml --json
              skein check --settings
            """)

    @Argument(help: "The configuration file.", completion: .file(extensions: ["toml"]))
    var file: String?

    @Flag(help: "Print all settings with their values; missing ones are comments with their defaults.")
    var explain = false

    @Flag(help: "Print the mistakes as JSON.")
    var json = false

    @Flag(help: "Print all available settings, as Markdown.")
    var settings = false

    func validate() throws {
        guard file != nil || settings else { throw ValidationError("Name a file.") }
    }

    func run() async throws {
        if settings { return Terminal.say(String(ConfigurationFile.reference.dropLast())) }
        guard let file else { return }
        if json {
            do {
                _ = try ConfigurationFile(file)
                Terminal.say("[]")
            } catch let error as ConfigurationError {
                Terminal.say(String(decoding: try JSONEncoder().encode(error.problems), as: UTF8.self))
                throw ExitCode(1)
            }
            return
        }
        let read = try Self.read(file)
        Terminal.say(explain ? String(read.explanation.dropLast()) : "\(file) is good")
    }

    /// Reads a file; its errors are printed, and end the program with exit code 1.
    static func read(_ file: String, keeping kept: KeptStates = KeptStates()) throws -> ConfigurationFile {
        do {
            return try ConfigurationFile(file, keeping: kept)
        } catch let error as ConfigurationError {
            for problem in error.problems { Terminal.complain("\(problem)") }
            throw ExitCode(1)
        } catch let error as SkeinError {
            Terminal.complain(error.message)
            throw ExitCode(1)
        }
    }
}
