// The settings of a balancer.

/// How requests are spread over the members of an alias.
public struct BalancingConfiguration: Hashable, Sendable {
    /// Which member a request goes to. All of them respect the members' weights.
    public enum Policy: Hashable, Sendable {
        /// Of two members chosen at random, the one with the lower expected latency: a moving average that follows an increase at
        /// once, times the requests in flight.
        case peakEWMA
        /// Each member in turn.
        case roundRobin
        /// The member with the fewest requests in flight.
        case leastRequests
        /// The same member for the same key, as long as it has not much more than its share of the requests in flight.
        case consistentHash
    }

    /// The policy. Default: ``Policy/peakEWMA``.
    public var policy = Policy.peakEWMA
    /// The time after which a measured latency has lost two thirds of its influence. Default: 10 s.
    public var decay = Duration.seconds(10)
    /// The time in which the weight of a new or returned member grows from a tenth to all of it. Default: 10 s.
    public var slowStart = Duration.seconds(10)
    /// Where this client is. Requests stay with the members of its zone, and those without a zone, while half of them are available.
    /// Default: nil, zones do not matter.
    public var zone: String?
    /// When members that fail get no requests for a while.
    public var outliers = OutlierConfiguration()
    /// Additional attempts when a member fails.
    public var retries = RetryConfiguration()
    /// A second attempt beside one that is slow.
    public var hedging = HedgingConfiguration()
    /// Requests in flight to each member, those that wait in the client's own queue included. Default: nil, for any number, since a client
    /// has a queue and a limit of its own.
    public var concurrency: ConcurrencyConfiguration?

    /// The defaults.
    public init() {}
}

/// When a member that fails is ejected: it gets no requests for a while.
///
/// A member is never ejected when no other is left.
public struct OutlierConfiguration: Hashable, Sendable {
    /// Failures in a row. Default: 5.
    public var consecutiveFailures = 5
    /// How often success rates are compared, and ejections decrease. Default: 10 s.
    public var interval = Duration.seconds(10)
    /// Requests in an interval without which a member's success rate says nothing. Default: 100.
    public var minimumRequests = 100
    /// Members with a success rate without which there is nothing to compare. Default: 5.
    public var minimumMembers = 5
    /// How many standard deviations below the mean a success rate may be. Default: 1.9.
    public var deviations = 1.9
    /// The time of the first ejection; the n-th takes n times as long. Default: 30 s.
    public var ejection = Duration.seconds(30)
    /// The longest ejection, and the longest Retry-After that is respected. Default: 300 s.
    public var longestEjection = Duration.seconds(300)
    /// The share of the members that may be ejected. Default: 0.5.
    public var maximumShare = 0.5

    /// The defaults.
    public init() {}
}

/// Additional attempts when a member fails.
///
/// An attempt that could not connect is repeated for every request; another failure only for idempotent requests whose content can
/// be sent again, and of whose response nothing was delivered.
public struct RetryConfiguration: Hashable, Sendable {
    /// Attempts of a request, the first included. Default: 3.
    public var attempts = 3
    /// Additional attempts for each request, on the average. Default: 0.2.
    public var share = 0.2
    /// Additional attempts a second beside the share. Default: 10.
    public var perSecond = 10.0
    /// Statuses that are repeated on another member. Default: 502, 503, 504 and 429.
    public var statuses: Set<Int> = [429, 502, 503, 504]

    /// The defaults.
    public init() {}
}

/// A second attempt on another member when the first one is slow; the first answer counts.
///
/// Only for GET and HEAD, and within the budget of ``RetryConfiguration``.
public struct HedgingConfiguration: Hashable, Sendable {
    /// Whether it is done. Default: true.
    public var isEnabled = true
    /// The share of the requests that are answered before the second attempt. Default: 0.95.
    public var quantile = 0.95
    /// The shortest time before a second attempt. Default: 5 ms.
    public var minimum = Duration.milliseconds(5)
    /// The second attempts for each request, on the average. Default: 0.025.
    public var share = 0.025

    /// The defaults.
    public init() {}
}

/// A limit of the requests in flight to a member that adapts to its latency: it shrinks when the latency of now is above the usual one.
///
/// A request that finds every member at its limit is refused at once, with 503.
public struct ConcurrencyConfiguration: Hashable, Sendable {
    /// The limit at the beginning. Default: 200, so that a burst at the start is not refused.
    public var initial = 200
    /// The lowest limit. Default: 20.
    public var minimum = 20
    /// The highest limit. Default: 200.
    public var maximum = 200
    /// How much higher than usual the latency may be. Default: 1.5.
    public var tolerance = 1.5

    /// The defaults.
    public init() {}
}
