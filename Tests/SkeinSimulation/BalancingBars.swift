// The limits that an alias with its defaults has to meet in the scenarios.

/// The limits in docs/Balancing.md.
package enum BalancingBars {
    /// Runs every scenario, in the smallest size that shows its effect.
    /// - Returns: the limits that were missed, as text.
    package static func missed(seed: UInt64) -> [String] {
        slowMember(seed) + unequalMembers(seed) + heavyTail(seed) + outage(seed) + manyClients(seed)
    }

    /// One member of eleven that is slow half of the time costs one request in a thousand.
    private static func slowMember(_ seed: UInt64) -> [String] {
        let scenario = BalancingScenario.slowMember.of(60_000)
        let usual = scenario.run(seed: seed)
        let inTurn = scenario.with(.roundRobin, hedging: false, retries: false).withoutEjection.run(seed: seed)
        return check(usual.success >= 0.999, "one slow member: \(usual.success) are answered")
            + check(inTurn.success <= 0.96, "one slow member, in turn: \(inTurn.success) are answered")
    }

    /// The p99.9 over unequal members is an eighth of that of round robin.
    private static func unequalMembers(_ seed: UInt64) -> [String] {
        let scenario = BalancingScenario.unequalMembers.of(20_000)
        let usual = scenario.run(seed: seed).quantile(0.999)
        let inTurn = scenario.with(.roundRobin, hedging: false).run(seed: seed).quantile(0.999)
        return check(usual <= inTurn / 8, "unequal members: p99.9 is \(usual), in turn \(inTurn)")
    }

    /// A second attempt cuts the p99.9 to a tenth, for three requests in a hundred.
    package static func heavyTail(_ seed: UInt64, requests: Int = 30_000) -> [String] {
        let scenario = BalancingScenario.heavyTail.of(requests)
        let hedged = scenario.run(seed: seed)
        let once = scenario.with(.peakEWMA, hedging: false).run(seed: seed).quantile(0.999)
        return check(
            hedged.quantile(0.999) * 10 <= once, "heavy tail: p99.9 is \(hedged.quantile(0.999)), once \(once)")
            + check(
                Double(hedged.attempts) <= 1.03 * Double(hedged.requests),
                "heavy tail: \(hedged.attempts) attempts for \(hedged.requests) requests")
    }

    /// While all members fail, the number of attempts stays within the budget; when they recover, so does the service,
    /// and no member gets most of the load.
    private static func outage(_ seed: UInt64) -> [String] {
        let seconds = BalancingScenario.outage.run(seed: seed).seconds
        return seconds[25..<49].flatMap { second in
            check(
                Double(second.attempts) <= 1.25 * Double(second.requests) + 15,
                "outage: \(second.attempts) attempts for \(second.requests) requests")
        }
            + seconds[60..<95].flatMap { second in
                // Some ten are in flight when a second ends.
                check(
                    Double(second.answered) >= 0.99 * Double(second.requests) - 20,
                    "after the outage: \(second.answered) of \(second.requests) are answered")
            }
            + seconds[51..<95].flatMap { second in
                check(
                    Double(second.byMember.max() ?? 0) <= 0.6 * Double(second.attempts),
                    "after the outage: one member gets \(second.byMember)")
            }
    }

    /// With a thousand clients, no member gets more than one and a half times its share by weight.
    private static func manyClients(_ seed: UInt64) -> [String] {
        let scenario = BalancingScenario.manyClients.of(100_000)
        let report = scenario.run(seed: seed)
        let total = scenario.weights.reduce(0, +)
        return zip(scenario.weights, report.byMember).flatMap { weight, count in
            let share = Double(report.attempts) * weight / total
            return check(Double(count) <= 1.5 * share, "many clients: \(count) requests for a share of \(Int(share))")
        }
    }

    private static func check(_ isMet: Bool, _ words: String) -> [String] { isMet ? [] : [words] }
}
