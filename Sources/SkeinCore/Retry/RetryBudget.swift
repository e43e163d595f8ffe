// The budget of a layer that retries, shared by its requests.

import NIOCore
import Synchronization

/// A retry budget: each request adds a share of a retry, and it starts with ten.
package final class RetryBudget: Sendable {
    private let budget: Mutex<AttemptBudget>

    package init(share: Double) { budget = Mutex(AttemptBudget(share: share, initial: 10, most: 100, at: .now())) }

    package func deposit() { budget.withLock { $0.deposit() } }

    package func withdraw() -> Bool { budget.withLock { $0.withdraw(at: .now()) } }
}
