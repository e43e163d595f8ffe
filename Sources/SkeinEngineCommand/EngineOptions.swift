// The options that every program of an engine has on its command line, in addition to its own.

import ArgumentParser
import SkeinEngine
import SkeinTransport
import SkeinWorkers
import Synchronization

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

extension ServerConfiguration.Forwarding: ExpressibleByArgument {}

/// Options of an engine for a program's own command line:
///
///     @main struct Blog: EngineCommand {
///         @OptionGroup var options: EngineOptions
///         @Option(help: "The database.") var db = "blog.sqlite"
///
///         func mount(into engine: inout Engine) async throws { engine.mount("/", Pages(db)) }
///     }
///
/// `blog --help` then lists `--db` and all of these options.
public struct EngineOptions: ParsableArguments {
    /// HOST:PORT, [IPV6]:PORT, unix:PATH, or systemd for the sockets it passes; port 0 is a free one.
    @Option(help: "HOST:PORT, [IPV6]:PORT, unix:PATH, or systemd for the sockets it passes; port 0 is a free one.")
    public var listen: String = "127.0.0.1:8080"

    /// Event-loop threads. Default: one per core.
    @Option(help: "Event-loop threads. Default: one per core.")
    public var threads: Int?

    /// Use TLS with the certificate in this PEM file.
    @Option(help: ArgumentHelp("Use TLS with the certificate in this PEM file.", valueName: "file"))
    public var tlsCert: String?

    /// The private key of --tls-cert. Default: in the same file.
    @Option(help: ArgumentHelp("The private key of --tls-cert. Default: in the same file.", valueName: "file"))
    public var tlsKey: String?

    /// Redirect clear-text requests on this port to the port of --listen.
    @Option(help: ArgumentHelp("Redirect clear-text requests on this port to the port of --listen.", valueName: "port"))
    public var forward: Int?

    /// Trust client fields set by proxies at these addresses; may be repeated.
    @Option(
        help: ArgumentHelp(
            "Trust client fields set by proxies at these addresses; may be repeated.", valueName: "address/bits"))
    public var trust: [String] = []

    /// The fields about the client that trusted proxies set: x-forwarded or forwarded.
    @Option(help: "The fields about the client that trusted proxies set: x-forwarded or forwarded.")
    public var forwarding: ServerConfiguration.Forwarding = .xForwarded

    /// Let clients switch to HTTP/2 in clear text with Upgrade: h2c.
    @Flag(name: .customLong("h2c-upgrade"), help: "Let clients switch to HTTP/2 in clear text with Upgrade: h2c.")
    public var h2cUpgrade = false

    /// Expect a PROXY header on every connection (from a load balancer).
    @Flag(help: "Expect a PROXY header on every connection (from a load balancer).")
    public var proxyProtocol = false

    /// Write the request log to this file; - is standard output.
    @Option(help: ArgumentHelp("Write the request log to this file; - is standard output.", valueName: "file"))
    public var log: String?

    /// The log format: skein, combined, common or json.
    @Option(help: "The log format: skein, combined, common or json.")
    public var logFormat: RequestLogConfiguration.Format = .skein

    /// Paths that are not logged: /static/ or *.css; may be repeated.
    @Option(help: ArgumentHelp("Paths that are not logged: /static/ or *.css; may be repeated.", valueName: "pattern"))
    public var logOff: [String] = []

    /// The size at which the log file is rotated.
    @Option(help: ArgumentHelp("The size at which the log file is rotated.", valueName: "bytes"))
    public var logSize: Int = 100 << 20

    /// The number of rotated files to keep.
    @Option(help: ArgumentHelp("The number of rotated files to keep.", valueName: "count"))
    public var logKeep: Int = 5

    /// The working folder, to which paths are relative.
    @Option(help: ArgumentHelp("The working folder, to which paths are relative.", valueName: "folder"))
    public var chdir: String?

    @OptionGroup(title: "Processes") public var processes: ProcessOptions

    /// The defaults.
    public init() {}

    /// Checks that the options are compatible.
    public func validate() throws {
        if listen != "systemd" { _ = try Self.address(listen) }
        guard tlsKey == nil || tlsCert != nil else {
            throw ValidationError("--tls-key needs a certificate; add --tls-cert FILE.")
        }
        guard (1...1024).contains(threads ?? 1) else { throw ValidationError("--threads must be from 1 to 1024.") }
        for range in trust where AddressRange(range) == nil {
            throw ValidationError("\(range.debugDescription) is not an address range; write 10.0.0.0/8.")
        }
        guard forward == nil || tlsCert != nil else {
            throw ValidationError("--forward sends clients to TLS; add --tls-cert FILE.")
        }
    }

