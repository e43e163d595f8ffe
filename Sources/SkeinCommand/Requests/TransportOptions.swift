// Options for connections: shared by all commands that connect.

import ArgumentParser
import Foundation
import Skein

struct TransportOptions: ParsableArguments {
    @Flag(
        name: [.short, .long],
        help: "Accept any certificate: the connection is encrypted, but the server is not verified.")
    var insecure = false

    @Option(
        help: ArgumentHelp("Trust the certificates in this PEM file or directory, and no others.", valueName: "path"))
    var cacert: String?

    @Option(
        name: [.customShort("E"), .long], help: ArgumentHelp("The client certificate (a PEM file).", valueName: "file"))
    var cert: String?

    @Option(help: ArgumentHelp("The private key of --cert. Default: in the same file.", valueName: "file"))
    var key: String?

    @Option(
        name: [.customShort("x"), .long],
        help: ArgumentHelp(
            "Use this proxy: http://[USER:PASSWORD@]HOST:PORT or socks5://…. Default: that of HTTP_PROXY, "
                + "HTTPS_PROXY or ALL_PROXY, except for the hosts in NO_PROXY.", valueName: "url"))
    var proxy: String?

    @Option(
        help: ArgumentHelp(
            "Use ADDRESS for HOST and this port; may be repeated.", valueName: "host:port:address"))
    var resolve: [String] = []

    @Option(
        help: ArgumentHelp("Use this DNS server; may be repeated. Default: the system's.", valueName: "address[:port]"))
    var dnsServer: [String] = []

    @Flag(help: "Refuse responses that violate RFC 9112; by default, those that curl accepts are accepted.")
    var strict = false

    func validate() throws {
        for entry in resolve { _ = try Self.parse(entry) }
        if let proxy { do { _ = try Proxy(proxy) } catch { throw ValidationError("\(error.message).") } }
        guard key == nil || cert != nil else {
            throw ValidationError("--key needs a certificate; add --cert FILE.")
        }
    }

    /// `HOST:PORT:ADDRESS`; an address may be in brackets.
    private static func parse(_ entry: String) throws -> (host: String, address: String) {
        let parts = entry.splitBytes(separator: ":", maxSplits: 2).map(String.init)
        guard parts.count == 3, Int(parts[1]) != nil else {
            throw ValidationError("\(entry.debugDescription) is not HOST:PORT:ADDRESS.")
        }
        return (parts[0], parts[2].trimmingCharacters(in: ["[", "]"]))
    }

    /// Applies the options to a session's configuration.
    func apply(to configuration: inout HTTPConfiguration) {
        // The port is accepted for compatibility with curl; a name has one address for all of its ports.
        for case let (host, address)? in resolve.map({ try? Self.parse($0) }) {
            configuration.dns.hosts[host, default: []].append(address)
        }
        if !dnsServer.isEmpty { configuration.dns.servers = dnsServer }
        configuration.proxy = proxy.flatMap { try? Proxy($0) }.map { .always($0) } ?? .environment
        if strict { configuration.parsing = .strict }
        if insecure { configuration.tls.verify = .none }
        if let cacert { configuration.tls.roots = InputFile.isDirectory(cacert) ? .directory(cacert) : .file(cacert) }
        configuration.tls.certificateFile = cert
        configuration.tls.keyFile = key
        configuration.tls.keyLogFile = InputFile.environment("SSLKEYLOGFILE")
    }
}
