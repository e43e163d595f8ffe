// Requests over the members of an alias with a virtual clock: how a balancer handles members that are slow, fail, or
// recover.

import HeapModule
import NIOCore
import SkeinTransport

/// A load, the members that serve it, and how they behave.
package struct BalancingScenario: Sendable {
    /// How a member serves one attempt.
    package struct Service: Sendable {
        package var latency: Duration
        package var fails: Bool

        package init(_ latency: Duration, fails: Bool = false) {
            self.latency = latency
            self.fails = fails
        }
    }

    /// The results.
    package struct Report: Sendable {
        package var requests = 0
        package var answered = 0
        package var attempts = 0
        /// Of the requests that were answered, in ascending order.
        package var latencies: [Duration] = []
        /// Attempts by member.
        package var byMember: [Int] = []
        /// Requests, answered requests, attempts and the most attempts on one member, by second.
        package var seconds: [(requests: Int, answered: Int, attempts: Int, byMember: [Int])] = []

        package var success: Double { Double(answered) / Double(max(1, requests)) }

        /// The latency that a share of the answered requests is below.
        package func quantile(_ share: Double) -> Duration {
            latencies.isEmpty ? .zero : latencies[min(latencies.count - 1, Int(Double(latencies.count) * share))]
        }
    }

    package enum Load: Sendable {
        /// Requests a second, at random times.
        case open(Double)
        /// A constant number of requests in flight.
        case closed(Int)
    }

    package var weights: [Double]
    package var load: Load
    package var requests: Int
    /// For a request with all its attempts.
    package var timeout = Duration.seconds(30)
    /// Clients, each with its own balancer.
    package var clients = 1
    package var configuration = BalancingConfiguration()
    /// How a member serves an attempt that begins at a time.
    package var serve: @Sendable (_ member: Int, _ time: Duration, _ random: inout FastRandom) -> Service

    package init(
        members: Int, load: Load, requests: Int,
        serve: @escaping @Sendable (_ member: Int, _ time: Duration, _ random: inout FastRandom) -> Service
    ) {
        weights = Array(repeating: 1, count: members)
        self.load = load
        self.requests = requests
        self.serve = serve
    }

    // MARK: The run

    fileprivate enum Event {
        case arrival
        case end(request: Int, attempt: Int)
        case hedge(request: Int)
        case timeout(request: Int)
    }

    fileprivate struct Timed: Comparable {
        let time: Int64
        let number: Int
        let event: Event

        static func == (left: Timed, right: Timed) -> Bool { left.number == right.number }
        static func < (left: Timed, right: Timed) -> Bool { (left.time, left.number) < (right.time, right.number) }
    }

    fileprivate struct Attempt {
        let attempt: Balancer.Attempt
        let fails: Bool
        var isOver = false
    }

    fileprivate struct Request {
        let begun: Int64
        let client: Int
        var attempts: [Attempt] = []
        var isOver = false
    }

    fileprivate struct Run {
        let scenario: BalancingScenario
        var random: FastRandom
        var balancers: [Balancer]
        var queue = Heap<Timed>()
        var requests: [Request] = []
        var report = Report()
        var clock: Int64 = 0
        var number = 0

        var now: NIODeadline { .uptimeNanoseconds(1_000_000_000 + UInt64(clock)) }
    }

    /// Runs it; the same seed gives the same report.
    package func run(seed: UInt64) -> Report {
        let start = NIODeadline.uptimeNanoseconds(1_000_000_000)
        let balancers = (0..<clients).map { client in
            var balancer = Balancer(configuration, seed: seed &* 31 &+ UInt64(client), at: start)
            balancer.set(weights.enumerated().map { ("\($0)", $1) }, at: start)
            return balancer
        }
        var run = Run(scenario: self, random: FastRandom(seed), balancers: balancers)
        run.report.byMember = Array(repeating: 0, count: weights.count)
        run.run()
        run.report.latencies.sort()
        return run.report
    }
}

extension BalancingScenario.Run {
    fileprivate typealias Scenario = BalancingScenario

