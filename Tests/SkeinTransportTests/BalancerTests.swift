import NIOCore
import SkeinTransport
import Testing

/// The balancer's table: (members, what they did) → whom a request goes to.
@Suite("Balancer")
struct BalancerTests {
    private static let start = NIODeadline.uptimeNanoseconds(1_000_000_000)

    private func balancer(
        _ weights: [Double], _ policy: BalancingConfiguration.Policy = .roundRobin,
        _ change: (inout BalancingConfiguration) -> Void = { _ in }
    ) -> Balancer {
        var configuration = BalancingConfiguration()
        configuration.policy = policy
        change(&configuration)
        var balancer = Balancer(configuration, seed: 1, at: Self.start)
        balancer.set(weights.enumerated().map { ("m\($0)", $1) }, at: Self.start)
        return balancer
    }

    /// Sends a request and ends it.
    @discardableResult
    private func send(
        _ balancer: inout Balancer, at seconds: Int64 = 0, key: UInt64 = 0,
        _ outcome: (Int) -> Balancer.Outcome = { _ in .success }
    ) -> Int? {
        let now = Self.start + .seconds(seconds)
        guard case .member(let index) = balancer.pick(key: key, isFirst: true, at: now) else { return nil }
        let isTrial = balancer.members[index].isOnTrial
        balancer.report(
            balancer.members[index].id, at: index, outcome(index), latency: .milliseconds(10), isTrial: isTrial,
            at: now + .milliseconds(10))
        return index
    }

    private func counts(_ balancer: inout Balancer, _ count: Int, at seconds: Int64 = 0) -> [Int] {
        var counts = Array(repeating: 0, count: balancer.members.count)
        for number in 0..<count {
            if let index = send(&balancer, at: seconds, key: UInt64(number)) { counts[index] += 1 }
        }
        return counts
    }

    @Test("without a member there is none, and with one it is that one")
    func few() {
        var none = balancer([])
        do {
            let isSo = none.pick(isFirst: true, at: Self.start) == .none
            #expect(isSo)
        }
        for policy in [BalancingConfiguration.Policy.peakEWMA, .roundRobin, .leastRequests, .consistentHash] {
            var one = balancer([1], policy)
            do {
                let isSo = counts(&one, 10) == [10]
                #expect(isSo)
            }
        }
    }

    @Test("in turn, each gets its share by weight, evenly mixed")
    func inTurn() {
        var three = balancer([3, 2, 1])
        do {
            let isSo = counts(&three, 60) == [30, 20, 10]
            #expect(isSo)
        }
        var mixed = balancer([2, 1])
        let order = (0..<6).map { _ in send(&mixed) }
        #expect(order == [0, 1, 0, 0, 1, 0])
    }

    @Test("the fewest in flight, by weight")
    func leastRequests() {
        var two = balancer([2, 1], .leastRequests)
        var picked: [Int] = []
        for _ in 0..<6 {
            if case .member(let index) = two.pick(isFirst: true, at: Self.start) { picked.append(index) }
        }
        #expect(picked.count { $0 == 0 } == 4)
    }

