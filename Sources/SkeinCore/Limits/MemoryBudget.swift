// Memory that many peers may make a server hold together.

import Synchronization

/// A count of bytes with a limit, shared between threads.
package final class MemoryBudget: Sendable {
    private let used = Atomic<Int>(0)
    private let limit: Int

    /// - Parameter limit: bytes at most.
    package init(limit: Int) { self.limit = limit }

    /// Counts bytes that are held from here on, or, when negative, no more. Returns false when too many are.
    @discardableResult
    package func change(by bytes: Int) -> Bool {
        let now = used.wrappingAdd(bytes, ordering: .relaxed).newValue
        return bytes <= 0 || now <= limit
    }

    /// The bytes that are held.
    package var bytes: Int { used.load(ordering: .relaxed) }
}
