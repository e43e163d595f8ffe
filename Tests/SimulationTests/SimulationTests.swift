import SkeinSimulation
import Testing

/// Client, pools and servers against each other, over simulated connections, with a virtual clock.
@Suite("Simulation")
struct SimulationTests {
    @Test("whatever peers and networks do, each call ends once and in time, and releases its resources")
    func seeds() async {
        // `scripts/simulate` runs more of them, as CI does.
        for seed in UInt64(1)...100 {
            await Task.yield()  // other tests share the threads
            let report = Simulation.run(History(seed: seed))
            #expect(report.violations.isEmpty, "seed \(seed): \(report.violations.joined(separator: "; "))")
        }
    }

    @Test("a history is reproducible", arguments: UInt64(1)...50)
    func replay(seed: UInt64) {
        let history = History(seed: seed)
        let (first, second) = (Simulation.run(history), Simulation.run(history))
        #expect(first.fingerprint == second.fingerprint)
        #expect(first.outcomes == second.outcomes)
    }
}
