// Round robin over a number of places.

import Synchronization

/// A counter that goes round, shared between threads.
package final class Turn: Sendable {
    private let counter = Atomic<Int>(0)

    package init() {}

    /// The next place of so many.
    package func next(of count: Int) -> Int {
        count == 1 ? 0 : (counter.wrappingAdd(1, ordering: .relaxed).oldValue & Int.max) % count
    }
}