    @Test("the same key goes to the same member, and few keys move when a member leaves")
    func consistentHash() {
        var five = balancer([1, 1, 1, 1, 1], .consistentHash)
        let before = (0..<1000).map { send(&five, key: UInt64($0)) }
        let again = (0..<1000).map { send(&five, key: UInt64($0)) }
        #expect(before == again)
        for member in 0..<5 { #expect((140...260).contains(before.count { $0 == member })) }
        five.set([0, 1, 2, 3].map { ("m\($0)", 1) }, at: Self.start)
        let after = (0..<1000).map { send(&five, key: UInt64($0)) }
        for (old, new) in zip(before, after) where old != 4 { #expect(old == new) }
    }

    @Test("a key whose member is busy goes to another one")
    func boundedLoad() {
        var two = balancer([1, 1], .consistentHash)
        var picked = [0, 0]
        for _ in 0..<20 {
            if case .member(let index) = two.pick(key: 5, isFirst: true, at: Self.start) { picked[index] += 1 }
        }
        #expect(picked.max() ?? 0 <= 13, "\(picked)")
    }

    @Test("five failures in a row eject a member for 30 s, then one request tries it, and it starts slowly")
    func ejection() {
        var three = balancer([1, 1, 1])
        let fails: (Int) -> Balancer.Outcome = { $0 == 0 ? .failure : .success }
        for _ in 0..<15 { send(&three, fails) }
        #expect(!three.members[0].isAvailable(at: Self.start + .seconds(29)))
        do {
            let isSo = counts(&three, 30, at: 29) == [0, 15, 15]
            #expect(isSo)
        }
        // One on trial, while it has no answer.
        let later = Self.start + .seconds(31)
        var picked: [Int] = []
        for _ in 0..<9 { if case .member(let index) = three.pick(isFirst: true, at: later) { picked.append(index) } }
        #expect(picked.count { $0 == 0 } == 1)
        three.report(three.members[0].id, at: 0, .success, latency: .milliseconds(1), isTrial: true, at: later)
        #expect(three.members[0].ejectedUntil == nil)
        let slow = counts(&three, 300, at: 32)
        #expect(slow[0] < 60, "its weight grows for ten seconds: \(slow)")
        do {
            let isSo = counts(&three, 300, at: 60)[0] == 100
            #expect(isSo)
        }
    }

    @Test("a member that cannot be connected to is ejected at once, and tried as soon as it is known to be back")
    func unreachable() {
        var two = balancer([1, 1])
        for _ in 0..<2 { send(&two) { $0 == 0 ? .unreachable : .success } }
        let id = two.members[0].id
        #expect(two.isEjected(id, at: Self.start + .seconds(1)))
        do {
            let others = counts(&two, 10, at: 1)
            #expect(others == [0, 10])
        }
        two.isBack(id, at: Self.start + .seconds(2))
        let first = send(&two, at: 2)
        #expect(first == 0)
        #expect(two.members[0].ejectedUntil == nil)
    }

    @Test("a member that fails on trial is ejected for longer")
    func secondEjection() {
        var two = balancer([1, 1])
        let fails: (Int) -> Balancer.Outcome = { $0 == 0 ? .failure : .success }
        for _ in 0..<10 { send(&two, fails) }
        #expect(two.members[0].ejectedUntil == Self.start + .milliseconds(10) + .seconds(30))
        for _ in 0..<2 { send(&two, at: 31, fails) }
        #expect(two.members[0].ejectedUntil == Self.start + .milliseconds(10) + .seconds(31 + 60))
    }

    @Test("only the attempt on trial ends or extends an ejection; a trial that is refused is repeated after a pause")
    func trial() {
        var two = balancer([1, 1])
        let id = two.members[0].id
        var begun = 0
        while two.members[0].inFlight < 20 {
            _ = two.pick(isFirst: true, at: Self.start)
            begun += 1
        }
        for _ in 0..<10 { two.report(id, at: 0, .failure, latency: .milliseconds(1), at: Self.start) }
        #expect(two.members[0].ejectedUntil == Self.start + .seconds(30), "late failures do not extend it")
        for _ in 0..<5 { two.report(id, at: 0, .success, latency: .milliseconds(1), at: Self.start) }
        #expect(two.members[0].ejectedUntil != nil, "late answers do not end it")
        let later = Self.start + .seconds(31)
        let first = two.pick(isFirst: true, at: later)
        #expect(first == .member(0))
        two.report(id, at: 0, .cancelled, latency: .zero, at: later)
        #expect(two.members[0].isOnTrial, "an attempt from before is not the trial")
        two.report(id, at: 0, .refused(after: nil), latency: .zero, isTrial: true, at: later)
        #expect(!two.members[0].isOnTrial)
        #expect(two.members[0].ejectedUntil == later + .seconds(30))
        let again = send(&two, at: 62)
        #expect(again == 0)
        #expect(two.members[0].ejectedUntil == nil)
    }

    @Test("a member whose clients are handed out is not on trial")
    func handedOut() {
        var two = balancer([1, 1])
        for _ in 0..<2 { send(&two) { $0 == 0 ? .unreachable : .success } }
        let chosen = (0..<4).map { _ in two.choose(at: Self.start + .seconds(31)) }
        #expect(chosen.contains(1), "one that was away does not get all of them: \(chosen)")
    }

    @Test("no more than half of the members are ejected, and never the last one")
    func limits() {
        var four = balancer([1, 1, 1, 1])
        for _ in 0..<100 { send(&four) { _ in .failure } }
        #expect(four.members.count { !$0.isAvailable(at: Self.start + .seconds(1)) } == 2)
        var one = balancer([1])
        for _ in 0..<100 { send(&one) { _ in .failure } }
        do {
            let isSo = send(&one) == 0
            #expect(isSo)
        }
        var two = balancer([1, 1])
        for _ in 0..<100 { send(&two) { _ in .failure } }
        #expect(two.members.count { !$0.isAvailable(at: Self.start + .seconds(1)) } == 1)
    }

    @Test("a success rate far below that of the others ejects, too")
    func successRate() {
        var six = balancer([1, 1, 1, 1, 1, 1])
        for _ in 0..<1200 {
            let failures = six.members[3].totalRequests
            send(&six, at: 5) { $0 == 3 && failures % 3 != 0 ? .failure : .success }
        }
        #expect(six.members[3].totalFailures > 50)
        #expect(six.members[3].ejectedUntil == nil, "not before the end of the interval")
        send(&six, at: 11)
        #expect(six.members[3].ejectedUntil != nil)
        #expect(six.members.count { $0.ejectedUntil != nil } == 1)
    }

    @Test("a member that asks for a pause gets one")
    func retryAfter() {
        var two = balancer([1, 1])
        for _ in 0..<2 { send(&two) { $0 == 1 ? .refused(after: .seconds(7)) : .success } }
        do {
            let isSo = counts(&two, 10, at: 6) == [10, 0]
            #expect(isSo)
        }
        do {
            let isSo = counts(&two, 10, at: 8)[1] > 0
            #expect(isSo)
        }
    }

    @Test("a member that is checked out gets nothing, and the last one is used all the same")
    func checks() {
        var two = balancer([1, 1])
        two.checked(two.members[0].id, isHealthy: false)
        do {
            let isSo = counts(&two, 10) == [0, 10]
            #expect(isSo)
        }
        two.checked(two.members[1].id, isHealthy: false)
        do {
            let isSo = counts(&two, 10) == [5, 5]
            #expect(isSo)
        }
        two.checked(two.members[0].id, isHealthy: true)
        do {
            let isSo = counts(&two, 10) == [10, 0]
            #expect(isSo)
        }
    }

    @Test("a member that was tried is tried again only when there is no other")
    func tried() {
        var two = balancer([1, 1])
        let first = two.members[0].id
        for _ in 0..<5 {
            let isSo = two.pick(tried: [first], isFirst: false, at: Self.start) == .member(1)
            #expect(isSo)
        }
        var one = balancer([1])
        do {
            let isSo = one.pick(tried: [one.members[0].id], isFirst: false, at: Self.start) == .member(0)
            #expect(isSo)
        }
    }

    @Test("with every member at its limit, a request is refused")
    func full() {
        var two = balancer([1, 1]) {
            $0.concurrency = {
                var limit = ConcurrencyConfiguration(); limit.initial = 3; return limit
            }()
        }
        for _ in 0..<6 {
            let isSo = two.pick(isFirst: true, at: Self.start) != .full
            #expect(isSo)
        }
        do {
            let isSo = two.pick(isFirst: true, at: Self.start) == .full
            #expect(isSo)
        }
        two.report(two.members[0].id, at: 0, .cancelled, latency: .zero, at: Self.start)
        do {
            let isSo = two.pick(isFirst: true, at: Self.start) == .member(0)
            #expect(isSo)
        }
    }

    @Test("the limit shrinks when the latency is above the usual, and grows again")
    func gradient() {
        var one = balancer([1]) { $0.concurrency = ConcurrencyConfiguration() }
        func answer(_ milliseconds: Int64, _ times: Int, inFlight: Int) {
            for _ in 0..<times {
                while one.members[0].inFlight < inFlight, case .member = one.pick(isFirst: true, at: Self.start) {}
                one.report(one.members[0].id, at: 0, .success, latency: .milliseconds(milliseconds), at: Self.start)
            }
        }
        answer(10, 500, inFlight: 200)
        #expect(one.members[0].concurrencyLimit == 200)
        answer(40, 100, inFlight: 200)
        let shrunk = one.members[0].concurrencyLimit ?? 0
        #expect(shrunk < 100, "\(shrunk)")
        answer(10, 500, inFlight: 200)
        #expect(one.members[0].concurrencyLimit == 200)
    }

    @Test("attempts beside the first are a share of the requests and ten a second")
    func budget() {
        var two = balancer([1, 1])
        for _ in 0..<10 {
            let isSo = two.mayRetry(at: Self.start)
            #expect(isSo)
        }
        do {
            let isSo = !two.mayRetry(at: Self.start)
            #expect(isSo)
        }
        for _ in 0..<10 { send(&two) }
        do {
            let isSo = two.mayRetry(at: Self.start)
            #expect(isSo)
        }
        do {
            let isSo = two.mayRetry(at: Self.start)
            #expect(isSo)
        }
        do {
            let isSo = !two.mayRetry(at: Self.start)
            #expect(isSo)
        }
        do {
            let isSo = two.mayRetry(at: Self.start + .milliseconds(110))
            #expect(isSo)
        }
    }

    @Test("what was learned about a member stays when others come and go")
    func changes() {
        var two = balancer([1, 1])
        for _ in 0..<10 { send(&two) }
        let id = two.members[1].id
        _ = two.pick(tried: [two.members[0].id], isFirst: true, at: Self.start)
        two.set([("m2", 1), ("m1", 5)], at: Self.start)
        #expect(two.members[1].id == id)
        #expect(two.members[1].inFlight == 1)
        #expect(two.members[1].weight == 5)
        // The answer to an attempt on a place that is another's now, and to one whose member is gone.
        two.report(id, at: 0, .success, latency: .milliseconds(1), at: Self.start)
        #expect(two.members[1].inFlight == 0)
        two.set([("m2", 1)], at: Self.start)
        two.report(id, at: 1, .success, latency: .milliseconds(1), at: Self.start)
        #expect(two.members.count == 1)
    }

    @Test("a second attempt is sent after what most answers take, once a hundred answers are known")
    func hedgeDelay() {
        var two = balancer([1, 1])
        #expect(two.hedgeDelay == nil)
        for number in 0..<200 {
            guard case .member(let index) = two.pick(isFirst: true, at: Self.start) else { continue }
            two.report(
                two.members[index].id, at: index, .success, latency: .milliseconds(number % 20 == 0 ? 500 : 20),
                at: Self.start)
        }
        let delay = two.hedgeDelay ?? .zero
        #expect(delay >= .milliseconds(500) && delay <= .milliseconds(600), "\(delay)")
        var one = balancer([1])
        for _ in 0..<200 { send(&one) }
        #expect(one.hedgeDelay == nil)
    }
}
