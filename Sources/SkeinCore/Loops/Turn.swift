// A round-robin counter.

import Synchronization

/// A round-robin counter, shared between threads.
package final class Turn: Sendable {
    private let counter = Atomic<Int>(0)

    package init() {}

    /// The next index below a count.
    package func next(of count: Int) -> Int {
        count == 1 ? 0 : (counter.wrappingAdd(1, ordering: .relaxed).oldValue & Int.max) % count
    }
}