    /// Changes to the folder of `--chdir`, and converts the options to settings.
    /// - Parameter label: the name at the start of lines on the screen.
    /// - Throws: `ValidationError` for invalid options.
    public func configuration(label: String) throws -> ServerConfiguration {
        try goToFolder()
        var configuration = ServerConfiguration()
        configuration.logger = .screen(label: label)
        configuration.threads = threads ?? EngineProcess.threads(workers: processes.workers)
        configuration.forwarding = forwarding
        configuration.http2.allowsUpgrade = h2cUpgrade
        if let tlsCert {
            configuration.tls = ServerTLSConfiguration(certificates: [
                .init(certificateFile: tlsCert, keyFile: tlsKey ?? tlsCert)
            ])
        }
        configuration.addresses = try addresses()
        if let forward, case .tls(let host, let port)? = configuration.addresses.first {
            configuration.addresses.append(.tcp(host, port: forward))
            configuration.forwardsToTLS = port
        }
        configuration.trustedProxies = trust.compactMap { AddressRange($0) }
        configuration.expectsProxyHeader = proxyProtocol
        configuration.requestLog = log.map { path in
            var options = RequestLogConfiguration(path)
            options.format = logFormat
            options.off = logOff
            options.maximumBytes = max(1, logSize)
            options.keep = max(0, logKeep)
            return options
        }
        return configuration
    }

    /// Once: the processes of a server start in the folder to which their master has changed.
    private func goToFolder() throws {
        _ = ProgramPath.current  // before it changes
        guard let chdir, !Self.hasGone.exchange(true, ordering: .relaxed) else { return }
        if WorkerLink.current != nil || Inheritance.isThere { return }
        guard FileManager.default.changeCurrentDirectoryPath(chdir) else {
            throw ValidationError("\(chdir.debugDescription) is not a usable folder.")
        }
    }

    private static let hasGone = Atomic<Bool>(false)

    private func addresses() throws -> [ServerConfiguration.Address] {
        guard listen == "systemd" else {
            let address = try Self.address(listen)
            if tlsCert != nil, case .tcp(let host, let port) = address { return [.tls(host, port: port)] }
            return [address]
        }
        let handed = ServerConfiguration.Address.systemd()
        guard !handed.isEmpty else {
            throw ValidationError("systemd passed no sockets; is this the service of a .socket unit?")
        }
        return handed
    }

    private static func address(_ text: String) throws -> ServerConfiguration.Address {
        if let address = ServerConfiguration.Address(text) { return address }
        throw ValidationError(
            "\(text.debugDescription) is not an address; write HOST:PORT, [IPV6]:PORT or unix:PATH (0.0.0.0 is every address)."
        )
    }
}

extension RequestLogConfiguration.Format: ExpressibleByArgument {}

/// A program that is an engine: it mounts its apps, and has its own options in addition to those of the engine.
public protocol EngineCommand: AsyncParsableCommand {
    /// The engine's options, as an `@OptionGroup`.
    var options: EngineOptions { get }

    /// Mounts the apps, and changes settings that are not on the command line.
    /// - Throws: an error that keeps the program from starting.
    func mount(into engine: inout Engine) async throws

    /// Folders of Python apps, which are reloaded with `--reload` when a source file has changed. Default: none; the
    /// program itself is rebuilt.
    var sourceFolders: [String] { get }
}

extension EngineCommand {
    /// None.
    public var sourceFolders: [String] { [] }

    /// Executes the command line; its first word may be `start`, `stop`, `restart`, `reload`, `upgrade` or `status`.
    public static func main() async {
        await main(ProcessCommand.asOption(Array(CommandLine.arguments.dropFirst())))
    }

    /// Serves until SIGTERM or SIGINT, runs as the master of the processes that serve, or sends a command to a master.
    public mutating func run() async throws {
        let name = Self.configuration.commandName ?? "\(Self.self)".lowercased()
        let process = EngineProcess(
            options.processes, name: name, folder: options.chdir, logger: .screen(label: name))
        let options = options
        let isServing = try process.serves(sourceFolders: sourceFolders) {
            let configuration = try options.configuration(label: name)
            return .init(addresses: configuration.addresses, shutdownTimeout: configuration.shutdownTimeout)
        }
        guard isServing else { return }
        var engine = Engine(try options.configuration(label: WorkerLink.current.map { "\(name) W\($0.slot)" } ?? name))
        try await mount(into: &engine)
        try process.prepare(&engine)
        try await engine.serve()
    }
}
