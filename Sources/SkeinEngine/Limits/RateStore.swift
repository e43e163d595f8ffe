// Where meters are kept.

import SkeinCore
import Synchronization

/// Keeps meters by name, for one process or for many.
public protocol RateStore: Sendable {
    /// Counts a request.
    /// - Parameters:
    ///   - subject: whom and what it is counted for.
    ///   - rule: the limit.
    ///   - now: seconds of a clock that never goes back, of this process.
    /// - Throws: any error when the store cannot be reached; the limit then says whether requests pass.
    func take(_ subject: String, _ rule: RateRule, at now: Double) async throws -> RateDecision
}

/// Meters of this process. The least recently used ones are dropped beyond a number.
public final class LocalRateStore: RateStore {
    private struct State {
        /// Two generations: what is used moves to the new one, and the old one goes as a whole.
        var new = ByteDictionary<RateMeter>()
        var old = ByteDictionary<RateMeter>()
    }

    private let half: Int
    private let state = Mutex(State())

    /// - Parameter maximum: meters at most. Default: 100 000, about 20 MB.
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

    /// Whether a request would be refused; nothing is counted.
    func isExhausted(_ subject: String, _ rule: RateRule, at now: Double) -> Bool {
        state.withLock { state in
            guard var meter = state.new[subject] ?? state.old[subject] else { return false }
            return !meter.take(rule, at: now).isAllowed
        }
    }

    /// Meters that are kept.
    var count: Int { state.withLock { $0.new.count + $0.old.count } }
}
