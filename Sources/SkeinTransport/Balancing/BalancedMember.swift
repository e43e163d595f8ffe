// The balancer's state of one member.

import NIOCore

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// The balancer's state of a member of an alias.
package struct BalancedMember: Sendable {
    /// Its unique key: its address.
    package let key: String
    package let id: Balancer.MemberID
    package internal(set) var weight: Double
    /// Whether it is in another zone than the client.
    package internal(set) var isElsewhere = false
    package private(set) var inFlight = 0
    package private(set) var consecutiveFailures = 0
    /// The moving average of its latency in nanoseconds; 0 before the first response.
    package private(set) var latency = 0.0
    /// Whether requests are sent to it, by the outcomes of earlier ones.
    package enum Standing: Hashable, Sendable {
        case trusted
        /// No requests are sent until then; afterwards one attempt is a trial.
        case ejected(until: NIODeadline)
        /// A trial is in flight; other requests wait for its outcome.
        case onTrial
    }

    package private(set) var standing = Standing.trusted
    /// Whether an active check has failed.
    package internal(set) var isCheckedOut = false
    private var ejections = 0
    /// Requests that have ended, and the failed ones among them.
    package private(set) var totalRequests = 0
    package private(set) var totalFailures = 0
    private var requests = 0
    private var failures = 0
    private var updatedAt = NIODeadline.uptimeNanoseconds(0)
    /// The start of its slow start.
    private var startedAt: NIODeadline?
    private var limit: ConcurrencyLimit?
    private let hash: UInt64
    /// The age of the average, in decay times, for each nanosecond.
    private let decayRate: Double
    /// Its credit in the weighted round robin.
    var turn = 0.0

    init(
        key: String, id: Balancer.MemberID, weight: Double, _ configuration: BalancingConfiguration,
        startedAt: NIODeadline?
    ) {
        self.key = key
        self.id = id
        self.weight = max(weight, .leastNonzeroMagnitude)
        limit = configuration.concurrency.map { ConcurrencyLimit($0) }
        decayRate = 1 / max(Double(TimeAmount(configuration.decay).nanoseconds), 1e6)
        self.startedAt = startedAt
        hash = FastRandom.hash(key)
    }

    // MARK: Availability

    /// The limit of its requests in flight.
    package var concurrencyLimit: Int? { limit.map { Int(min($0.value, 1e9)) } }
    var hasRoom: Bool { concurrencyLimit.map { inFlight < $0 } ?? true }

    /// Whether it gets requests. After an ejection, a single one at first.
    package func isAvailable(at now: NIODeadline, ignoringRoom: Bool = false) -> Bool {
        if isCheckedOut || standing == .onTrial || isEjected(at: now) { return false }
        return ignoringRoom || hasRoom
    }

    func isEjected(at now: NIODeadline) -> Bool {
        if case .ejected(let until) = standing { now < until } else { false }
    }

    /// Whether its ejection is over and no trial has started.
    func isDueForTrial(at now: NIODeadline) -> Bool {
        if case .ejected = standing { isAvailable(at: now) } else { false }
    }

    /// Its weight, which grows during the slow start.
    func effectiveWeight(_ configuration: BalancingConfiguration, at now: NIODeadline) -> Double {
        guard let startedAt, configuration.slowStart > .zero else { return weight }
        let share = (now - startedAt).seconds / TimeAmount(configuration.slowStart).seconds
        return share >= 1 ? weight : weight * max(0.1, share)
    }

    /// The expected cost of a request to it: latency times requests in flight, divided by the weight.
    func cost(_ configuration: BalancingConfiguration, at now: NIODeadline) -> Double {
        let decayed = latency * remaining(at: now)
        // A member without a response yet gets few requests, so that it is not flooded.
        let expected = latency == 0 ? (inFlight == 0 ? 0 : Self.unknown) : max(decayed, 1)
        return (expected * Double(inFlight + 1) + 1) / effectiveWeight(configuration, at: now)
    }

    private static let unknown = 1e9

    /// The share of the average that is left since its last update.
    private func remaining(at now: NIODeadline) -> Double {
        let age = Double((now - updatedAt).nanoseconds) * decayRate
        // A busy member is updated all the time; the error is below a millionth.
        return age < 0.01 ? 1 - age + age * age / 2 : exp(-age)
    }

    /// The member's score for a key in rendezvous hashing: the lowest wins.
    func lot(for key: UInt64) -> Double {
        let mixed = FastRandom.mix(hash ^ FastRandom.mix(key))
        return -log((Double(mixed >> 11) + 1) * 0x1p-53) / weight
    }

    // MARK: What happens

    /// An attempt starts.
    /// - Returns: whether it is a trial.
    mutating func begins() -> Bool {
        inFlight += 1
        guard case .ejected = standing else { return false }
        standing = .onTrial
        return true
    }

    /// A request has ended.
    /// - Returns: whether the member was ejected before.
    mutating func ends(
        _ outcome: Balancer.Outcome, latency measured: TimeAmount, isTrial: Bool,
        _ configuration: BalancingConfiguration, at now: NIODeadline
    ) -> Bool {
        let before = inFlight
        inFlight = max(0, inFlight - 1)
        let wasEjected = standing != .trusted
        // A trial without an outcome is repeated.
        if isTrial { standing = .ejected(until: now) }
        let nanoseconds = Double(measured.nanoseconds)
        switch outcome {
        case .cancelled:
            // The latency is at least the time that the caller waited.
            if nanoseconds > latency { observe(nanoseconds, configuration, at: now) }
        case .success:
            requests += 1
            totalRequests += 1
            consecutiveFailures = 0
            if isTrial { comeBack(at: now) }
            observe(nanoseconds, configuration, at: now)
            limit?.observe(nanoseconds, inFlight: before)
        case .failure, .unreachable, .refused:
            requests += 1
            failures += 1
            totalRequests += 1
            totalFailures += 1
            consecutiveFailures += 1
            // A member that fails fast must not appear fast.
            observe(max(nanoseconds, min(latency, 1e8) * 10, 5e7), configuration, at: now)
            guard isTrial else { break }  // requests from before the trial carry no information
            if case .refused(let pause) = outcome {
                leaveAlone(
                    for: min(pause ?? configuration.outliers.ejection, configuration.outliers.longestEjection), at: now)
            } else {
                eject(configuration.outliers, at: now)
            }
        }
        return wasEjected
    }

    /// A client bound to the member is returned: its next connection is the trial.
    mutating func isGivenOut(_ attempt: Balancer.Attempt, at now: NIODeadline) {
        inFlight = max(0, inFlight - 1)
        if attempt.isTrial { comeBack(at: now) }
    }

    private mutating func comeBack(at now: NIODeadline) {
        standing = .trusted
        latency = 0  // measurements from before the ejection are outdated
        startedAt = now
    }

    mutating func eject(_ configuration: OutlierConfiguration, at now: NIODeadline) {
        ejections += 1
        consecutiveFailures = 0
        let time = min(configuration.ejection * ejections, configuration.longestEjection)
        standing = .ejected(until: now + TimeAmount(time))
    }

    /// The next attempt is a trial.
    mutating func isBack(at now: NIODeadline) {
        if isEjected(at: now) { standing = .ejected(until: now) }
    }

    /// The member has asked for a pause.
    mutating func leaveAlone(for pause: Duration, at now: NIODeadline) {
        standing = .ejected(until: now + TimeAmount(pause))
    }

    func successRate(_ configuration: OutlierConfiguration) -> Double? {
        requests >= configuration.minimumRequests ? Double(requests - failures) / Double(requests) : nil
    }

    mutating func endInterval(at now: NIODeadline) {
        requests = 0
        failures = 0
        if standing == .trusted, ejections > 0 { ejections -= 1 }
    }

    /// An increase replaces the average at once; a decrease moves it by the elapsed time.
    private mutating func observe(_ value: Double, _ configuration: BalancingConfiguration, at now: NIODeadline) {
        if value >= latency {
            latency = value
        } else {
            let kept = remaining(at: now)
            latency = latency * kept + value * (1 - kept)
        }
        updatedAt = now
    }
}

extension TimeAmount {
    fileprivate var seconds: Double { Double(nanoseconds) / 1e9 }
}
