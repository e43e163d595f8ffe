import NIOCore
import SkeinTransport
import Testing

/// The balancer's table: (members, their history) → the member for a request.
@Suite("Balancer")
struct BalancerTests {
    /// A balancer with members `m0`, `m1`, …, asked at seconds after its start.
    private final class Members {
        static let start = NIODeadline.uptimeNanoseconds(1_000_000_000)
        var balancer: Balancer

        init(
            _ weights: [Double], _ policy: BalancingConfiguration.Policy = .roundRobin,
            limit: ConcurrencyConfiguration? = nil
        ) {
            var configuration = BalancingConfiguration()
            configuration.policy = policy
            configuration.concurrency = limit
            balancer = Balancer(configuration, seed: 1, at: Self.start)
            balancer.set(weights.enumerated().map { ("m\($0)", $1) }, at: Self.start)
        }

        subscript(index: Int) -> BalancedMember { balancer.members[index] }

        func time(_ seconds: Double) -> NIODeadline { Self.start + .nanoseconds(Int64(seconds * 1e9)) }

        func pick(at seconds: Double = 0, key: UInt64 = 0, tried: [Balancer.MemberID] = []) -> Balancer.Pick {
            balancer.pick(key: key, tried: tried, isFirst: tried.isEmpty, at: time(seconds))
        }

        func attempt(at seconds: Double = 0, key: UInt64 = 0, tried: [Balancer.MemberID] = []) -> Balancer.Attempt? {
            if case .attempt(let attempt) = pick(at: seconds, key: key, tried: tried) { attempt } else { nil }
        }

        func end(_ attempt: Balancer.Attempt?, _ outcome: Balancer.Outcome, at seconds: Double = 0) {
            if let attempt { balancer.report(attempt, outcome, at: time(seconds)) }
        }

        /// Sends a request and ends it after 10 ms.
        @discardableResult
        func send(
            at seconds: Double = 0, key: UInt64 = 0, _ outcome: (Int) -> Balancer.Outcome = { _ in .success }
        ) -> Int? {
            let attempt = attempt(at: seconds, key: key)
            if let attempt { end(attempt, outcome(attempt.index), at: seconds + 0.01) }
            return attempt?.index
        }

        /// How many of some requests each member gets.
        func counts(_ count: Int, at seconds: Double = 0) -> [Int] {
            let picked = (0..<count).map { send(at: seconds, key: UInt64($0)) }
            return balancer.members.indices.map { index in picked.count { $0 == index } }
        }

        func isAvailable(_ index: Int, at seconds: Double) -> Bool { self[index].isAvailable(at: time(seconds)) }
        func mayRetry(at seconds: Double = 0) -> Bool { balancer.mayRetry(at: time(seconds)) }
    }

    @Test("no member without members, and the only one with one")
    func few() {
        #expect(Members([]).pick() == .none)
        for policy in [BalancingConfiguration.Policy.peakEWMA, .roundRobin, .leastRequests, .consistentHash] {
            #expect(Members([1], policy).counts(10) == [10])
        }
    }

    @Test("round robin: shares by weight, evenly interleaved")
    func inTurn() {
        #expect(Members([3, 2, 1]).counts(60) == [30, 20, 10])
        let mixed = Members([2, 1])
        #expect((0..<6).map { _ in mixed.send() } == [0, 1, 0, 0, 1, 0])
    }

    @Test("the fewest requests in flight, by weight")
    func leastRequests() {
        let two = Members([2, 1], .leastRequests)
        #expect((0..<6).count { _ in two.attempt()?.index == 0 } == 4)
    }

