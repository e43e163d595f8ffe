// The command line: what Skein is, in commands that teach themselves.

import ArgumentParser

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
        abstract: "One client for everything a program calls, and one engine for everything it serves.",
        discussion: """
            Try `skein demo` first. Exit codes: 0 when all went well, 1 when an answer was 400 or above or did not come, \
            2 when the command line cannot be understood.
            """,
        version: "0.1.0",
        subcommands: [
            DemoCommand.self, DynamoDBCommand.self, LoadCommand.self, MongoDBCommand.self, ResolveCommand.self,
            RespondCommand.self, ServeCommand.self, RPCCommand.self, SQLCommand.self, SQSCommand.self,
            StoreCommand.self, WSCommand.self,
        ]
            + RequestCommands.all)

    /// Runs a command; a command line that cannot be understood ends with 2, as shells and scripts expect.
    static func main() async {
        signal(SIGPIPE, SIG_IGN)
        do {
            var command = try parseAsRoot()
            if var command = command as? any AsyncParsableCommand {
                try await command.run()
            } else {
                try command.run()
            }
        } catch {
            if exitCode(for: error) == .validationFailure {
                Terminal.complain(fullMessage(for: error))
                leave(2)
            }
            exit(withError: error)
        }
    }

    private static func leave(_ code: CInt) -> Never {
        #if canImport(Darwin)
            Darwin.exit(code)
        #elseif canImport(Musl)
            Musl.exit(code)
        #else
            Glibc.exit(code)
        #endif
    }
}
