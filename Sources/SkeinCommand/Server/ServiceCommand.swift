// skein service: systemd units.

import ArgumentParser
import Foundation
import SkeinCore
import SkeinWorkers

struct ServiceCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "service",
        abstract: "Run a server as a systemd service.",
        discussion: """
            The unit starts the program when the machine starts, and restarts it when it fails or does not respond. It limits the access \
            of the program to the file system and its privileges.

              skein service install web -- run /etc/skein/web.toml
              skein service install blog --program /opt/blog/blog --user www --low-ports -- --workers 4
              skein service install web --print -- serve /srv/www --workers 2
            """, subcommands: [Install.self])

    struct Install: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Write a systemd unit for a server.")

        @Argument(help: "The name of the service: letters, digits, hyphens, underscores and dots.")
        var name: String

        @Option(help: ArgumentHelp("The program. Default: skein.", valueName: "file"))
        var program: String?

        @Option(help: "The user. Default: a dynamic user that exists while the service runs.")
        var user: String?

        @Option(help: ArgumentHelp("The working folder.", valueName: "folder"))
        var folder: String?

        @Flag(help: "Allow it to listen on ports below 1024.")
        var lowPorts = false

        @Flag(help: "Print the unit instead of writing it.")
        var print = false

        @Option(help: ArgumentHelp("The folder of units.", valueName: "folder"))
        var units = "/etc/systemd/system"

        @Argument(parsing: .postTerminator, help: "The arguments of the program, after --.")
        var arguments: [String] = []

        func validate() throws {
            let isSound = name.utf8.allSatisfy {
                Bytes.isDigit($0) || Bytes.lowercased($0) &- 0x61 < 26 || "-_.".utf8.contains($0)
            }
            guard isSound, (1...64).contains(name.utf8.count) else {
                throw ValidationError("\(name.debugDescription) is not a service name.")
            }
            guard program != nil || !arguments.isEmpty else {
                throw ValidationError("Give the arguments of skein after --: -- run FILE.")
            }
            if program == nil, let first = arguments.first, !["run", "serve", "proxy"].contains(first) {
                throw ValidationError(
                    "skein \(first) does not report when it is ready; use run, serve or proxy.")
            }
        }

        func run() async throws {
            let path = program ?? ProgramPath.current
            var command = [URL(filePath: path).standardizedFileURL.path] + arguments
            // A master detects workers that hang, and systemd detects a master that hangs. A configuration file sets
            // the number of workers itself.
            let isFile = program == nil && arguments.first?.equalsBytes("run") == true
            if !isFile, !arguments.contains(where: { $0.hasBytePrefix("--workers") }) {
                command += ["--workers", "1"]
            }
            var unit = ServiceUnit(name: name, command: command)
            unit.user = user
            unit.folder = folder
            unit.usesLowPorts = lowPorts
            if print { return Terminal.say(String(unit.text.dropLast())) }
            let file = "\(units)/\(name).service"
            do {
                try unit.text.write(toFile: file, atomically: true, encoding: .utf8)
            } catch {
                throw CommandFailure("\(file) cannot be written: \(error.localizedDescription)")
            }
            Terminal.say("\(file) is written; continue with: systemctl daemon-reload && systemctl enable --now \(name)")
        }
    }
}
