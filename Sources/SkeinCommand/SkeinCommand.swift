// The command line: what Skein is, in commands that teach themselves.

import ArgumentParser

@main
struct SkeinCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "skein",
        abstract: "One client for everything a program calls, and one engine for everything it serves.",
        version: "0.1.0",
        subcommands: [RespondCommand.self, LoadCommand.self])
}