    fileprivate mutating func run() {
        switch scenario.load {
        case .open: at(0, .arrival)
        case .closed(let count): for _ in 0..<count { at(0, .arrival) }
        }
        while let next = queue.popMin() {
            clock = next.time
            switch next.event {
            case .arrival: arrive()
            case .end(let request, let attempt): end(request, attempt)
            case .hedge(let request):
                guard !requests[request].isOver, requests[request].attempts.count == 1,
                    balancers[requests[request].client].mayHedge(at: now)
                else { continue }
                attempt(request)
            case .timeout(let request): finish(request, isAnswered: false, isTimeout: true)
            }
        }
    }

    private mutating func at(_ time: Int64, _ event: Scenario.Event) {
        number += 1
        queue.insert(Scenario.Timed(time: time, number: number, event: event))
    }

    private mutating func tally(
        _ change: (inout (requests: Int, answered: Int, attempts: Int, byMember: [Int])) -> Void
    ) {
        let second = Int(clock / 1_000_000_000)
        while report.seconds.count <= second {
            report.seconds.append((0, 0, 0, Array(repeating: 0, count: scenario.weights.count)))
        }
        change(&report.seconds[second])
    }

    private mutating func arrive() {
        guard requests.count < scenario.requests else { return }
        if case .open(let rate) = scenario.load {
            let uniform = Double(random.next() >> 11) * 0x1p-53
            at(clock + Int64(-_log(1 - uniform) / rate * 1e9), .arrival)
        }
        let index = requests.count
        requests.append(Scenario.Request(begun: clock, client: index % balancers.count))
        report.requests += 1
        tally { $0.requests += 1 }
        at(clock + TimeAmount(scenario.timeout).nanoseconds, .timeout(request: index))
        attempt(index)
        if let delay = balancers[requests[index].client].hedgeDelay {
            at(clock + TimeAmount(delay).nanoseconds, .hedge(request: index))
        }
    }

    private mutating func attempt(_ index: Int) {
        let client = requests[index].client
        let tried = requests[index].attempts.map(\.attempt.id)
        guard
            case .attempt(let attempt) = balancers[client].pick(
                key: UInt64(index), tried: tried, isFirst: tried.isEmpty, at: now)
        else { return finish(index, isAnswered: false) }
        let member = attempt.index
        report.attempts += 1
        report.byMember[member] += 1
        tally {
            $0.attempts += 1
            $0.byMember[member] += 1
        }
        let service = scenario.serve(member, .nanoseconds(clock), &random)
        requests[index].attempts.append(Scenario.Attempt(attempt: attempt, fails: service.fails))
        at(
            clock + TimeAmount(service.latency).nanoseconds,
            .end(request: index, attempt: requests[index].attempts.count - 1))
    }

    private mutating func end(_ index: Int, _ place: Int) {
        let attempt = requests[index].attempts[place]
        guard !attempt.isOver else { return }
        over(index, place, attempt.fails ? .failure : .success)
        guard !requests[index].isOver else { return }
        guard attempt.fails else { return finish(index, isAnswered: true) }
        if requests[index].attempts.contains(where: { !$0.isOver }) { return }  // the other one may succeed
        let client = requests[index].client
        if requests[index].attempts.count < scenario.configuration.retries.attempts, balancers[client].mayRetry(at: now)
        {
            self.attempt(index)
        } else {
            finish(index, isAnswered: false)
        }
    }

    private mutating func over(_ index: Int, _ place: Int, _ outcome: Balancer.Outcome) {
        requests[index].attempts[place].isOver = true
        balancers[requests[index].client].report(requests[index].attempts[place].attempt, outcome, at: now)
    }

    private mutating func finish(_ index: Int, isAnswered: Bool, isTimeout: Bool = false) {
        guard !requests[index].isOver else { return }
        requests[index].isOver = true
        for place in requests[index].attempts.indices where !requests[index].attempts[place].isOver {
            over(index, place, isTimeout ? .failure : .cancelled)
        }
        if isAnswered {
            report.answered += 1
            report.latencies.append(.nanoseconds(clock - requests[index].begun))
            tally { $0.answered += 1 }
        }
        if case .closed = scenario.load { at(clock, .arrival) }
    }
}

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

private func _log(_ value: Double) -> Double { log(value) }

// MARK: The scenarios of the docs

