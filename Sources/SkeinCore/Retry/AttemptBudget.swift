// A bound on additional attempts, so that a failing peer does not get many times its normal load.

import NIOCore

/// Additional attempts that may be made: a share of the requests, and some a second beside it.
package struct AttemptBudget: Sendable {
    private let share: Double
    private let perSecond: Double
    private let most: Double
    private var tokens: Double
    private var refilledAt: NIODeadline

    /// - Parameters:
    ///   - share: attempts for each request, on the average.
    ///   - perSecond: attempts a second beside the share.
    ///   - initial: attempts before the first request.
    ///   - most: attempts that can be saved up.
    package init(share: Double, perSecond: Double = 0, initial: Double, most: Double, at now: NIODeadline) {
        self.share = share
        self.perSecond = perSecond
        self.most = most
        tokens = initial
        refilledAt = now
    }

    /// A request is made.
    package mutating func deposit() { tokens = min(most, tokens + share) }

    /// Takes an attempt.
    /// - Returns: false when there is none.
    package mutating func withdraw(at now: NIODeadline) -> Bool {
        tokens = min(most, tokens + perSecond * Double((now - refilledAt).nanoseconds) / 1e9)
        refilledAt = now
        guard tokens >= 0.999_999 else { return false }  // five fifths are one
        tokens = max(0, tokens - 1)
        return true
    }
}
