import SkeinSimulation
import Testing

/// A balancer's decisions with a virtual clock. `skein-simulate balancing --check` runs all scenarios, as CI does.
@Suite("Balancing under a virtual clock")
struct BalancingTests {
    @Test("hedging reduces the tail latency to a tenth, with three percent more requests")
    func heavyTail() { #expect(BalancingBars.heavyTail(1, requests: 10_000) == []) }

    @Test("the same seed gives the same report")
    func replay() {
        let scenario = BalancingScenario.heavyTail.of(5_000)
        let (one, two) = (scenario.run(seed: 7), scenario.run(seed: 7))
        #expect(one.latencies == two.latencies)
        #expect(one.byMember == two.byMember)
    }
}
