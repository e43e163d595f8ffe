import Foundation
import PeerSupport
import SkeinEngine
import SkeinRedis
import Testing

@testable import SkeinSharedRedis

/// State that servers on several machines share on Redis, also while it is unavailable.
@Suite("Shared over machines", .serialized, .inTurn, .timeLimit(.minutes(5)))
struct SharedRedisTests {
    @Test(
        "Two masters with workers share states, locks, broadcasts and limits on one Redis server; it is killed and comes back"
    )
    func machines() async throws {
        let redis = try await RedisPeer(extra: ["--appendonly", "yes", "--appendfsync", "always"])
        let one = try await Probe("--workers", "2", "--threads", "1", "--redis", redis.url())
        let two = try await Probe("--workers", "2", "--threads", "1", "--redis", redis.url())
        await withTaskGroup(of: Void.self) { group in
            for probe in [one, two] {
                for _ in 0..<3 {
                    group.addTask { for _ in 0..<20 { _ = try? await probe.ask("/count", .post) } }
                    group.addTask { for _ in 0..<5 { _ = try? await probe.ask("/inside", .post) } }
                }
            }
        }
        #expect(try await one.ask("/count") == "120")
        #expect(try await two.ask("/inside") == "30")
        _ = try await one.ask("/say/word", .post)
        func heard(_ number: Int) async throws {
            for _ in 0..<500 where try await two.ask("/heard") != "\(number)" {
                try await Task.sleep(for: .milliseconds(20))
            }
            #expect(try await two.ask("/heard") == "\(number)")
        }
        try await heard(16)
        var passed = 0
        for turn in 0..<12 { if try await (turn % 2 == 0 ? one : two).ask("/limited/") == "yes" { passed += 1 } }
        #expect(passed == 5)

        await redis.crash()
        // States fail, limits let requests pass, and the servers continue to run.
        #expect(try await one.ask("/count").contains("50"))
        #expect(try await two.ask("/limited/") == "yes")
        #expect(try await one.ask("/pid").isEmpty == false)
        try await redis.restart()
        for _ in 0..<200 where try await one.ask("/count") != "120" { try await Task.sleep(for: .milliseconds(50)) }
        #expect(try await one.ask("/count") == "120", "it was written to the disk")
        _ = try await two.ask("/say/words", .post)
        try await heard(36)
        try await one.stop()
        try await two.stop()
    }

    @Test("A lock ends with its lifetime, its holder detects that, and its fence is smaller than the next one's")
    func fences() async throws {
        let redis = try await RedisPeer.shared.get()
        let client = SkeinClient()
        let name = "locks\(UInt32.random(in: 0...UInt32.max))"
        let (one, two) = (
            RedisBackend(try client.redis(redis.url()), name: name, lockLifetime: .seconds(4)),
            RedisBackend(try client.redis(redis.url()), name: name, lockLifetime: .seconds(4))
        )
        let first = try #require(try await one.tryLock("a"))
        #expect(try await two.tryLock("a") == nil)
        try await Task.sleep(for: .seconds(5))
        #expect(first.isHeld, "it is renewed")
        #expect(try await two.tryLock("a") == nil)
        // As if this process had been suspended for longer than the lifetime.
        _ = try await client.redis(redis.url()).del(one.key("lock", "a")).fetch(Int.self)
        let second = try #require(try await two.tryLock("a"))
        #expect(second.fence > first.fence)
        for _ in 0..<1000 where first.isHeld { try await Task.sleep(for: .milliseconds(20)) }
        #expect(!first.isHeld)
        await first.release()
        #expect(try await one.tryLock("a") == nil, "the release of a lost lock does not end the other's")
        await second.release()
        #expect(try await one.tryLock("a") != nil)
        await client.shutdown()
    }

    @Test(
        "Limits on Redis decide as those of one process do",
        arguments: [RateRule.Algorithm.tokenBucket(), .tokenBucket(size: 3), .slidingWindow])
    func rates(_ algorithm: RateRule.Algorithm) async throws {
        let redis = try await RedisPeer.shared.get()
        let client = SkeinClient()
        let name = "rates\(UInt32.random(in: 0...UInt32.max))"
        let backend = RedisBackend(try client.redis(redis.url()), name: name, lockLifetime: .seconds(1))
        let rule = RateRule(10, per: .seconds(100), algorithm)
        let local = LocalRateStore()
        for turn in 0..<15 {
            let theirs = try await backend.rates.take("a", rule, at: 0)
            let ours = local.take("a", rule, at: 0)
            #expect(theirs.isAllowed == ours.isAllowed, "\(turn)")
            #expect(theirs.remaining == ours.remaining, "\(turn)")
            // The clock of the server continues meanwhile.
            #expect(abs(theirs.reset - ours.reset) < 2, "\(theirs) \(ours)")
            #expect(abs(theirs.retryAfter - ours.retryAfter) < 2, "\(theirs) \(ours)")
        }
        await client.shutdown()
    }

    @Test("Sessions on Redis")
    func sessions() async throws {
        let redis = try await RedisPeer.shared.get()
        let client = SkeinClient()
        let store = RedisSessions(try client.redis(redis.url()), prefix: "s\(UInt32.random(in: 0...UInt32.max)):")
        #expect(try await store.load("a") == nil)
        #expect(try await !store.update("a", ["x": "1"], for: .seconds(10)))
        try await store.save("a", ["name": "Ada \u{1F600}"], for: .milliseconds(300))
        #expect(try await store.load("a") == ["name": "Ada \u{1F600}"])
        try await Task.sleep(for: .milliseconds(400))
        #expect(try await store.load("a") == nil)
        try await store.save("b", ["x": "1"], for: .seconds(10))
        #expect(try await store.update("b", ["x": "2"], for: .seconds(10)))
        #expect(try await store.load("b") == ["x": "2"])
        try await store.remove("b")
        #expect(try await store.load("b") == nil)
        await client.shutdown()
    }
}
