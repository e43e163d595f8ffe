import PeerSupport
import SkeinCore
import Testing

@testable import SkeinEngine

/// Rate meters, with fixed examples and against a list of all requests.
@Suite("Rate limits")
struct RateRuleTests {
    @Test("a bucket allows a burst, then the rate")
    func bucket() {
        let rule = RateRule(10, per: .seconds(10), .tokenBucket(size: 3))
        var meter = RateMeter(at: 0)
        #expect((0..<5).map { _ in meter.take(rule, at: 0).isAllowed } == [true, true, true, false, false])
        #expect(meter.take(rule, at: 0) == RateDecision(isAllowed: false, remaining: 0, reset: 3, retryAfter: 1))
        #expect(meter.take(rule, at: 0.5).retryAfter == 0.5)
        #expect(meter.take(rule, at: 1) == RateDecision(isAllowed: true, remaining: 0, reset: 3, retryAfter: 1))
        #expect(meter.take(rule, at: 100) == RateDecision(isAllowed: true, remaining: 2, reset: 1, retryAfter: 0))
        // A clock that goes back adds nothing.
        #expect(meter.take(rule, at: 50).remaining == 1)
    }

    @Test("a window counts the requests of the last seconds")
    func window() {
        let rule = RateRule(4, per: .seconds(10), .slidingWindow)
        var meter = RateMeter(at: 0)
        #expect((0..<5).map { _ in meter.take(rule, at: 9).isAllowed } == [true, true, true, true, false])
        let refused = meter.take(rule, at: 9)
        #expect(refused.remaining == 0 && abs(refused.retryAfter - 3.5) < 1e-6)
        #expect(!meter.take(rule, at: 12).isAllowed)
        #expect(meter.take(rule, at: 12.5).isAllowed)  // 4 × 0.75 + 1
        #expect(!meter.take(rule, at: 14).isAllowed && meter.take(rule, at: 15.1).isAllowed)
        #expect(meter.take(rule, at: 40).remaining == 3)
    }

    @Test(
        "whatever comes when, what passes is within the limit, and what is refused may come when it was said",
        arguments: 1...200)
    func chance(seed: UInt64) {
        var random = SeededGenerator(seed: seed)
        let limit = Int.random(in: 1...8, using: &random)
        let size = Int.random(in: 1...12, using: &random)
        let isBucket = Bool.random(using: &random)
        let rule = RateRule(limit, per: .seconds(4), isBucket ? .tokenBucket(size: size) : .slidingWindow)
        var meter = RateMeter(at: 0)
        var (now, passed): (Double, [Double]) = (0, [])
        for _ in 0..<300 {
            now += Double.random(in: 0...1.2, using: &random) * (Bool.random(using: &random) ? 0 : 1)
            let decision = meter.take(rule, at: now)
            if decision.isAllowed {
                passed.append(now)
            } else {
                #expect(decision.retryAfter > 0)
                var later = meter
                #expect(
                    !later.take(rule, at: now + decision.retryAfter * 0.99 - 1e-6).isAllowed
                        || decision.retryAfter < 1e-5)
                later = meter
                #expect(later.take(rule, at: now + decision.retryAfter + 1e-6).isAllowed, "\(rule) at \(now)")
            }
            var rest = meter
            for _ in 0..<decision.remaining { #expect(rest.take(rule, at: now).isAllowed) }
            #expect(!rest.take(rule, at: now).isAllowed)
        }
        // In any interval, a bucket allows its size plus the rate; a window at most twice its limit, because past
        // requests are assumed to be evenly distributed.
        for (first, start) in passed.enumerated() {
            for (count, end) in passed[first...].enumerated() {
                let most =
                    isBucket
                    ? Double(size) + (end - start) * Double(limit) / 4 : Double(limit) * (2 + (end - start) / 4)
                #expect(Double(count + 1) <= most + 1e-6)
            }
        }
    }

    @Test("a store has a limit, and keeps the most recently used counts")
    func store() {
        let store = LocalRateStore(maximum: 100)
        let rule = RateRule(5, per: .seconds(60), .slidingWindow)
        for number in 0..<10_000 {
            _ = store.take("client \(number)", rule, at: 0)
            _ = store.take("busy", rule, at: 0)
            #expect(store.count <= 100)
        }
        #expect(!store.take("busy", rule, at: 0).isAllowed)
        #expect(store.take("client 0", rule, at: 0).remaining == 4)
    }
}
