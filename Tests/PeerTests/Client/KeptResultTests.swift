import Foundation
import PeerSupport
import Skein
import SkeinRedis
import Testing

/// Cached results, from servers that count their requests.
@Suite("Cached results", .serialized, .inTurn, .timeLimit(.minutes(2)))
struct KeptResultTests {
    @Test("A result is requested once for concurrent callers, until its lifetime ends or a change")
    func kept() async throws {
        let redis = try await RedisPeer.shared.get()
        let client = SkeinClient()
        let store = try client.redis(redis.url())
        let counter = "kept\(UInt32.random(in: 0...UInt32.max))"
        let results = KeptResults()
        func count(_ lifetime: Duration = .seconds(60), changed: Double? = nil) async throws -> Int {
            try #require(try await results.fetch(counter, for: lifetime, changed: changed) { store.incr(counter) }.int)
        }
        let together = try await withThrowingTaskGroup(of: Int.self) { group in
            for _ in 0..<20 { group.addTask { try await count() } }
            return try await group.reduce(into: Set<Int>()) { $0.insert($1) }
        }
        #expect(together == [1])
        #expect(try await count(changed: 1) == 2, "it has changed")
        #expect(try await count(changed: 1) == 2)
        #expect(try await count(changed: 2) == 3)
        results.remove(counter)
        #expect(try await count(.milliseconds(50)) == 4)
        try await Task.sleep(for: .milliseconds(80))
        #expect(try await count() == 5)
        await client.shutdown()
    }

    @Test("Results are evicted beyond a size, and one that is too large is not stored")
    func size() async throws {
        let redis = try await RedisPeer.shared.get()
        let client = SkeinClient()
        let store = try client.redis(redis.url())
        let key = "size\(UInt32.random(in: 0...UInt32.max))"
        let results = KeptResults(maximum: 1000, maximumBytes: 200 << 10)
        func length(_ name: String, _ bytes: Int) async throws -> Int {
            try #require(
                try await results.fetch(name, for: .seconds(60)) {
                    store.append(key, String(repeating: "x", count: bytes))
                    return store.get(key)
                }.string?.utf8.count)
        }
        #expect(try await length("a", 40 << 10) == 40 << 10)
        #expect(try await length("a", 1) == 40 << 10, "stored")
        #expect(try await length("large", 80 << 10) == 120 << 10)
        #expect(try await length("large", 1) == 120 << 10 + 1, "too large")
        try await store.set(key, "").commit()
        for number in 0..<10 {
            try await store.set(key, "").commit()
            #expect(try await length("\(number)", 40 << 10) == 40 << 10)
        }
        try await store.set(key, "").commit()
        #expect(try await length("a", 3) == 3, "evicted")
        await client.shutdown()
    }

    @Test("Other statuses are not cached; groups are cached together; the rest is evicted")
    func statuses() async throws {
        let base = "http://127.0.0.1:\(try await Peers.shared.nginxPort())"
        let client = SkeinClient()
        let results = KeptResults(maximum: 10)
        let missing = await results.dispatch("missing", for: .seconds(60)) { client.get("\(base)/nothing") }
        #expect(missing.statusCode == 404)
        // The same name leads to another page: the first response was not stored, and the second one is.
        #expect(await results.dispatch("missing", for: .seconds(60)) { client.get("\(base)/hello") }.statusCode == 200)
        #expect(
            await results.dispatch("missing", for: .seconds(60)) { client.get("\(base)/nothing") }.statusCode == 200)
        let kept = await results.dispatch("none", for: .seconds(60), if: [404]) { client.get("\(base)/nothing") }
        #expect(kept.statusCode == 404)
        #expect(
            await results.dispatch("none", for: .seconds(60), if: [404]) { client.get("\(base)/hello") }.statusCode
                == 404)
        let group = await results.dispatch("both", for: .seconds(60)) {
            CorequestGroup([client.get("\(base)/hello"), client.get("\(base)/small.txt")])
        }
        #expect(group.map(\.statusCode) == [200, 200])
        for number in 0..<20 {
            _ = await results.dispatch("\(number)", for: .seconds(60)) { client.get("\(base)/hello") }
        }
        #expect(
            await results.dispatch("missing", for: .seconds(60)) { client.get("\(base)/nothing") }.statusCode == 404)
        await client.shutdown()
    }
}
