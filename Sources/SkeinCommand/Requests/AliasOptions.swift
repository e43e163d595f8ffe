// Names for back ends on the command line.

import ArgumentParser
import Skein
import SkeinCore
import SkeinHTTP
import SkeinTransport

struct AliasOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "Name back ends: '@x=10.0.0.1:9001 20, http://10.0.0.2:9002 10', each with a weight; @x/path is then a URL. May be repeated.",
            valueName: "@name=members"))
    var alias: [String] = []

    @Option(help: "The load-balancing policy of aliases: peak-ewma, round-robin, least-requests or hash.")
    var balance: Balance = .peakEWMA

    enum Balance: String, ExpressibleByArgument, CaseIterable {
        case peakEWMA = "peak-ewma"
        case roundRobin = "round-robin"
        case leastRequests = "least-requests"
        case hash

        var policy: BalancingConfiguration.Policy {
            switch self {
            case .peakEWMA: .peakEWMA
            case .roundRobin: .roundRobin
            case .leastRequests: .leastRequests
            case .hash: .consistentHash
            }
        }
    }

    func validate() throws {
        for text in alias {
            do { _ = try parse(text) } catch let error as SkeinError { throw ValidationError("\(error.message).") }
        }
    }

    /// Whether a URL begins with an alias of these options.
    func names(_ url: String) -> Bool {
        url.hasBytePrefix("@") && alias.contains { $0.prefix(before: "=") == url.prefix(before: "/", "?") }
    }

    /// Registers the aliases of these options.
    func register(on client: SkeinClient) throws {
        for (name, members) in try all() { try client.alias(name, members) }
    }

    /// The aliases of these options, by name.
    func all() throws -> [(name: String, alias: Alias)] { try alias.map(parse) }

    private func parse(_ text: String) throws -> (name: String, alias: Alias) {
        let parts = text.splitBytes(separator: "=", maxSplits: 1)
        guard parts.count == 2, parts[0].hasBytePrefix("@") else {
            throw ValidationError("--alias takes '@name=MEMBER WEIGHT, MEMBER WEIGHT', not \(text.debugDescription).")
        }
        let members = parts[1].splitBytes(separator: ",").map { String($0.trimmingPrefix(" ")) }
        var result = try Alias(.of(member: members.first ?? ""), members)
        result.balancing.policy = balance.policy
        return (String(parts[0]), result)
    }
}
