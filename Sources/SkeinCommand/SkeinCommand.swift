// The command line: the subcommands of skein, each with its own help.

import ArgumentParser
import Skein
import SkeinEngineCommand

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

@main
struct SkeinCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "skein",
        abstract: "A client for HTTP, databases and other services, and an engine that serves apps and files.",
        discussion: """
            Try `skein demo` first. Exit codes: 0 for success, 1 when a response was 400 or above or was missing, \
            2 for an invalid command line.
            """,
        version: "0.1.0",
        subcommands: [
            CertificateCommand.self, CheckCommand.self, DemoCommand.self, DynamoDBCommand.self, LoadCommand.self,
            MailCommand.self, MongoDBCommand.self,
            ProxyCommand.self, PythonCommand.self,
            ResolveCommand.self,
            RespondCommand.self, RunCommand.self, ServeCommand.self, ServiceCommand.self, RPCCommand.self,
            SQLCommand.self, SQSCommand.self,
            StoreCommand.self, TokenCommand.self, WSCommand.self,
        ]
            + RequestCommands.all)

    /// Runs a command; an invalid command line ends with exit code 2, as shells and scripts expect.
    static func main() async {
        signal(SIGPIPE, SIG_IGN)
        do {
            var words = CommandLineWords.protected(Array(CommandLine.arguments.dropFirst()))
            if let name = words.first, ["serve", "proxy", "run", "python"].contains(name) {
                words = [name] + ProcessCommand.asOption(Array(words.dropFirst()))
            }
            var command = try parseAsRoot(words)
            if var command = command as? any AsyncParsableCommand {
                try await command.run()
            } else {
                try command.run()
            }
        } catch {
            let code = exitCode(for: error)
            let message = fullMessage(for: error)
            if code == .success {
                if !message.isEmpty { Terminal.say(message) }  // what was asked for: --help, --version
            } else if !message.isEmpty {
                Terminal.complain(message)
            }
            Terminal.leave(code == .validationFailure ? 2 : code.rawValue)
        }
    }
}

/// Arguments that look like options, such as negative numbers and statements that begin with a comment.
enum CommandLineWords {
    /// A space before a word prevents the parser from reading it as an option, and changes neither a number nor a
    /// statement.
    static func protected(_ words: [String]) -> [String] {
        guard let command = words.first else { return words }
        let isStatement: (String) -> Bool
        switch command {
        // `--` and a space, or text of several lines, is a comment at the start of a statement.
        case "sql": isStatement = { $0.hasBytePrefix("--") && ($0.hasBytePrefix("-- ") || $0.containsByte("\n")) }
        case "rpc", "dynamodb": isStatement = { $0.hasBytePrefix("-") && JSONNumber($0) != nil }
        default: return words
        }
        var isValue = false
        return words.map { word in
            defer { isValue = ["-p", "--parameter"].contains(word) }
            return !isValue && isStatement(word) ? " " + word : word
        }
    }
}
