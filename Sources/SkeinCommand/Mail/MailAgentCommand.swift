// skein mail agent: the process that delivers mail.

import ArgumentParser
import Logging
import SkeinCore
import SkeinEngine
import SkeinMail
import SkeinTransport
import SkeinWorkers
import UnixSignals

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

struct MailAgentCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "agent",
        abstract: "Deliver the messages of the spool.",
        discussion: """
            One agent at a time works on a spool. It is independent of the apps that store messages, and can be stopped at any time: \
            no message is lost. `restart` without options uses those of the last start.

            \(MailArguments.servers)

              skein mail agent start --relay smtp://user:password@mail.example.org:587
              skein mail agent status --json
              skein mail agent stop
            """,
        subcommands: [Run.self, Start.self, Stop.self, Restart.self, Status.self], defaultSubcommand: Status.self)

    /// The options for delivery.
    struct Options: ParsableArguments {
        @OptionGroup var spool: SpoolOption

        @Option(
            help: ArgumentHelp(
                "Send all mail to this server, for example smtp://user:password@host:587. Default: SKEIN_MAIL_RELAY, or the servers of each domain.",
                valueName: "url"))
        var relay: String?

        @Option(help: ArgumentHelp("The agent's name in EHLO. Default: the name of this host.", valueName: "host"))
        var name: String?

        @Option(help: ArgumentHelp("Concurrent deliveries to a destination.", valueName: "count"))
        var concurrency = 20

        @Option(help: ArgumentHelp("Concurrent deliveries to all destinations.", valueName: "count"))
        var totalConcurrency = 100

        @Option(help: ArgumentHelp("Messages per second to a destination. Default: no limit.", valueName: "number"))
        var rate: Double?

        @Option(
            help: ArgumentHelp(
                "The delay after the first failure, which doubles after each further one.", valueName: "seconds"))
        var firstRetry = 300.0

        @Option(help: ArgumentHelp("The maximum delay.", valueName: "seconds"))
        var longestRetry = 14_400.0

        @Flag(
            name: .customLong("require-tls"),
            help: "Require TLS with a verified certificate for servers found in the DNS.")
        var requireTLS = false

        @Flag(
            name: .customLong("mta-sts"),
            help: "Follow the MTA-STS policies of domains: their servers, and verified TLS if required.")
        var mtaSTS = false

        @Flag(help: "Of the servers found in the DNS, use only those with public addresses.")
        var publicOnly = false

        @Option(help: ArgumentHelp("Use this DNS server; may be repeated.", valueName: "address[:port]"))
        var dns: [String] = []

        @Option(help: ArgumentHelp("The port of servers found in the DNS.", valueName: "number"))
        var port = 25

        @Option(
            help: ArgumentHelp(
                "Serve a status page at this address, and /.metrics for Prometheus.", valueName: "[host:]port"))
        var page: String?

        @Flag(help: "Log more.")
        var verbose = false

        @Option(
            help: ArgumentHelp(
                "Write the log to this file, which is rotated at 10 MiB.", valueName: "file"))
        var log: String?

        func validate() throws {
            guard (1...1000).contains(concurrency), (1...10_000).contains(totalConcurrency), rate ?? 1 > 0,
                rate ?? 1 < 1e6,
                (0.01...1e7).contains(firstRetry), (0.01...1e7).contains(longestRetry), (1...65535).contains(port)
            else { throw ValidationError("Counts, times, rates and ports must be numbers above 0.") }
            if let page { _ = try PageAddress.read(page) }
            _ = try MailArguments.server(relay)
            if let name { try MailArguments.check([MailAddress(name: nil, "a@\(name)")]) }
            for server in dns where IPAddress.server(server, port: 53) == nil {
                throw ValidationError(
                    "\(server.debugDescription) is not the address of a DNS server; write ADDRESS or ADDRESS:PORT.")
            }
        }

        func configuration() throws -> MailAgent.Configuration {
            let environment = ProcessInfo.processInfo.environment["SKEIN_MAIL_RELAY"] ?? ""
            var configuration = MailAgent.Configuration(
                relay: try MailArguments.server(relay) ?? (environment.isEmpty ? nil : environment))
            if let name { configuration.name = name }
            configuration.concurrency = min(5, concurrency)...concurrency
            configuration.totalConcurrency = totalConcurrency
            configuration.rate = rate
            configuration.firstRetry = .seconds(firstRetry)
            configuration.longestRetry = .seconds(longestRetry)
            configuration.requiresTLS = requireTLS
            configuration.port = port
            configuration.usesTransportPolicies = mtaSTS
            if publicOnly { configuration.addresses = .publicOnly }
            if !dns.isEmpty { configuration.dns.servers = dns }
            if let log { configuration.logger = try .file(log, label: "mail") }
            configuration.logger.logLevel = verbose ? .debug : .info
            return configuration
        }

        /// The arguments with which the same agent runs in the background.
        var arguments: [String] {
            var words = ["mail", "agent", "run", "--spool", spool.folder, "--log", log ?? "\(spool.folder)/agent.log"]
            // Not on the command line, which everybody on this machine can read.
            if let name { words += ["--name", name] }
            words += ["--concurrency", "\(concurrency)", "--total-concurrency", "\(totalConcurrency)"]
            if let rate { words += ["--rate", "\(rate)"] }
            words += ["--first-retry", "\(firstRetry)", "--longest-retry", "\(longestRetry)", "--port", "\(port)"]
            if requireTLS { words.append("--require-tls") }
            if publicOnly { words.append("--public-only") }
            if mtaSTS { words.append("--mta-sts") }
            for server in dns { words += ["--dns", server] }
            if let page { words += ["--page", page] }
            if verbose { words.append("--verbose") }
            return words
        }

        /// The options of the last start, for the next one.
        private struct Saved: Codable {
            let arguments: [String]
            let relay: String?
        }

        private var file: String { "\(spool.folder)/agent.json" }
        /// Whether only the spool was named.
        private var isPlain: Bool {
            relay == nil && (try? Options.parse(["--spool", spool.folder]))?.arguments == arguments
        }

        func start(again: Bool = false) throws {
            let daemon = try spool.agent()
            var saved = Saved(arguments: arguments, relay: try MailArguments.server(relay))
            if again, isPlain, let document = FileManager.default.contents(atPath: file),
                let read = try? JSON.decode(Saved.self, from: Array(document))
            {
                saved = read
            }
            _ = try spool.make()
            do throws(SkeinError) {
                if again { _ = try daemon.stop() }
                if let relay = saved.relay { setenv("SKEIN_MAIL_RELAY", relay, 1) }
                let process = try daemon.start(saved.arguments, within: .seconds(30))
                Terminal.say(
                    "the agent of \(spool.folder) is running as process \(process); its log: \(log ?? daemon.log)")
            } catch {
                throw CommandFailure(error)
            }
            // It may hold a password.
            let old = umask(0o077)
            defer { umask(old) }
            try? Data((try? JSON.encode(saved)) ?? []).write(to: URL(filePath: file), options: .atomic)
        }
    }

    struct Run: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Deliver in the foreground, until a signal arrives.")
        @OptionGroup var options: Options

        func run() async throws {
            let readiness = Readiness()
            let notifier = ServiceNotifier()
            let spool = try options.spool.make()
            let agent = MailAgent(spool, try options.configuration())
            var server: HTTPServer?
            if let page = options.page { server = try await AgentPage.serve(agent, at: PageAddress.read(page)) }
            let delivering = Task {
                try await agent.run {
                    readiness.tell()
                    notifier.ready()
                }
            }
            let signals = Task {
                // Without a terminal it continues to run.
                for await signal in await UnixSignalsSequence(trapping: .sigterm, .sigint, .sighup)
                where signal != .sighup {
                    delivering.cancel()
                }
            }
            defer { signals.cancel() }
            do {
                try await delivering.value
            } catch let error as SkeinError {
                throw CommandFailure(error)
            }
            await server?.stop()
        }
    }

    struct Start: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Deliver in the background.")
        @OptionGroup var options: Options

        func run() async throws { try options.start() }
    }

    struct Stop: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Stop the agent; deliveries in progress have half a minute to finish.")
        @OptionGroup var spool: SpoolOption

        func run() async throws {
            let daemon = try spool.agent()
            do {
                Terminal.say(
                    try daemon.stop()
                        ? "the agent of \(spool.folder) has ended" : "no agent of \(spool.folder) is running")
            } catch {
                throw CommandFailure(error.message)
            }
        }
    }

    struct Restart: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Stop the agent, and start another one.")
        @OptionGroup var options: Options

        func run() async throws { try options.start(again: true) }
    }

    struct Status: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Print the state of the agent.",
            discussion: "The exit code is 0 if the agent runs, and 1 otherwise.")
        @OptionGroup var spool: SpoolOption

        @Flag(help: "Print JSON.")
        var json = false

        func run() async throws {
            let folder = spool.folder
            let process = try spool.agent().processID
            let document = FileManager.default.contents(atPath: "\(folder)/status.json")
            let status = document.flatMap { try? JSON.decode(AgentStatus.self, from: Array($0)) }
            guard let process else {
                Terminal.say(json ? "{\"running\":false}" : "no agent of \(folder) is running")
                throw ExitCode(1)
            }
            if json {
                var object: JSONValue = ["running": true, "process": .integer(Int(process))]
                if let document, let read = try? JSONValue(json: Array(document)), case .object(var members) = read {
                    members["running"] = true
                    object = .object(members)
                }
                return Terminal.say(object.json)
            }
            Terminal.say("the agent of \(folder) is running as process \(process)")
            guard let status else { return }
            let counters = status.counters
            Terminal.say(
                "\(status.messages) messages, \(status.running) deliveries under way, \(status.connections) connections so far"
            )
            Terminal.say(
                "delivered \(counters.delivered), deferred \(counters.deferred), failed \(counters.failed) (expired \(counters.expired)), possibly delivered twice \(counters.uncertain)"
            )
            for destination in status.destinations {
                Terminal.say(
                    "  \(destination.name): \(destination.waiting) waiting, \(destination.running) under way\(destination.isResting ? ", cannot be reached" : "")"
                )
            }
        }
    }
}

