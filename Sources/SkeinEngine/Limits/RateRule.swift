// Rate limit algorithms, without I/O.

/// A number of requests in a window of time.
public struct RateRule: Sendable, Hashable {
    /// The counting algorithm.
    public enum Algorithm: Sendable, Hashable {
        /// A bucket that refills evenly; requests may arrive in a burst up to its size, and then at the rate. Default
        /// size: the limit.
        case tokenBucket(size: Int? = nil)
        /// A sliding window: the requests of the current window, plus those of the previous one, weighted by its
        /// remaining overlap.
        case slidingWindow
    }

    /// Requests in a window.
    public var limit: Int
    /// The length of the window in seconds.
    public var window: Double
    /// The counting algorithm. Default: a token bucket.
    public var algorithm: Algorithm

    /// A rule.
    /// - Parameters:
    ///   - limit: requests in a window, from 1 to 2⁴⁰.
    ///   - window: the length of the window, at least 1 ms.
    public init(_ limit: Int, per window: Duration, _ algorithm: Algorithm = .tokenBucket()) {
        self.limit = min(max(1, limit), 1 << 40)
        self.window = min(max(0.001, window / .seconds(1)), 1e9)
        self.algorithm = algorithm
    }

    /// The maximum burst.
    var size: Int { if case .tokenBucket(let size?) = algorithm { min(max(1, size), 1 << 40) } else { limit } }
}

/// The result of a rule for a request.
public struct RateDecision: Sendable, Hashable {
    /// Whether it may pass.
    public var isAllowed: Bool
    /// Requests that may follow immediately.
    public var remaining: Int
    /// Seconds until the full limit is available again, if no request follows.
    public var reset: Double
    /// Seconds until a request is allowed; 0 for now.
    public var retryAfter: Double

    /// A decision.
    public init(isAllowed: Bool, remaining: Int, reset: Double, retryAfter: Double) {
        self.isAllowed = isAllowed
        self.remaining = remaining
        self.reset = reset
        self.retryAfter = retryAfter
    }
}

/// The count for one subject under one rule.
struct RateMeter: Sendable, Equatable {
    /// For a bucket: the tokens taken and not refilled yet. For a window: the requests in the current one.
    private(set) var used = 0.0
    /// For a window: the requests in the previous one.
    private(set) var previous = 0.0
    /// For a bucket: the time of `used`. For a window: its start.
    private(set) var since: Double

    init(at now: Double) { since = now }

    init(used: Double, previous: Double, since: Double) {
        self.used = used
        self.previous = previous
        self.since = since
    }

    /// Counts a request. A refused one is not counted.
    /// - Parameter now: monotonic time in seconds.
    mutating func take(_ rule: RateRule, at now: Double) -> RateDecision {
        switch rule.algorithm {
        case .tokenBucket: takeFromBucket(rule, at: now)
        case .slidingWindow: takeFromWindow(rule, at: now)
        }
    }

    private mutating func takeFromBucket(_ rule: RateRule, at now: Double) -> RateDecision {
        let rate = Double(rule.limit) / rule.window
        let size = Double(rule.size)
        used = max(0, used - max(0, now - since) * rate)
        since = max(since, now)
        let isAllowed = used + 1 <= size + 1e-9
        if isAllowed { used += 1 }
        let free = size - used
        return RateDecision(
            isAllowed: isAllowed, remaining: max(0, Int(free + 1e-9)), reset: used / rate,
            retryAfter: free + 1e-9 >= 1 ? 0 : (1 - free) / rate)
    }

    private mutating func takeFromWindow(_ rule: RateRule, at now: Double) -> RateDecision {
        let passed = ((now - since) / rule.window).rounded(.down)
        if passed >= 1 {
            previous = passed < 2 ? used : 0
            used = 0
            since += passed * rule.window
        }
        let limit = Double(rule.limit)
        // The overlap of the previous window with the last `window` seconds.
        let share = max(0, 1 - max(0, now - since) / rule.window)
        let isAllowed = previous * share + used + 1 <= limit + 1e-9
        if isAllowed { used += 1 }
        let free = limit - previous * share - used
        return RateDecision(
            isAllowed: isAllowed, remaining: max(0, Int(free + 1e-9)),
            reset: used > 0 ? since + 2 * rule.window - now : max(0, since + rule.window - now),
            retryAfter: free + 1e-9 >= 1 ? 0 : untilOneIsFree(rule, limit, at: now))
    }

    /// Seconds until the weight of the previous window has decreased enough, including that of the current window once
    /// it is the previous one.
    private func untilOneIsFree(_ rule: RateRule, _ limit: Double, at now: Double) -> Double {
        let end = since + rule.window
        if previous > 0, used + 1 <= limit {
            return max(0, since + rule.window * (1 - (limit - used - 1) / previous) - now)
        }
        return max(0, end + rule.window * max(0, 1 - (limit - 1) / used) - now)
    }
}
