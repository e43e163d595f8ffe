import SkeinSimulation
import Testing

/// What the defaults of an alias make of members that are slow, fail, or are many: figures of `docs/Balancing.md`.
@Suite("Balancing under a virtual clock", .serialized)
struct BalancingTests {
    @Test("one member of eleven that is slow half of the time costs one request in a thousand")
    func slowMember() {
        let scenario = BalancingScenario.slowMember.of(60_000)
        let usual = scenario.run(seed: 1)
        let plain = scenario.with(.roundRobin, hedging: false, retries: false).withoutEjection
        let inTurn = plain.run(seed: 1)
        #expect(usual.success >= 0.999, "\(usual.success)")
        #expect(inTurn.success <= 0.96, "\(inTurn.success)")
    }

    @Test("the slowest of a thousand answers of unequal members comes eight times sooner than in turn")
    func unequalMembers() {
        let scenario = BalancingScenario.unequalMembers.of(20_000)
        let usual = scenario.run(seed: 1)
        let inTurn = scenario.with(.roundRobin, hedging: false).run(seed: 1)
        #expect(
            usual.quantile(0.999) <= inTurn.quantile(0.999) / 8, "\(usual.quantile(0.999)), \(inTurn.quantile(0.999))")
    }

    @Test("a second attempt cuts the tail to a tenth, for three requests in a hundred")
    func heavyTail() {
        let scenario = BalancingScenario.heavyTail.of(30_000)
        let hedged = scenario.run(seed: 1)
        let once = scenario.with(.peakEWMA, hedging: false).run(seed: 1)
        #expect(
            hedged.quantile(0.999) * 10 <= once.quantile(0.999), "\(hedged.quantile(0.999)), \(once.quantile(0.999))")
        #expect(Double(hedged.attempts) <= 1.03 * Double(hedged.requests), "\(hedged.attempts)")
    }

    @Test("while all members fail, attempts are those of the budget; when they are back, so is the service")
    func outage() {
        var scenario = BalancingScenario.outage.of(30_000)
        scenario.load = .open(300)
        let report = scenario.run(seed: 1)
        for second in report.seconds[25..<49] {
            #expect(Double(second.attempts) <= 1.25 * Double(second.requests) + 15, "\(second)")
        }
        for second in report.seconds[60..<95] {
            // Some ten are in flight when a second ends.
            #expect(Double(second.answered) >= 0.99 * Double(second.requests) - 20, "\(second)")
        }
        // Members return one by one, and nobody gets all requests at once.
        for second in report.seconds[51..<95] {
            #expect((second.byMember.max() ?? 0) <= second.attempts / 2, "\(second)")
        }
    }

    @Test("a thousand clients give each member its share by weight")
    func manyClients() {
        let scenario = BalancingScenario.manyClients.of(100_000)
        let report = scenario.run(seed: 1)
        let total = scenario.weights.reduce(0, +)
        for (weight, count) in zip(scenario.weights, report.byMember) {
            let share = Double(report.attempts) * weight / total
            #expect(Double(count) <= 1.5 * share, "\(count) of \(share)")
        }
    }

    @Test("the same seed gives the same report")
    func replay() {
        let scenario = BalancingScenario.heavyTail.of(5_000)
        let (one, two) = (scenario.run(seed: 7), scenario.run(seed: 7))
        #expect(one.latencies == two.latencies)
        #expect(one.byMember == two.byMember)
    }
}
