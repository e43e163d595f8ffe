// The load generator of the demo: a number of requests with constant memory, however many they are.

import Skein
import Synchronization

/// Starts a request in the callback of each one that ends, until the total is reached.
final class DemoVolume: Sendable {
    private let url: String
    private let limit: Int
    private let started = Atomic<Int>(0)
    private let skein = SkeinClient(concurrency: 100)

    init(base: String, limit: Int) {
        url = "\(base)/"
        self.limit = limit
    }

    func run() async -> SessionSummary {
        for _ in 0..<100 { startNext() }
        return await skein.fetchAll()
    }

    private func startNext() {
        guard started.wrappingAdd(1, ordering: .relaxed).oldValue < limit else { return }
        skein.get(url) { _ in self.startNext() }
    }
}
