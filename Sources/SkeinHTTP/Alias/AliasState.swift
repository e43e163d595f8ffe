// An alias in use: its balancer, which all loops share, and the addresses of its members.

import NIOCore
import SkeinCore
import SkeinTransport
import Synchronization

/// The alias of a client, from its registration on.
package final class AliasState: Sendable {
    /// An attempt in progress, whose end must be reported to the balancer, and its target.
    package struct Attempt: Sendable {
        fileprivate let attempt: Balancer.Attempt
        package let target: AliasTarget
        package var id: Balancer.MemberID { attempt.id }
    }

    package enum Pick: Sendable {
        case attempt(Attempt)
        case none(SkeinError)
    }

    private struct State {
        var alias: Alias
        var balancer: Balancer
        /// What DNS says of the members that are names, by their URLs.
        var found: [String: MemberDiscovery] = [:]
        /// In the order of the balancer's members.
        var targets: [AliasTarget]
        /// Members that wait to become reachable again.
        var awaited: Set<Balancer.MemberID> = []
        var watch = 0
        /// Members whose check is under way.
        var checking: Set<Balancer.MemberID> = []
        /// Counts the changes of the targets.
        var version = 0
        var maker: (@Sendable (AliasTarget) throws(SkeinError) -> any BackEnd)?
    }

    /// The name, beginning with `@`.
    package let name: String
    package let configuration: BalancingConfiguration
    /// The protocol of its members.
    let scheme: Alias.Scheme
    private let state: Mutex<State>

    init(_ name: String, _ alias: Alias, at now: NIODeadline) throws(SkeinError) {
        self.name = name
        configuration = Self.configuration(alias)
        scheme = alias.scheme
        var balancer = Balancer(configuration, seed: alias.seed ?? .random(in: 0...UInt64.max), at: now)
        let places = try Self.places(alias, [:])
        balancer.set(places.list, elsewhere: places.elsewhere, at: now)
        state = Mutex(State(alias: alias, balancer: balancer, targets: places.targets))
    }

    package var alias: Alias { state.withLock { $0.alias } }

    /// A database client stays with its member: members are picked in turn, and one that refuses connections is ejected
    /// at once.
    private static func configuration(_ alias: Alias) -> BalancingConfiguration {
        var configuration = alias.balancing
        if !alias.scheme.isHTTP {
            configuration.policy = .roundRobin
            configuration.concurrency = nil
            configuration.outliers.ejection = min(configuration.outliers.ejection, .seconds(5))
        }
        return configuration
    }

    /// The members as places to send requests to.
    private struct Places {
        var targets: [AliasTarget] = []
        var list: [(key: String, weight: Double)] = []
        var elsewhere: Set<String> = []
        private var keys: Set<String> = []

        mutating func add(_ target: AliasTarget, isElsewhere: Bool) {
            var key = target.url
            while !keys.insert(key).inserted { key += " " }  // the same back end twice has twice the requests
            targets.append(target)
            list.append((key, target.weight))
            if isElsewhere { elsewhere.insert(key) }
        }
    }

    private static func places(_ alias: Alias, _ found: [String: MemberDiscovery]) throws(SkeinError) -> Places {
        guard !alias.members.isEmpty else {
            throw SkeinError(.exception, because: "an alias needs a member; write HOST:PORT WEIGHT")
        }
        var places = Places()
        for member in alias.members {
            guard member.weight > 0, member.weight.isFinite else {
                throw SkeinError(.exception, because: "the weight of \(member) is not a positive number")
            }
            let isElsewhere = member.zone != nil && alias.balancing.zone != nil && member.zone != alias.balancing.zone
            if let instances = found[member.url]?.instances {
                for instance in instances {
                    // DNS may name what no URL can.
                    guard let target = try? AliasTarget(member, alias.scheme, at: instance) else { continue }
                    places.add(target, isElsewhere: isElsewhere)
                }
                continue
            }
            if member.discovery != nil, member.discoveredName == nil {
                throw SkeinError(.exception, because: "\(member) does not name a host; write dns+http://HOST:PORT")
            }
            let target = try AliasTarget(member, alias.scheme)
            // Until the first answer, a host is one member. A service has no address of its own.
            if member.discovery != .services { places.add(target, isElsewhere: isElsewhere) }
        }
        return places
    }

    /// Changes members and health check, and stops the health check in force before; members that stay keep their
    /// statistics.
    @discardableResult
    package func set(_ alias: Alias, at now: NIODeadline) throws(SkeinError) -> Int {
        let found = state.withLock { state in state.found.filter { url, _ in alias.members.contains { $0.url == url } }
        }
        let places = try Self.places(alias, found)
        return state.withLock { state in
            state.alias = alias
            state.found = found
            state.balancer.set(places.list, elsewhere: places.elsewhere, at: now)
            if alias.healthCheck == nil { state.balancer.forgetChecks() }
            state.targets = places.targets
            state.version += 1
            state.watch += 1
            return state.watch
        }
    }

    /// The members whose instances DNS names.
    var discovered: [Alias.Member] { state.withLock { $0.alias.members.filter { $0.discovery != nil } } }

    /// Whether there is no member yet because DNS has not answered.
    var awaitsDiscovery: Bool { state.withLock { $0.targets.isEmpty } }

    /// DNS has answered for a member.
    func receive(_ answer: MemberDiscovery.Answer, for member: Alias.Member, at now: NIODeadline) {
        state.withLock { state in
            guard state.alias.members.contains(member),
                state.found[member.url, default: MemberDiscovery()].receive(answer),
                let places = try? Self.places(state.alias, state.found)
            else { return }
            state.balancer.set(places.list, elsewhere: places.elsewhere, at: now)
            state.targets = places.targets
            state.version += 1
        }
    }

    /// The number of changes of the members, and their URLs.
    var versionedURLs: (version: Int, urls: Set<String>) {
        state.withLock { ($0.version, Set($0.targets.map(\.url))) }
    }

    /// The number of the health check that is in force.
    var watch: Int { state.withLock { $0.watch } }

    // MARK: Attempts

    /// Begins an attempt on the member that the balancer picks.
    package func begin(
        key: UInt64 = 0, tried: [Balancer.MemberID] = [], isFirst: Bool = true, at now: NIODeadline
    ) -> Pick {
        state.withLock { begin(&$0, key: key, tried: tried, isFirst: isFirst, at: now) }
    }

    /// Begins an attempt on the only member; nil when there are more of them, or none.
    func beginOnOnly(at now: NIODeadline) -> Pick? {
        state.withLock { state in
            state.targets.count == 1 ? begin(&state, key: 0, tried: [], isFirst: true, at: now) : nil
        }
    }

    private func begin(
        _ state: inout State, key: UInt64, tried: [Balancer.MemberID], isFirst: Bool, at now: NIODeadline
    ) -> Pick {
        switch state.balancer.pick(key: key, tried: tried, isFirst: isFirst, at: now) {
        case .attempt(let attempt): return .attempt(Attempt(attempt: attempt, target: state.targets[attempt.index]))
        case .full:
            return .none(
                SkeinError(
                    .overloaded, peer: name,
                    because: "every member of \(name) has reached its limit of requests in flight"))
        case .none: return .none(hasNoMember)
        }
    }

    package var hasNoMember: SkeinError {
        SkeinError(
            .connectionFailed, peer: name,
            because: "DNS has not named a member of \(name) yet; check the service's name")
    }

    /// Ends an attempt.
    /// - Parameter start: when the request left the client's queue; nil when it did not wait there.
    package func end(
        _ attempt: Attempt, _ outcome: Balancer.Outcome, since start: NIODeadline? = nil, at now: NIODeadline
    ) {
        state.withLock { $0.balancer.report(attempt.attempt, outcome, since: start, at: now) }
    }

    /// Picks the member whose client is handed out, for protocols whose clients stay with a member.
    package func choose(at now: NIODeadline) -> AliasTarget? {
        state.withLock { state in state.balancer.choose(at: now).map { state.targets[$0] } }
    }

    /// Makes the client of a database's member that health checks ask.
    var maker: (@Sendable (AliasTarget) throws(SkeinError) -> any BackEnd)? {
        get { state.withLock { $0.maker } }
        set { state.withLock { $0.maker = newValue } }
    }

    /// The other members: first those of the zone that are available, then those elsewhere, at last those that are ejected; in any order
    /// otherwise.
    func others(than url: String, at now: NIODeadline) -> [AliasTarget] {
        func rank(_ member: BalancedMember) -> Int {
            (member.isAvailable(at: now) ? 0 : 2) + (member.isElsewhere ? 1 : 0)
        }
        return state.withLock { state in
            zip(state.balancer.members, state.targets).filter { $1.url != url }.map { (rank($0), $1) }
        }.shuffled().sorted { $0.0 < $1.0 }.map(\.1)
    }

    /// An attempt to connect to a member, by its URL, has succeeded or failed.
    package func noteConnect(_ url: String, _ error: SkeinError?, at now: NIODeadline) {
        state.withLock { state in
            guard let index = state.targets.firstIndex(where: { $0.url == url }) else { return }
            guard let outcome = Self.outcome(error) else { return }
            let attempt = state.balancer.begin(index, at: now)
            state.balancer.report(attempt, outcome, at: now)
        }
    }

    private static func outcome(_ error: SkeinError?) -> Balancer.Outcome? {
        guard let error else { return .success }
        return Dialer.isUnreachable(error) ? .unreachable : nil
    }

    package func mayRetry(at now: NIODeadline) -> Bool { state.withLock { $0.balancer.mayRetry(at: now) } }
    package func mayHedge(at now: NIODeadline) -> Bool { state.withLock { $0.balancer.mayHedge(at: now) } }
    package var hedgeDelay: Duration? { state.withLock { $0.balancer.hedgeDelay } }
    package var count: Int { state.withLock { $0.targets.count } }

    /// Begins an attempt on a certain member; nil when the alias does not have it any more.
    func begin(on id: Balancer.MemberID, at now: NIODeadline) -> Attempt? {
        state.withLock { state in
            state.balancer.members.firstIndex { $0.id == id }.map { index in
                Attempt(attempt: state.balancer.begin(index, at: now), target: state.targets[index])
            }
        }
    }

    /// The members, for health checks.
    package var targets: [(id: Balancer.MemberID, target: AliasTarget)] {
        state.withLock { state in zip(state.balancer.members, state.targets).map { ($0.id, $1) } }
    }

    package func isEjected(_ id: Balancer.MemberID, at now: NIODeadline) -> Bool {
        state.withLock { $0.balancer.isEjected(id, at: now) }
    }

    package func isBack(_ id: Balancer.MemberID, at now: NIODeadline) {
        state.withLock { $0.balancer.isBack(id, at: now) }
    }

    /// - Returns: false when another task waits already.
    func beginsWaiting(for id: Balancer.MemberID) -> Bool { state.withLock { $0.awaited.insert(id).inserted } }
    func endsWaiting(for id: Balancer.MemberID) { state.withLock { _ = $0.awaited.remove(id) } }

    /// A check of a member begins.
    /// - Returns: false when the one before has not ended.
    func beginsCheck(of id: Balancer.MemberID) -> Bool { state.withLock { $0.checking.insert(id).inserted } }

    /// A check has ended.
    /// - Parameters:
    ///   - isHealthy: nil when it says nothing.
    ///   - watch: the number of the health check; one that is not in force any more does not count.
    func checked(_ id: Balancer.MemberID, isHealthy: Bool?, watch: Int) {
        state.withLock { state in
            state.checking.remove(id)
            if let isHealthy, watch == state.watch { state.balancer.checked(id, isHealthy: isHealthy) }
        }
    }

    /// The state of each member.
    package func status(at now: NIODeadline) -> [AliasMemberStatus] {
        state.withLock { state in
            zip(state.balancer.members, state.targets).map { member, target in
                AliasMemberStatus(
                    url: Alias.Member.redacted(target.url), weight: target.weight,
                    isAvailable: member.isAvailable(at: now),
                    inFlight: member.inFlight, limit: member.concurrencyLimit, latency: member.latency / 1e6,
                    requests: member.totalRequests, failures: member.totalFailures)
            }
        }
    }
}
