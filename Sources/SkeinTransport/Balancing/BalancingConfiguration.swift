// The settings of a balancer.

/// Load balancing between the members of an alias.
public struct BalancingConfiguration: Hashable, Sendable {
    /// The selection of a member. All policies respect the members' weights.
    public enum Policy: Hashable, Sendable {
        /// The cheaper of two random members by expected latency: a moving average that follows an increase at once,
        /// times the requests in flight.
        case peakEWMA
        /// Weighted round robin.
        case roundRobin
        /// The member with the fewest requests in flight.
        case leastRequests
        /// The same member for the same key, unless it has much more than its share of the requests in flight.
        case consistentHash
    }

    /// The policy. Default: ``Policy/peakEWMA``.
    public var policy = Policy.peakEWMA
    /// The time constant after which a measurement has lost two thirds of its influence. Default: 10 s.
    public var decay = Duration.seconds(10)
    /// The time in which the weight of a new or returned member grows from a tenth to its full value. Default: 10 s.
    public var slowStart = Duration.seconds(10)
    /// Where this client is. Requests stay with the members of its zone, and those without a zone, while half of them are available.
    /// Default: nil, zones do not matter.
    public var zone: String?
    /// When members that fail get no requests for a while.
    public var outliers = OutlierConfiguration()
    /// Retries on other members.
    public var retries = RetryConfiguration()
    /// Hedged attempts for slow requests.
    public var hedging = HedgingConfiguration()
    /// The limit of requests in flight for each member, including those in the client's own queue. Default: nil,
    /// unlimited, since a client has a queue and a limit of its own.
    public var concurrency: ConcurrencyConfiguration?

    /// The defaults.
    public init() {}
}

/// The ejection of failing members, which get no requests for a while.
///
/// The last available member is never ejected.
public struct OutlierConfiguration: Hashable, Sendable {
    /// Failures in a row. Default: 5.
    public var consecutiveFailures = 5
    /// The interval for comparing success rates, and for reducing ejection counts. Default: 10 s.
    public var interval = Duration.seconds(10)
    /// The minimum of requests in an interval for a valid success rate. Default: 100.
    public var minimumRequests = 100
    /// The minimum of members with a valid success rate. Default: 5.
    public var minimumMembers = 5
    /// The tolerance below the mean success rate, in standard deviations. Default: 1.9.
    public var deviations = 1.9
    /// The time of the first ejection; the n-th takes n times as long. Default: 30 s.
    public var ejection = Duration.seconds(30)
    /// The longest ejection, and the longest Retry-After that is respected. Default: 300 s.
    public var longestEjection = Duration.seconds(300)
    /// The maximum share of ejected members. Default: 0.5.
    public var maximumShare = 0.5

    /// The defaults.
    public init() {}
}

/// Retries on other members.
///
/// A failed connection attempt is retried for every request; another failure only for idempotent requests with
/// replayable content, if no part of the response was delivered.
public struct RetryConfiguration: Hashable, Sendable {
    /// The maximum number of attempts, including the first. Default: 3.
    public var attempts = 3
    /// Retries per request, on average. Default: 0.2.
    public var share = 0.2
    /// Retries a second, in addition to the share. Default: 10.
    public var perSecond = 10.0
    /// Statuses that are retried on another member. Default: 502, 503, 504 and 429.
    public var statuses: Set<Int> = [429, 502, 503, 504]

    /// The defaults.
    public init() {}
}

/// A second attempt on another member when the first one is slow; the first response is used.
///
/// Only for GET and HEAD, and within the budget of ``RetryConfiguration``.
public struct HedgingConfiguration: Hashable, Sendable {
    /// Whether it is enabled. Default: true.
    public var isEnabled = true
    /// The latency quantile after which the second attempt is sent. Default: 0.95.
    public var quantile = 0.95
    /// The minimum delay of a second attempt. Default: 5 ms.
    public var minimum = Duration.milliseconds(5)
    /// Second attempts per request, on average. Default: 0.025.
    public var share = 0.025

    /// The defaults.
    public init() {}
}

/// An adaptive limit of the requests in flight to a member: it decreases when the current latency exceeds the usual
/// one.
///
/// When every member is at its limit, a request is refused at once, with 503.
public struct ConcurrencyConfiguration: Hashable, Sendable {
    /// The limit at the beginning. Default: 200, so that a burst at the start is not refused.
    public var initial = 200
    /// The lowest limit. Default: 20.
    public var minimum = 20
    /// The highest limit. Default: 200.
    public var maximum = 200
    /// The tolerated ratio of the current latency to the usual one. Default: 1.5.
    public var tolerance = 1.5

    /// The defaults.
    public init() {}
}
