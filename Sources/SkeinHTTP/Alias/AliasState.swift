// An alias in use: its balancer, which all loops share, and the addresses of its members.

import NIOCore
import SkeinCore
import SkeinTransport
import Synchronization

/// The alias of a client, from its registration on.
package final class AliasState: Sendable {
    /// An attempt that was begun and whose end has to be told, and where it goes.
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
        /// In the order of the balancer's members.
        var targets: [AliasTarget]
        /// Members whose return is waited for.
        var awaited: Set<Balancer.MemberID> = []
        var watch = 0
    }

    /// The name, beginning with `@`.
    package let name: String
    package let configuration: BalancingConfiguration
    /// What its members speak.
    let scheme: Alias.Scheme
    private let state: Mutex<State>

    init(_ name: String, _ alias: Alias, at now: NIODeadline) throws(SkeinError) {
        self.name = name
        configuration = Self.configuration(alias)
        scheme = alias.scheme
        var balancer = Balancer(configuration, seed: .random(in: 0...UInt64.max), at: now)
        let (targets, list) = try Self.targets(alias)
        balancer.set(list, at: now)
        state = Mutex(State(alias: alias, balancer: balancer, targets: targets))
    }

    package var alias: Alias { state.withLock { $0.alias } }

    /// A client of a database stays with its member: members take turns, and one that cannot be connected to is left out at once.
    private static func configuration(_ alias: Alias) -> BalancingConfiguration {
        var configuration = alias.balancing
        if !alias.scheme.isHTTP {
            configuration.policy = .roundRobin
            configuration.concurrency = nil
            configuration.outliers.ejection = min(configuration.outliers.ejection, .seconds(5))
        }
        return configuration
    }

    private static func targets(_ alias: Alias) throws(SkeinError) -> ([AliasTarget], [(key: String, weight: Double)]) {
        guard !alias.members.isEmpty else {
            throw SkeinError(.exception, because: "an alias needs a member; write HOST:PORT WEIGHT")
        }
        var targets: [AliasTarget] = []
        var list: [(key: String, weight: Double)] = []
        var keys: Set<String> = []
        for member in alias.members {
            guard member.weight > 0, member.weight.isFinite else {
                throw SkeinError(.exception, because: "the weight of \(member) is not a positive number")
            }
            var key = member.url
            while !keys.insert(key).inserted { key += " " }  // the same back end twice has twice the requests
            targets.append(try AliasTarget(member, alias.scheme))
            list.append((key, member.weight))
        }
        return (targets, list)
    }

    /// Changes members and health check, which ends the check that was in force before; members that stay keep what was learned.
    package func set(_ alias: Alias, at now: NIODeadline) throws(SkeinError) {
        let (targets, list) = try Self.targets(alias)
        state.withLock { state in
            state.alias = alias
            state.balancer.set(list, at: now)
            if alias.healthCheck == nil { state.balancer.forgetChecks() }
            state.targets = targets
            state.watch += 1
        }
    }

    /// The number of the health check that is in force.
    var watch: Int { state.withLock { $0.watch } }

    // MARK: Attempts

    /// Begins an attempt on the member that the balancer picks.
    package func begin(
        key: UInt64 = 0, tried: [Balancer.MemberID] = [], isFirst: Bool = true, at now: NIODeadline
    ) -> Pick {
        state.withLock { state in
            switch state.balancer.pick(key: key, tried: tried, isFirst: isFirst, at: now) {
            case .attempt(let attempt): return .attempt(Attempt(attempt: attempt, target: state.targets[attempt.index]))
            case .full:
                return .none(
                    SkeinError(
                        .overloaded, peer: name,
                        because: "every member of \(name) has reached its limit of requests in flight"))
            case .none: return .none(SkeinError(.connectionFailed, peer: name, because: "\(name) has no members"))
            }
        }
    }

    /// Ends an attempt.
    package func end(_ attempt: Attempt, _ outcome: Balancer.Outcome, at now: NIODeadline) {
        state.withLock { $0.balancer.report(attempt.attempt, outcome, at: now) }
    }

    /// Picks the member whose client is handed out, for protocols whose clients stay with a member.
    package func choose(at now: NIODeadline) -> AliasTarget? {
        state.withLock { state in state.balancer.choose(at: now).map { state.targets[$0] } }
    }

    /// An attempt to connect to a member, by its URL, has succeeded or failed.
    package func noteConnect(_ url: String, _ error: SkeinError?, at now: NIODeadline) {
        state.withLock { state in
            guard let index = state.targets.firstIndex(where: { $0.url == url }) else { return }
            let attempt = state.balancer.begin(index, at: now)
            state.balancer.report(attempt, error == nil ? .success : .unreachable, at: now)
        }
    }

    package func mayRetry(at now: NIODeadline) -> Bool { state.withLock { $0.balancer.mayRetry(at: now) } }
    package func mayHedge(at now: NIODeadline) -> Bool { state.withLock { $0.balancer.mayHedge(at: now) } }
    package var hedgeDelay: Duration? { state.withLock { $0.balancer.hedgeDelay } }
    package var count: Int { state.withLock { $0.targets.count } }

    /// Every member, for requests that go to all of them.
    package func everyAttempt(at now: NIODeadline) -> [Attempt] {
        state.withLock { state in
            state.targets.indices.map { index in
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

    /// - Returns: false when somebody waits already.
    func beginsWaiting(for id: Balancer.MemberID) -> Bool { state.withLock { $0.awaited.insert(id).inserted } }
    func endsWaiting(for id: Balancer.MemberID) { state.withLock { _ = $0.awaited.remove(id) } }

    package func checked(_ id: Balancer.MemberID, isHealthy: Bool) {
        state.withLock { $0.balancer.checked(id, isHealthy: isHealthy) }
    }

    /// The state of each member.
    package func status(at now: NIODeadline) -> [AliasMemberStatus] {
        state.withLock { state in
            zip(state.balancer.members, state.alias.members).map { member, given in
                AliasMemberStatus(
                    url: Alias.Member.redacted(given.url), weight: given.weight,
                    isAvailable: member.isAvailable(at: now),
                    inFlight: member.inFlight, limit: member.concurrencyLimit, latency: member.latency / 1e6,
                    requests: member.totalRequests, failures: member.totalFailures)
            }
        }
    }
}

/// Where a member is.
package struct AliasTarget: Sendable {
    /// The member's URL, credentials included.
    package let url: String
    /// The origin of an HTTP member.
    package let origin: HTTPOrigin?
    /// What stands before each path, without a slash at its end.
    let prefix: String
    let auth: HTTPAuth?

    init(_ member: Alias.Member, _ scheme: Alias.Scheme) throws(SkeinError) {
        url = member.url
        guard scheme.isHTTP else {
            (origin, prefix, auth) = (nil, "", nil)
            return
        }
        var text = member.url
        var auth: HTTPAuth?
        if let start = text.rangeOfBytes("://")?.upperBound, let at = text[start...].prefix(before: "/").lastByte("@") {
            let userInfo = text[start..<at]
            let user = userInfo.prefix(before: ":")
            let password = userInfo[user.endIndex...].dropFirst()
            guard let user = Percent.decode(user), let password = Percent.decode(password) else {
                throw SkeinError(.exception, because: "the credentials of a member are not percent-encoded text")
            }
            auth = .basic(user, password)
            text.removeSubrange(start...at)
        }
        if text.hasBytePrefix("ws://") || text.hasBytePrefix("wss://") { text = "http" + text.dropFirst(2) }
        guard let parsed = try? HTTPURL(text), !parsed.origin.isAlias else {
            throw SkeinError(
                .exception,
                because:
                    "the member \(Alias.Member.redacted(member.url)) has no valid address; write HOST:PORT or a URL, with user and password percent-encoded"
            )
        }
        origin = parsed.origin
        self.auth = auth
        prefix = parsed.target.hasByteSuffix("/") ? String(parsed.target.dropLast()) : parsed.target
    }

    /// A request to the alias, as the member gets it.
    func request(_ request: HTTPRequest) -> HTTPRequest {
        guard let origin else { return request }
        var request = request
        let target = request.url.target
        request.url = HTTPURL(origin: origin, target: prefix.isEmpty ? target : prefix + target)
        if let auth, request.auth == nil, !request.headers.contains("Authorization") { request.auth = auth }
        return request
    }
}

/// The aliases of a client and of all views of it.
package final class AliasTable: Sendable {
    private let states = Mutex<ByteDictionary<AliasState>>([:])

    package init() {}

    package subscript(name: String) -> AliasState? { states.withLock { $0[name] } }

    package var all: [AliasState] { states.withLock { Array($0.values) }.sorted { $0.name < $1.name } }

    /// The alias of a name.
    /// - Throws: code 701 that names those there are.
    package func find(_ name: String) throws(SkeinError) -> AliasState {
        if let state = self[name] { return state }
        let known = all.map(\.name).joined(separator: ", ")
        throw SkeinError(
            .exception,
            because: "there is no alias \(name); "
                + (known.isEmpty ? "register it with alias(_:_:)" : "known aliases are \(known)"))
    }

    /// Registers an alias. One that is registered already gets the new members, and keeps what was learned if the rest is the same.
    package func register(_ name: String, _ alias: Alias, at now: NIODeadline) throws(SkeinError) {
        try Alias.check(name: name)
        if let state = self[name], state.scheme == alias.scheme, state.alias.balancing == alias.balancing {
            return try state.set(alias, at: now)
        }
        let state = try AliasState(name, alias, at: now)
        states.withLock { $0[name] = state }
    }

    /// Forgets an alias; what is under way ends as it would.
    package func remove(_ name: String) { states.withLock { $0[name] = nil } }
}

extension Alias {
    /// - Throws: code 701 for a name that no alias can have.
    package static func check(name: String) throws(SkeinError) {
        guard name.hasBytePrefix("@"), name.utf8.count > 1,
            name.utf8.dropFirst().allSatisfy({ HTTPOrigin.isAliasByte($0) })
        else {
            throw SkeinError(
                .exception,
                because:
                    "\(name.debugDescription) is not an alias; write @ and letters, digits, dots, hyphens or underscores"
            )
        }
    }
}
