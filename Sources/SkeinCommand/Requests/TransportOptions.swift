// How connections are made: what all commands that connect understand.

import ArgumentParser
import Skein

struct TransportOptions: ParsableArguments {
    @Flag(name: [.short, .long], help: "Accept any certificate: encryption without knowing with whom.")
    var insecure = false

    @Option(help: ArgumentHelp("Trust the certificates in this PEM file or directory, and no others.", valueName: "path"))
    var cacert: String?

    @Option(name: [.customShort("E"), .long], help: ArgumentHelp("Show this certificate (a PEM file).", valueName: "file"))
    var cert: String?

    @Option(help: ArgumentHelp("The private key of --cert. Default: in the same file.", valueName: "file"))
    var key: String?

    func validate() throws {
        guard key == nil || cert != nil else { throw ValidationError("--key belongs to a certificate; add --cert FILE.") }
    }

    /// Takes the options over into a session's configuration.
    func apply(to configuration: inout HTTPConfiguration) {
        if insecure { configuration.tls.verify = .none }
        if let cacert { configuration.tls.roots = InputFile.isDirectory(cacert) ? .directory(cacert) : .file(cacert) }
        configuration.tls.certificateFile = cert
        configuration.tls.keyFile = key
        configuration.tls.keyLogFile = InputFile.environment("SSLKEYLOGFILE")
    }
}
