// Where a server of the command line listens.

import ArgumentParser
import SkeinEngine

struct ListenOptions: ParsableArguments {
    @Option(help: "HOST:PORT, [IPV6]:PORT, unix:PATH, or systemd for the sockets it hands over; port 0 is a free one.")
    var listen: String = "127.0.0.1:8080"

    @Option(help: "Event-loop threads. Default: one a core.")
    var threads: Int?

    @Option(help: ArgumentHelp("Speak TLS with the certificate in this PEM file.", valueName: "file"))
    var tlsCert: String?

    @Option(help: ArgumentHelp("The private key of --tls-cert. Default: in the same file.", valueName: "file"))
    var tlsKey: String?

    func check() throws {
        if listen != "systemd" { _ = try ListenAddress.parse(listen) }
        guard tlsKey == nil || tlsCert != nil else {
            throw ValidationError("--tls-key belongs to a certificate; add --tls-cert FILE.")
        }
        guard threads ?? 1 > 0 else { throw ValidationError("--threads must be at least 1.") }
    }

    /// - Parameter label: the name at the start of lines on the screen.
    func configuration(label: String) throws -> ServerConfiguration {
        var configuration = ServerConfiguration()
        configuration.logger = .screen(label: label)
        if let threads { configuration.threads = threads }
        if let tlsCert {
            configuration.tls = ServerTLSOptions(certificates: [
                .init(certificateFile: tlsCert, keyFile: tlsKey ?? tlsCert)
            ])
        }
        if listen == "systemd" {
            configuration.addresses = ServerConfiguration.Address.systemd()
            guard !configuration.addresses.isEmpty else {
                throw ValidationError("systemd has handed over no sockets; is this the service of a .socket unit?")
            }
        } else {
            let address = try ListenAddress.parse(listen)
            if tlsCert != nil, case .tcp(let host, let port) = address {
                configuration.addresses = [.tls(host, port: port)]
            } else {
                configuration.addresses = [address]
            }
        }
        return configuration
    }
}

/// Reads the addresses of `--listen`.
enum ListenAddress {
    static func parse(_ text: String) throws -> ServerConfiguration.Address {
        if text.hasPrefix("unix:") { return .unix(path: String(text.dropFirst(5))) }
        guard let colon = text.lastIndex(of: ":"), let port = Int(text[text.index(after: colon)...]),
            (0...65535).contains(port)
        else { throw ValidationError("\(text.debugDescription) is not an address; write HOST:PORT or unix:PATH.") }
        var host = text[..<colon]
        if host.hasPrefix("["), host.hasSuffix("]") { host = host.dropFirst().dropLast() }
        guard !host.isEmpty else {
            throw ValidationError("\(text.debugDescription) has no host; 0.0.0.0 is every address.")
        }
        return .tcp(String(host), port: port)
    }
}

/// The log of requests, as it is asked for on the command line.
struct RequestLogArguments: ParsableArguments {
    @Option(help: ArgumentHelp("Write a line for each request; - is standard output.", valueName: "file"))
    var log: String?

    @Option(help: "skein, combined, common or json.")
    var logFormat: RequestLogOptions.Format = .skein

    @Option(help: ArgumentHelp("Paths that are not logged: /static/ or *.css; may be repeated.", valueName: "pattern"))
    var logOff: [String] = []

    @Option(help: ArgumentHelp("The size at which a new file is begun.", valueName: "bytes"))
    var logSize: Int = 100 << 20

    @Option(help: ArgumentHelp("Full files that are kept.", valueName: "count"))
    var logKeep: Int = 5

    var options: RequestLogOptions? {
        guard let log else { return nil }
        var options = RequestLogOptions(log)
        options.format = logFormat
        options.off = logOff
        options.maximumBytes = max(1, logSize)
        options.keep = max(0, logKeep)
        return options
    }
}

extension RequestLogOptions.Format: ExpressibleByArgument {}
