// skein run and skein check: an engine by a configuration file.

import ArgumentParser
import Foundation
import Logging
import SkeinConfiguration
import SkeinCore
import SkeinEngine

extension ConfigurationExample: ExpressibleByArgument {}

struct RunCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "run",
        abstract: "Serve, proxy and guard what a configuration file says.",
        discussion: """
            The file is TOML; `skein check FILE` says what is wrong with it, and what it means. On SIGHUP, or with --watch when it has \
            changed, it is read again: connections stay open and no request is lost. A file with mistakes is not taken over; the log \
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
        help: "Print a file to start from: \(ConfigurationExample.allCases.map(\.rawValue).joined(separator: ", ")).")
    var printExample: ConfigurationExample?

    func validate() throws {
        guard file != nil || printExample != nil else {
            throw ValidationError("Name a file, or begin with --print-example proxy > skein.toml.")
        }
    }

    func run() async throws {
        if let printExample { return Terminal.say(String(printExample.text.dropLast())) }
        guard let file else { return }
        let kept = KeptStates()
        var engine = try CheckCommand.read(file, keeping: kept).engine
        let logger = Logger.screen(label: "run")
        engine.configuration.logger = logger
        let first = engine.configuration
        let reload: @Sendable (HTTPServer) async -> Void = { server in
            do {
                let engine = try ConfigurationFile(file, keeping: kept).engine
                let changes = first.changesForRestart(to: engine.configuration)
                if !changes.isEmpty {
                    logger.warning("these settings change with a restart: \(changes.joined(separator: ", "))")
                }
                try await server.replace(with: engine)
                server.reload()
            } catch let error as ConfigurationError {
                for problem in error.problems { logger.error("\(problem)") }
                logger.error("\(file) has mistakes; what was read before stays in force")
            } catch {
                logger.error("\(file) is not read again: \(error); what was read before stays in force")
            }
        }
        let server = engine.replaceableServer()
        let watching = watch ? Task { await Self.watch(file) { await reload(server) } } : nil
        defer { watching?.cancel() }
        do {
            try await engine.serve(server, reload: reload)
        } catch let error as SkeinError {
            throw CommandFailure(error.message)
        }
    }

    /// Looks twice a second whether a file is another one.
    private static func watch(_ file: String, _ changed: () async -> Void) async {
        func state() -> [String] {
            let attributes = (try? FileManager.default.attributesOfItem(atPath: file)) ?? [:]
            return [FileAttributeKey.modificationDate, .size, .systemFileNumber].map { "\(attributes[$0] ?? "")" }
        }
        var last = state()
        while (try? await Task.sleep(for: .milliseconds(500))) != nil {
            let now = state()
            guard now != last else { continue }
            last = now
            await changed()
        }
    }
}

/// What ends a command with 1 and a message.
struct CommandFailure: Error, CustomStringConvertible {
    let description: String

    init(_ description: String) { self.description = description }
}

struct CheckCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "check",
        abstract: "Say what is wrong with a configuration file, and what it means.",
        discussion: """
            Each mistake is a line: file, line, column, key, and what was expected. The exit code is 0 for a good file, and 1 for \
            another.

              skein check skein.toml
              skein check skein.toml --explain
              skein check skein.toml --json
              skein check --settings
            """)

    @Argument(help: "The configuration file.", completion: .file(extensions: ["toml"]))
    var file: String?

    @Flag(help: "Print all settings with their values; those that were left out are comments with their defaults.")
    var explain = false

    @Flag(help: "Print the mistakes as JSON.")
    var json = false

    @Flag(help: "Print all settings that there are, as Markdown.")
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

    /// Reads a file; its mistakes are said, and end the program with 1.
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
