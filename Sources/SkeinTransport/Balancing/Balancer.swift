// Selects the member of an alias for a request, without I/O: outcomes are reported to it, and the time is passed in.
// The algorithms and constants are those of Finagle (peak EWMA), Envoy (outliers) and Netflix (concurrency limits).

import NIOCore
import SkeinCore

/// The state of the members of an alias.
package struct Balancer: Sendable {
    /// Identifies a member while the alias has it.
    package struct MemberID: Hashable, Sendable { let number: UInt32 }

    /// The outcome of a request, as far as its member is responsible.
    package enum Outcome: Sendable {
        case success
        case failure
        /// No connection could be established: the member is ejected at once.
        case unreachable
        /// The member asks for less load.
        /// - Parameter after: the pause that it asks for; nil if it states none.
        case refused(after: Duration?)
        /// The caller gave up: no information about the member.
        case cancelled
    }

    /// An attempt in progress, whose end must be reported.
    package struct Attempt: Hashable, Sendable {
        /// The member.
        package let id: MemberID
        /// The member's index when the attempt started.
        package let index: Int
        package let begun: NIODeadline
        /// Whether it is a trial after an ejection: only a trial ends or extends the ejection.
        package let isTrial: Bool
    }

    package enum Pick: Sendable, Equatable {
        case attempt(Attempt)
        /// Every member is at its limit of requests in flight.
        case full
        /// There is no member.
        case none
    }

    package private(set) var members: [BalancedMember] = []
    /// Whether there are members in other zones.
    private var hasZones = false
    package let configuration: BalancingConfiguration
    private var random: FastRandom
    private var nextNumber: UInt32 = 0
    private var budget: AttemptBudget
    private var hedges: AttemptBudget
    private var latencies = LatencyQuantile()
    private var intervalEnd: NIODeadline
    /// The moving average of the costs of selected members.
    private var typicalCost = 0.0

    package init(_ configuration: BalancingConfiguration, seed: UInt64, at now: NIODeadline) {
        self.configuration = configuration
        random = FastRandom(seed)
        let retries = configuration.retries
        budget = AttemptBudget(
            share: retries.share, perSecond: retries.perSecond, initial: max(1, retries.perSecond),
            most: max(10, retries.perSecond * 10), at: now)
        hedges = AttemptBudget(share: configuration.hedging.share, initial: 1, most: 10, at: now)
        intervalEnd = now + TimeAmount(configuration.outliers.interval)
    }

    // MARK: Members

    /// Sets the members. One that was there before keeps what was learned, also when its weight changes.
    /// - Parameters:
    ///   - list: keys that tell members apart, and weights.
    ///   - elsewhere: the keys of members in other zones.
    package mutating func set(
        _ list: [(key: String, weight: Double)], elsewhere: Set<String> = [], at now: NIODeadline
    ) {
        var before: [String: BalancedMember] = [:]
        for member in members { before[member.key] = member }
        let isFirst = members.isEmpty
        hasZones = !elsewhere.isEmpty
        members = list.map { key, weight in
            if var known = before[key] {
                known.weight = max(weight, .leastNonzeroMagnitude)
                known.isElsewhere = elsewhere.contains(key)
                return known
            }
            nextNumber += 1
            // A member that joins others starts slowly; the first members start at full weight.
            var member = BalancedMember(
                key: key, id: MemberID(number: nextNumber), weight: weight, configuration,
                startedAt: isFirst ? nil : now)
            member.isElsewhere = elsewhere.contains(key)
            return member
        }
    }

    /// Whether requests stay in their zone: half of its members, at least, are available.
    private func staysInZone(at now: NIODeadline) -> Bool {
        guard hasZones else { return false }
        let (count, available) = members.reduce((0, 0)) { sum, member in
            member.isElsewhere ? sum : (sum.0 + 1, sum.1 + (member.isAvailable(at: now) ? 1 : 0))
        }
        return available > 0 && available * 2 >= count
    }

    /// The place of a member; nil when the alias does not have it any more.
    private func index(of id: MemberID, at hint: Int = 0) -> Int? {
        if hint < members.count, members[hint].id == id { return hint }
        return members.firstIndex { $0.id == id }
    }

    // MARK: Requests

    /// Selects the member for an attempt.
    /// - Parameters:
    ///   - key: the key for ``BalancingConfiguration/Policy/consistentHash``.
    ///   - tried: members tried for this request already; they are selected only when there is no other.
    ///   - isFirst: whether it is the request's first attempt.
    package mutating func pick(key: UInt64 = 0, tried: [MemberID] = [], isFirst: Bool, at now: NIODeadline) -> Pick {
        if now >= intervalEnd { endInterval(at: now) }
        guard !members.isEmpty else { return .none }
        // There is nothing to choose, and a single member is never left out.
        if members.count == 1 { return members[0].hasRoom ? .attempt(begin(0, at: now)) : .full }
        if isFirst {
            budget.deposit()
            hedges.deposit()
        }
        // When all others are ejected or tried, any member is better than none.
        guard
            let index = dueForTrial(tried, now)
                ?? (staysInZone(at: now)
                    ? choose(
                        key, now,
                        where: { member, _ in
                            !member.isElsewhere && member.isAvailable(at: now) && !tried.contains(member.id)
                        }) : nil) ?? choose(
                    key, now, where: { member, _ in member.isAvailable(at: now) && !tried.contains(member.id) })
                ?? choose(key, now, where: { member, _ in member.isAvailable(at: now) })
                ?? choose(key, now, where: { member, _ in member.hasRoom })
        else { return .full }
        return .attempt(begin(index, at: now))
    }

    /// Starts an attempt on a given member.
    package mutating func begin(_ index: Int, at now: NIODeadline) -> Attempt {
        Attempt(id: members[index].id, index: index, begun: now, isTrial: members[index].begins())
    }

    /// Whether a failed request may be retried; consumes the budget.
    package mutating func mayRetry(at now: NIODeadline) -> Bool { budget.withdraw(at: now) }

    /// The delay of a hedged attempt; nil for never.
    package var hedgeDelay: Duration? {
        let hedging = configuration.hedging
        // Longer than configured if the budget would not suffice: the slowest requests have priority.
        guard hedging.isEnabled, members.count > 1,
            let usual = latencies.value(max(hedging.quantile, 1 - hedging.share))
        else { return nil }
        return max(hedging.minimum, usual)
    }

    /// Whether a hedged attempt may be sent; consumes the budget.
    package mutating func mayHedge(at now: NIODeadline) -> Bool { hedges.withdraw(at: now) }

    /// An attempt has ended.
    /// - Parameter start: when its request was sent, if that was not at once: the wait before it is not the member's fault.
    package mutating func report(
        _ attempt: Attempt, _ outcome: Outcome, since start: NIODeadline? = nil, at now: NIODeadline
    ) {
        guard let index = index(of: attempt.id, at: attempt.index) else { return }
        let latency = now - max(start ?? attempt.begun, attempt.begun)
        // The delay of a hedged attempt includes the time in the queue, because the caller waits for it, too.
        if case .success = outcome, members.count > 1 { latencies.add(now - attempt.begun) }
        let isEjected = members[index].ends(
            outcome, latency: latency, isTrial: attempt.isTrial, configuration, at: now)
        switch outcome {
        case .failure
        where !isEjected && members[index].consecutiveFailures >= configuration.outliers.consecutiveFailures:
            eject(index, at: now)
        case .unreachable where !isEjected: eject(index, at: now)
        case .refused(let pause?) where !isEjected && pause > .zero && mayEject(at: now):
            members[index].leaveAlone(for: min(pause, configuration.outliers.longestEjection), at: now)
        default: break
        }
    }

    /// Active checks were stopped: their results are reset.
    package mutating func forgetChecks() { for index in members.indices { members[index].isCheckedOut = false } }

    /// An unreachable member is reachable again: its ejection ends.
    package mutating func isBack(_ id: MemberID, at now: NIODeadline) {
        if let index = index(of: id) { members[index].isBack(at: now) }
    }

    /// Whether a member is ejected.
    package func isEjected(_ id: MemberID, at now: NIODeadline) -> Bool {
        index(of: id).map { members[$0].isEjected(at: now) } ?? false
    }

    /// An active health check has succeeded or failed.
    package mutating func checked(_ id: MemberID, isHealthy: Bool) {
        guard let index = index(of: id) else { return }
        members[index].isCheckedOut = !isHealthy
    }

    /// Selects a member for several requests: they are not counted.
    package mutating func choose(at now: NIODeadline) -> Int? {
        guard case .attempt(let attempt) = pick(isFirst: true, at: now) else { return nil }
        members[attempt.index].isGivenOut(attempt, at: now)
        return attempt.index
    }

    // MARK: Selection

    /// A member whose ejection is over, for a trial.
    private func dueForTrial(_ tried: [MemberID], _ now: NIODeadline) -> Int? {
        members.firstIndex { $0.isDueForTrial(at: now) && !tried.contains($0.id) }
    }

    private mutating func choose(_ key: UInt64, _ now: NIODeadline, where fits: (BalancedMember, Int) -> Bool) -> Int? {
        switch configuration.policy {
        case .peakEWMA: chooseOfTwo(now, fits)
        case .roundRobin: chooseInTurn(now, fits)
        case .leastRequests:
            best(fits) { member in Double(member.inFlight + 1) / member.effectiveWeight(self.configuration, at: now) }
        case .consistentHash: chooseByHash(key, fits)
        }
    }

    private func best(_ fits: (BalancedMember, Int) -> Bool, _ cost: (BalancedMember) -> Double) -> Int? {
        var best: Int?
        var lowest = Double.infinity
        for index in members.indices where fits(members[index], index) {
            let value = cost(members[index])
            if best == nil || value < lowest { (best, lowest) = (index, value) }
        }
        return best
    }

    /// Power of two choices: two random members, of which the cheaper one is selected. Repeated up to twice when both
    /// are much more expensive than usual: with few members, two bad ones would be drawn too often.
    private mutating func chooseOfTwo(_ now: NIODeadline, _ fits: (BalancedMember, Int) -> Bool) -> Int? {
        guard var best = drawTwo(now, fits) else { return nil }
        var cost = members[best].cost(configuration, at: now)
        var draws = 1
        while draws < 3, cost > 4 * typicalCost, typicalCost > 0, members.count > 2, let other = drawTwo(now, fits) {
            draws += 1
            let otherCost = members[other].cost(configuration, at: now)
            if otherCost < cost { (best, cost) = (other, otherCost) }
        }
        typicalCost += (cost - typicalCost) / 64
        return best
    }

    private mutating func drawTwo(_ now: NIODeadline, _ fits: (BalancedMember, Int) -> Bool) -> Int? {
        let count = members.count
        if count == 1 { return fits(members[0], 0) ? 0 : nil }
        // In most cases the first two are eligible.
        let one = Int(random.next(below: UInt64(count)))
        var two = Int(random.next(below: UInt64(count - 1)))
        if two >= one { two += 1 }
        if fits(members[one], one), fits(members[two], two) { return cheaper(one, two, now) }
        let fitting = members.indices.filter { fits(members[$0], $0) }
        guard let first = fitting.first else { return nil }
        guard fitting.count > 1 else { return first }
        let place = Int(random.next(below: UInt64(fitting.count)))
        var other = Int(random.next(below: UInt64(fitting.count - 1)))
        if other >= place { other += 1 }
        return cheaper(fitting[place], fitting[other], now)
    }

    private func cheaper(_ one: Int, _ two: Int, _ now: NIODeadline) -> Int {
        members[one].cost(configuration, at: now) <= members[two].cost(configuration, at: now) ? one : two
    }

    /// Smooth weighted round robin: each member gains its weight, and the one with the most credit is selected and pays
    /// the sum.
    private mutating func chooseInTurn(_ now: NIODeadline, _ fits: (BalancedMember, Int) -> Bool) -> Int? {
        var total = 0.0
        var best: Int?
        for index in members.indices where fits(members[index], index) {
            let weight = members[index].effectiveWeight(configuration, at: now)
            members[index].turn += weight
            total += weight
            if best.map({ members[index].turn > members[$0].turn }) ?? true { best = index }
        }
        if let best { members[best].turn -= total }
        return best
    }

    /// Rendezvous hashing: each member has a score for the key, adjusted by its weight. Members with 25 % more than
    /// their share of the requests in flight are skipped.
    private func chooseByHash(_ key: UInt64, _ fits: (BalancedMember, Int) -> Bool) -> Int? {
        var weights = 0.0
        var inFlight = 1
        for index in members.indices where fits(members[index], index) {
            weights += members[index].weight
            inFlight += members[index].inFlight
        }
        return best(
            { member, index in
                fits(member, index)
                    && Double(member.inFlight) < (1.25 * Double(inFlight) * member.weight / weights).rounded(.up)
            }, { $0.lot(for: key) })
    }

    // MARK: Outliers

    private func mayEject(at now: NIODeadline) -> Bool {
        let out = members.count { !$0.isAvailable(at: now, ignoringRoom: true) }
        return out + 1 < members.count
            && Double(out + 1) <= max(1, Double(members.count) * configuration.outliers.maximumShare)
    }

    private mutating func eject(_ index: Int, at now: NIODeadline) {
        guard mayEject(at: now) else { return }
        members[index].eject(configuration.outliers, at: now)
    }

    /// Compares the members' success rates, and reduces the count of past ejections.
    private mutating func endInterval(at now: NIODeadline) {
        intervalEnd = now + TimeAmount(configuration.outliers.interval)
        let rates = members.compactMap { $0.successRate(configuration.outliers) }
        if rates.count >= configuration.outliers.minimumMembers {
            let mean = rates.reduce(0, +) / Double(rates.count)
            let variance = rates.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / Double(rates.count)
            let threshold = mean - configuration.outliers.deviations * variance.squareRoot()
            for index in members.indices {
                if let rate = members[index].successRate(configuration.outliers), rate < threshold {
                    eject(index, at: now)
                }
            }
        }
        for index in members.indices { members[index].endInterval(at: now) }
    }
}
