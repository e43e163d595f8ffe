// A bound for attempts that are made again, so that a peer that is down is not asked more often than one that is up.

import Synchronization

/// Attempts that may be made again: each request pays in a share of one.
package final class RetryBudget: Sendable {
    private let share: Double
    private let tokens: Mutex<Double>

    package init(share: Double) {
        self.share = share
        tokens = Mutex(10)
    }

    package func deposit() { tokens.withLock { $0 = min(100, $0 + share) } }

    package func withdraw() -> Bool {
        tokens.withLock { tokens in
            guard tokens >= 1 else { return false }
            tokens -= 1
            return true
        }
    }
}
