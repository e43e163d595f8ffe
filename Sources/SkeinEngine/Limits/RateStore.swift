// Stores of rate limit counts.

import SkeinCore
import Synchronization

/// Stores counts by key, for one process or for many.
public protocol RateStore: Sendable {
    /// Counts a request.
    /// - Parameters:
    ///   - subject: the key of the limit and its subject.
    ///   - rule: the limit.
    ///   - now: monotonic time of this process, in seconds.
    /// - Throws: any error when the store is unreachable; the limit then decides whether requests pass.
    func take(_ subject: String, _ rule: RateRule, at now: Double) async throws -> RateDecision
}

/// Counts in this process. Beyond a maximum, the least recently used ones are dropped.
public final class LocalRateStore: RateStore {
    private struct State {
        /// Two generations: used counts move to the new one, and the old one is dropped as a whole.
        var new = ByteDictionary<RateMeter>()
        var old = ByteDictionary<RateMeter>()
    }

    private let half: Int
    private let state = Mutex(State())

    /// - Parameter maximum: the maximum number of counts. Default: 100 000, about 20 MB.
    public init(maximum: Int = 100_000) { half = max(1, maximum / 2) }

    /// Counts a request.
    public func take(_ subject: String, _ rule: RateRule, at now: Double) -> RateDecision {
        state.withLock { state in
            if let decision = state.new[subject]?.take(rule, at: now) { return decision }
            var meter = state.old[subject] ?? RateMeter(at: now)
            let decision = meter.take(rule, at: now)
            if state.new.count >= half {
                state.old = state.new
                state.new = ByteDictionary()
            }
            state.old[subject] = nil
            state.new[subject] = meter
            return decision
        }
    }

    /// Whether a request would be refused; it is not counted.
    func isExhausted(_ subject: String, _ rule: RateRule, at now: Double) -> Bool {
        state.withLock { state in
            guard var meter = state.new[subject] ?? state.old[subject] else { return false }
            return !meter.take(rule, at: now).isAllowed
        }
    }

    /// The number of stored counts.
    var count: Int { state.withLock { $0.new.count + $0.old.count } }
}
