// A memory limit for all peers of a server together.

import Synchronization

/// A count of bytes with a limit, shared between threads.
package final class MemoryBudget: Sendable {
    private let used = Atomic<Int>(0)
    private let limit: Int

    /// - Parameter limit: the maximum in bytes.
    package init(limit: Int) { self.limit = limit }

    /// Adds bytes, or, when negative, subtracts them. Returns false above the limit.
    @discardableResult
    package func change(by bytes: Int) -> Bool {
        let now = used.wrappingAdd(bytes, ordering: .relaxed).newValue
        return bytes <= 0 || now <= limit
    }

    /// The counted bytes.
    package var bytes: Int { used.load(ordering: .relaxed) }
}