    @Test("the same key goes to the same member, and few keys move when a member leaves")
    func consistentHash() {
        let five = Members([1, 1, 1, 1, 1], .consistentHash)
        let before = (0..<1000).map { five.send(key: UInt64($0)) }
        #expect(before == (0..<1000).map { five.send(key: UInt64($0)) })
        for member in 0..<5 { #expect((140...260).contains(before.count { $0 == member })) }
        five.balancer.set((0..<4).map { ("m\($0)", 1) }, at: Members.start)
        let after = (0..<1000).map { five.send(key: UInt64($0)) }
        for (old, new) in zip(before, after) where old != 4 { #expect(old == new) }
    }

    @Test("a key whose member is busy goes to another one")
    func boundedLoad() {
        let two = Members([1, 1], .consistentHash)
        let first = (0..<20).count { _ in two.attempt(key: 5)?.index == 0 }
        #expect(max(first, 20 - first) <= 13, "\(first)")
    }

    @Test("five failures in a row eject a member for 30 s, then one trial, and a slow start")
    func ejection() {
        let three = Members([1, 1, 1])
        for _ in 0..<15 { three.send { $0 == 0 ? .failure : .success } }
        #expect(!three.isAvailable(0, at: 29))
        #expect(three.counts(30, at: 29) == [0, 15, 15])
        // A member on trial, while its response is pending.
        let picked = (0..<9).compactMap { _ in three.attempt(at: 31) }
        #expect(picked.count { $0.index == 0 } == 1)
        #expect(three[0].standing == .onTrial)
        three.end(picked.first(where: \.isTrial), .success, at: 31)
        #expect(three[0].standing == .trusted)
        let slow = three.counts(300, at: 32)
        #expect(slow[0] < 60, "its weight grows for ten seconds: \(slow)")
        #expect(three.counts(300, at: 60)[0] == 100)
    }

    @Test("an unreachable member is ejected at once, and tried as soon as it is back")
    func unreachable() {
        let two = Members([1, 1])
        for _ in 0..<2 { two.send { $0 == 0 ? .unreachable : .success } }
        #expect(two.balancer.isEjected(two[0].id, at: two.time(1)))
        #expect(two.counts(10, at: 1) == [0, 10])
        two.balancer.isBack(two[0].id, at: two.time(2))
        #expect(two.send(at: 2) == 0)
        #expect(two[0].standing == .trusted)
    }

    @Test("a member that fails its trial is ejected for longer")
    func secondEjection() {
        let two = Members([1, 1])
        for _ in 0..<10 { two.send { $0 == 0 ? .failure : .success } }
        #expect(two[0].standing == .ejected(until: two.time(0.01 + 30)))
        for _ in 0..<2 { two.send(at: 31) { $0 == 0 ? .failure : .success } }
        #expect(two[0].standing == .ejected(until: two.time(31.01 + 60)))
    }

    @Test("only a trial ends or extends an ejection; a refused trial is repeated after a pause")
    func trial() {
        let two = Members([1, 1])
        var early: [Balancer.Attempt] = []
        while two[0].inFlight < 20 { if let attempt = two.attempt(), attempt.index == 0 { early.append(attempt) } }
        for attempt in early[..<10] { two.end(attempt, .failure) }
        #expect(two[0].standing == .ejected(until: two.time(30)), "late failures do not extend it")
        for attempt in early[10..<15] { two.end(attempt, .success) }
        #expect(two[0].standing == .ejected(until: two.time(30)), "late answers do not end it")
        let trial = two.attempt(at: 31)
        #expect(trial?.index == 0 && trial?.isTrial == true)
        two.end(early[15], .cancelled, at: 31)
        #expect(two[0].standing == .onTrial, "an attempt from before is not the trial")
        two.end(trial, .refused(after: nil), at: 31)
        #expect(two[0].standing == .ejected(until: two.time(31 + 30)))
        #expect(two.send(at: 62) == 0)
        #expect(two[0].standing == .trusted)
    }

    @Test("an abandoned trial is repeated")
    func abandonedTrial() {
        let two = Members([1, 1])
        for _ in 0..<2 { two.send { $0 == 0 ? .unreachable : .success } }
        two.end(two.attempt(at: 31), .cancelled, at: 31)
        let again = two.attempt(at: 31)
        #expect(again?.index == 0 && again?.isTrial == true)
    }

    @Test("a member whose clients are returned to callers is not on trial")
    func handedOut() {
        let two = Members([1, 1])
        for _ in 0..<2 { two.send { $0 == 0 ? .unreachable : .success } }
        let chosen = (0..<4).map { _ in two.balancer.choose(at: two.time(31)) }
        #expect(chosen.contains(0) && chosen.contains(1), "one that was away does not get all of them: \(chosen)")
        #expect(two[0].inFlight == 0 && two[1].inFlight == 0)
    }

    @Test("no more than half of the members are ejected, and never the last one")
    func limits() {
        for (count, ejected) in [(4, 2), (2, 1), (1, 0)] {
            let members = Members(Array(repeating: 1, count: count))
            for _ in 0..<100 { members.send { _ in .failure } }
            #expect((0..<count).count { !members.isAvailable($0, at: 1) } == ejected)
            #expect(members.send() != nil)
        }
    }

    @Test("a success rate far below that of the others ejects, too")
    func successRate() {
        let six = Members([1, 1, 1, 1, 1, 1])
        for _ in 0..<1200 {
            let requests = six[3].totalRequests
            six.send(at: 5) { $0 == 3 && requests % 3 != 0 ? .failure : .success }
        }
        #expect(six[3].totalFailures > 50)
        #expect(six[3].standing == .trusted, "not before the end of the interval")
        six.send(at: 11)
        #expect(six.balancer.members.map { $0.standing == .trusted } == [true, true, true, false, true, true])
    }

    @Test("a member that asks for a pause gets one")
    func retryAfter() {
        let two = Members([1, 1])
        for _ in 0..<2 { two.send { $0 == 1 ? .refused(after: .seconds(7)) : .success } }
        #expect(two.counts(10, at: 6) == [10, 0])
        #expect(two.counts(10, at: 8)[1] > 0)
    }

    @Test("a member that fails its check gets no requests, but the last one is still used")
    func checks() {
        let two = Members([1, 1])
        two.balancer.checked(two[0].id, isHealthy: false)
        #expect(two.counts(10) == [0, 10])
        two.balancer.checked(two[1].id, isHealthy: false)
        #expect(two.counts(10) == [5, 5])
        two.balancer.checked(two[0].id, isHealthy: true)
        #expect(two.counts(10) == [10, 0])
    }

    @Test("a tried member is tried again only when there is no other")
    func tried() {
        let two = Members([1, 1])
        for _ in 0..<5 { #expect(two.attempt(tried: [two[0].id])?.index == 1) }
        let one = Members([1])
        #expect(one.attempt(tried: [one[0].id])?.index == 0)
    }

    @Test("with every member at its limit, a request is refused")
    func full() {
        var limit = ConcurrencyConfiguration()
        limit.initial = 3
        let two = Members([1, 1], limit: limit)
        let attempts = (0..<6).compactMap { _ in two.attempt() }
        #expect(attempts.count == 6)
        #expect(two.pick() == .full)
        two.end(attempts.first { $0.index == 0 }, .cancelled)
        #expect(two.attempt()?.index == 0)
    }

    @Test("the limit shrinks when the latency is above the usual, and grows again")
    func gradient() {
        let one = Members([1], limit: ConcurrencyConfiguration())
        var open: [Balancer.Attempt] = []
        var now = 0.0
        /// Responses that take some milliseconds each, with the maximum number in flight.
        func answer(_ milliseconds: Double, _ times: Int) {
            for attempt in open { one.end(attempt, .cancelled, at: now) }
            open = []
            for _ in 0..<times {
                while open.count < 200, let attempt = one.attempt(at: now) { open.append(attempt) }
                let first = open.removeFirst()
                let begun = Double((first.begun - Members.start).nanoseconds) / 1e9
                one.end(first, .success, at: begun + milliseconds / 1000)
            }
            now += 1
        }
        answer(10, 500)
        #expect(one[0].concurrencyLimit == 200)
        answer(40, 100)
        let shrunk = one[0].concurrencyLimit ?? 0
        #expect(shrunk < 100, "\(shrunk)")
        answer(10, 500)
        #expect(one[0].concurrencyLimit == 200)
    }

    @Test("retries are limited to a share of the requests plus ten a second")
    func budget() {
        let two = Members([1, 1])
        for _ in 0..<10 { #expect(two.mayRetry()) }
        #expect(!two.mayRetry())
        for _ in 0..<10 { two.send() }
        #expect(two.mayRetry())
        #expect(two.mayRetry())
        #expect(!two.mayRetry())
        #expect(two.mayRetry(at: 0.11))
    }

    @Test("the statistics of a member are kept when others are added or removed")
    func changes() {
        let two = Members([1, 1])
        for _ in 0..<10 { two.send() }
        let id = two[1].id
        let attempts = (0..<2).map { _ in two.attempt(tried: [two[0].id]) }
        two.balancer.set([("m2", 1), ("m1", 5)], at: Members.start)
        #expect(two[1].id == id)
        #expect(two[1].inFlight == 2)
        #expect(two[1].weight == 5)
        two.balancer.set([("m1", 5), ("m2", 1)], at: Members.start)
        // The end of an attempt whose member has another place now, and of one whose member is gone.
        two.end(attempts[0], .success)
        #expect(two.balancer.members.map(\.inFlight) == [1, 0])
        two.balancer.set([("m2", 1)], at: Members.start)
        two.end(attempts[1], .success)
        #expect(two.balancer.members.map(\.inFlight) == [0])
    }

    @Test(
        "requests stay in their zone while half of its members are available, and the wait before a request is not latency"
    )
    func zones() {
        let members = Members([])
        func set() {
            members.balancer.set(
                [("near 1", 1), ("near 2", 1), ("far", 1)], elsewhere: ["far"], at: members.time(0))
        }
        set()
        #expect(members.counts(20) == [10, 10, 0])
        members.balancer.checked(members[0].id, isHealthy: false)
        #expect(members.counts(20) == [0, 20, 0], "half of them is enough")
        members.balancer.checked(members[1].id, isHealthy: false)
        #expect(members.counts(20) == [0, 0, 20])
        members.balancer.checked(members[0].id, isHealthy: true)
        members.balancer.checked(members[1].id, isHealthy: true)
        set()
        #expect(members.counts(20)[2] == 0)
        guard let attempt = members.attempt(at: 100) else {
            Issue.record("no member")
            return
        }
        members.balancer.report(attempt, .success, since: members.time(109.99), at: members.time(110))
        #expect(members[attempt.index].latency < 1e8, "\(members[attempt.index].latency)")
    }

    @Test("a hedged attempt is sent after the usual latency, once a hundred responses are known")
    func hedgeDelay() {
        let two = Members([1, 1])
        #expect(two.balancer.hedgeDelay == nil)
        for number in 0..<200 { two.end(two.attempt(), .success, at: number % 20 == 0 ? 0.5 : 0.02) }
        let delay = two.balancer.hedgeDelay ?? .zero
        #expect(delay >= .milliseconds(500) && delay <= .milliseconds(600), "\(delay)")
        let one = Members([1])
        for _ in 0..<200 { one.send() }
        #expect(one.balancer.hedgeDelay == nil)
    }
}
