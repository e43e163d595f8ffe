// The command line of the simulation.

import ArgumentParser
import Foundation
import SkeinSimulation

@main
struct Simulate: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "skein-simulate", abstract: "Run parts of Skein under a virtual clock.",
        subcommands: [Histories.self, Balancing.self], defaultSubcommand: Histories.self)
}

struct Histories: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "histories",
        abstract: "Run the HTTP client against servers over a simulated network and under a virtual clock.",
        discussion: """
            A seed generates a history: settings, calls, and the faults of each connection. The invariants of docs/Simulation.md are \
            checked for every history. A failing seed is printed with the violated invariants; --seed runs it again and prints a \
            smaller history that violates the same one. The exit code is 1 if a history has failed.
            """)

    @Option(help: "Histories to run.")
    var seeds = 2000

    @Option(help: "Run the history of this seed alone, and print the outcome of its calls.")
    var seed: UInt64?

    @Option(help: "The first seed.")
    var from: UInt64 = 1

    @Flag(help: "Send requests to an alias of one to three members.")
    var aliases = false

    @Flag(help: "Stop at the first history that fails.")
    var untilFailure = false

    func run() throws {
        if let seed { return try show(seed) }
        let begun = Date()
        var failed = 0
        for seed in from..<(from + UInt64(max(0, seeds))) {
            let report = Simulation.run(History(seed: seed, isAliased: aliases))
            if !report.violations.isEmpty {
                failed += 1
                print("seed \(seed):")
                for violation in report.violations.prefix(5) { print("  \(violation)") }
                if failed == 20 || untilFailure { break }
            }
            if seed % 10_000 == 0 { print("\(seed) …") }
        }
        let seconds = Date().timeIntervalSince(begun)
        print("\(seeds) histories in \(Int(seconds)) s, \(Int(Double(seeds) / seconds)) a second, \(failed) failed")
        if failed > 0 { throw ExitCode(1) }
    }

    private func show(_ seed: UInt64) throws {
        let history = History(seed: seed, isAliased: aliases)
        let report = Simulation.run(history)
        print("\(history.settings)")
        print(report.outcomes.joined(separator: "\n"))
        print("fingerprint \(String(report.fingerprint, radix: 16)), \(report.milliseconds) ms")
        guard !report.violations.isEmpty else { return }
        print(report.violations.joined(separator: "\n"))
        let small = Simulation.shrink(history)
        print("\nthe smallest history that fails:")
        print("  \(small.settings)")
        for call in small.calls { print("  \(call)") }
        for connection in small.connections { print("  \(connection)") }
        print(Simulation.run(small).violations.joined(separator: "\n"))
        throw ExitCode(1)
    }
}