extension BalancingScenario {
    private static func uniform(_ random: inout FastRandom) -> Double { Double(random.next() >> 11) * 0x1p-53 }

    /// Eleven members with a median of 167 ms; the first takes 2 s in every second half minute. 1 000 requests a second for two minutes,
    /// a time limit of 1 s (linkerd's comparison of 2016).
    package static var slowMember: BalancingScenario {
        var scenario = BalancingScenario(members: 11, load: .open(1000), requests: 120_000) { member, time, random in
            if member == 0, time.components.seconds % 60 >= 30 { return Service(.seconds(2)) }
            return Service(.milliseconds(84 + Int(166 * uniform(&random))))
        }
        scenario.timeout = .seconds(1)
        return scenario
    }

    /// Ten members with latencies up to 1, 5, 10, 10, 10, 100, 100, 100, 500 and 1 000 ms; 50 000 requests, 50 in flight (tower's demo).
    package static var unequalMembers: BalancingScenario {
        let longest = [1.0, 5, 10, 10, 10, 100, 100, 100, 500, 1000]
        return BalancingScenario(members: 10, load: .closed(50), requests: 50_000) { member, _, random in
            Service(.microseconds(Int64(longest[member] * 1000 * uniform(&random))))
        }
    }

    /// Five members of about 10 ms; one in a hundred of their responses takes a second.
    package static var heavyTail: BalancingScenario {
        BalancingScenario(members: 5, load: .open(500), requests: 100_000) { _, _, random in
            let isSlow = uniform(&random) < 0.01
            return Service(.microseconds(Int64((isSlow ? 1_000_000 : 5_000) + 10_000 * uniform(&random))))
        }
    }

    /// Six members that all fail from the 20th to the 50th second; 1 000 requests a second.
    package static var outage: BalancingScenario {
        BalancingScenario(members: 6, load: .open(1000), requests: 100_000) { _, time, random in
            Service(
                .microseconds(Int64(5_000 + 10_000 * uniform(&random))),
                fails: (20..<50).contains(time.components.seconds))
        }
    }

    /// A thousand clients with a balancer each, and members of three weights.
    package static var manyClients: BalancingScenario {
        var scenario = BalancingScenario(members: 12, load: .open(50_000), requests: 400_000) { _, _, random in
            Service(.microseconds(Int64(5_000 + 10_000 * uniform(&random))))
        }
        scenario.weights = (0..<12).map { Double($0 % 3 + 1) }
        scenario.clients = 1000
        return scenario
    }

    /// The same scenario with another policy, and without a second attempt.
    package func with(_ policy: BalancingConfiguration.Policy, hedging: Bool = true, retries: Bool = true)
        -> BalancingScenario
    {
        var other = self
        other.configuration.policy = policy
        other.configuration.hedging.isEnabled = hedging
        if !retries { other.configuration.retries.attempts = 1 }
        return other
    }

    /// With a number of requests.
    package func of(_ requests: Int) -> BalancingScenario {
        var other = self
        other.requests = requests
        return other
    }

    /// No member is ejected, and no request is refused.
    package var withoutEjection: BalancingScenario {
        var other = self
        other.configuration.outliers.consecutiveFailures = .max
        other.configuration.outliers.minimumMembers = .max
        other.configuration.concurrency = nil
        return other
    }
}

extension BalancingScenario {
    /// The time of a pick and the report of its outcome, on this machine, in nanoseconds.
    package static func nanoseconds(members: Int, seed: UInt64) -> Int {
        let rounds = 1_000_000
        var now = NIODeadline.uptimeNanoseconds(1_000_000_000)
        var balancer = Balancer(BalancingConfiguration(), seed: seed, at: now)
        balancer.set((0..<members).map { ("\($0)", 1) }, at: now)
        let begun = ContinuousClock.now
        for round in 0..<rounds {
            now = now + .microseconds(10)
            guard case .attempt(let attempt) = balancer.pick(isFirst: true, at: now) else { continue }
            balancer.report(attempt, .success, at: now + .microseconds(Int64(100 + round % 100)))
        }
        return Int((ContinuousClock.now - begun) / .nanoseconds(1)) / rounds
    }
}
