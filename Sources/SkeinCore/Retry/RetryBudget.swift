// A bound on retries, so that a failing peer does not get many times its normal load.

import Synchronization

/// A retry budget: each request deposits a share of a token, each retry withdraws one.
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