/// The agent beside a server.
struct MailAgentOption: ParsableArguments {
    @Flag(help: "Start the mail agent of this user's spool, unless one runs; it continues when the server ends.")
    var mailAgent = false

    @Option(
        help: ArgumentHelp(
            "The server that the agent sends all mail to. Default: SKEIN_MAIL_RELAY, or the servers of each domain.",
            valueName: "url"))
    var mailRelay: String?

    func validate() throws {
        guard mailAgent || mailRelay == nil else { throw ValidationError("--mail-relay needs --mail-agent.") }
    }

    func start() throws {
        guard mailAgent else { return }
        var words: [String] = []
        if let mailRelay { words = ["--relay", mailRelay] }
        let options = try MailAgentCommand.Options.parse(words)
        let daemon = try options.spool.agent()
        guard daemon.processID == nil else { return }
        do {
            try options.start()
        } catch {
            // Another worker may have been faster.
            if daemon.processID == nil { throw error }
        }
    }
}

/// Addresses of pages on the command line.
enum PageAddress {
    /// A port of this machine, or an address as `--listen` of a server accepts it.
    static func read(_ text: String) throws -> (host: String, port: Int) {
        let whole = text.containsByte(":") ? text : "127.0.0.1:\(text)"
        guard case .tcp(let host, let port)? = ServerConfiguration.Address(whole) else {
            throw ValidationError("\(text.debugDescription) is not an address; write PORT, HOST:PORT or [IPV6]:PORT.")
        }
        return (host, port)
    }
}

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif
