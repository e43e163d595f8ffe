// skein certificate: certificates for names of this machine.

import ArgumentParser
import Foundation
import SkeinACME
import SkeinCore

struct CertificateCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "certificate",
        abstract: "Create a self-signed certificate for development.",
        discussion: """
            Browsers warn about it, and clients need it as a root. For publicly trusted certificates, use [acme] of skein run.

              skein certificate localhost 127.0.0.1 --out local.pem
              skein serve public --listen 127.0.0.1:8443 --tls-cert local.pem
              skein get https://localhost:8443/ --cacert local.pem
            """)

    @Argument(
        help: "Host names and addresses; the first is the subject. Default: localhost, 127.0.0.1 and ::1.")
    var names: [String] = []

    @Option(help: ArgumentHelp("The file for certificate and key, readable by its owner only.", valueName: "file"))
    var out: String

    @Option(help: ArgumentHelp("The validity period.", valueName: "days"))
    var days = 365

    @Flag(help: "Replace the file if it exists.")
    var force = false

    func validate() throws {
        guard (1...3650).contains(days) else { throw ValidationError("--days must be from 1 to 3650.") }
    }

    func run() async throws {
        if !force, FileManager.default.fileExists(atPath: out) {
            throw ValidationError("\(out.debugDescription) exists already; replace it with --force.")
        }
        let made = try SelfSignedCertificate.make(
            names: names.isEmpty ? ["localhost", "127.0.0.1", "::1"] : names, days: days)
        do {
            try CertificateFiles.write(made.certificate + made.key, to: out)
        } catch let error as SkeinError {
            throw ValidationError("\(error.message).")
        }
        Terminal.say("\(out) is valid for \(days) days")
    }
}
