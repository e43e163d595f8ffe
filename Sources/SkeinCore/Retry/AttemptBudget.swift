// A bound on additional attempts, so that a failing peer does not get many times its normal load.

import NIOCore

/// A budget for additional attempts: a share of the requests, plus a fixed rate.
package struct AttemptBudget: Sendable {
    private let share: Double
    private let perSecond: Double
    private let most: Double
    private var tokens: Double
    private var refilledAt: NIODeadline

    /// - Parameters:
    ///   - share: attempts for each request, on average.
    ///   - perSecond: attempts a second, in addition to the share.
    ///   - initial: attempts available before the first request.
    ///   - most: the maximum of unused attempts.
    package init(share: Double, perSecond: Double = 0, initial: Double, most: Double, at now: NIODeadline) {
        self.share = share
        self.perSecond = perSecond
        self.most = most
        tokens = initial
        refilledAt = now
    }

    /// A request was sent.
    package mutating func deposit() { tokens = min(most, tokens + share) }

    /// Takes an attempt from the budget.
    /// - Returns: false when the budget is used up.
    package mutating func withdraw(at now: NIODeadline) -> Bool {
        tokens = min(most, tokens + perSecond * Double((now - refilledAt).nanoseconds) / 1e9)
        refilledAt = now
        guard tokens >= 0.999_999 else { return false }  // five times 0.2 is one, despite rounding
        tokens = max(0, tokens - 1)
        return true
    }
}
