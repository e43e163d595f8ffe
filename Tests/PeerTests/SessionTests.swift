import Foundation
import PeerSupport
import Skein
import Synchronization
import Testing

/// Queue, callbacks, deadlines and cancellation, against nginx and httpbin.
@Suite("Session", .serialized, .inTurn, .timeLimit(.minutes(5)))
struct SessionTests {
    private func hello() async throws -> String { "http://127.0.0.1:\(try await Peers.shared.nginxPort())/hello" }

    private func slow(_ seconds: Double) async throws -> String {
        "http://127.0.0.1:\(try await Peers.shared.httpbinPort())/delay/\(seconds)"
    }

    @Test("fetchAll waits for everything and counts it")
    func summary() async throws {
        let skein = SkeinClient(concurrency: 7)
        let url = try await hello()
        for _ in 0..<300 { skein.get(url) }
        skein.get("http://127.0.0.1:1/")
        let summary = await skein.fetchAll()
        #expect(summary.tasks == 301)
        #expect(summary.failures == 1)
        #expect(summary.bytes == 300 * 11)
        #expect((1...7).contains(summary.connections))
        #expect(summary.seconds > 0)
        #expect("\(summary)".hasPrefix("301 tasks in "))
        #expect(await skein.fetchAll().tasks == 0)
    }

    @Test("a callback may start more requests; the concurrency limit holds")
    func generator() async throws {
        let generator = Generator(url: try await hello(), limit: 20_000)
        let summary = await generator.run(workers: 100)
        #expect(summary.tasks == 20_000)
        #expect(summary.connections <= 100)
        #expect(generator.answered.load(ordering: .relaxed) == 20_000)
    }

    private final class Generator: Sendable {
        let url: String
        let limit: Int
        let started = Atomic<Int>(0)
        let answered = Atomic<Int>(0)
        let skein = SkeinClient(concurrency: 100)

        init(url: String, limit: Int) {
            self.url = url
            self.limit = limit
        }

        func run(workers: Int) async -> SessionSummary {
            for _ in 0..<workers { next() }
            return await skein.fetchAll()
        }

        private func next() {
            guard started.wrappingAdd(1, ordering: .relaxed).oldValue < limit else { return }
            skein.get(url) { response in
                if response.statusCode == 200 { self.answered.wrappingAdd(1, ordering: .relaxed) }
                self.next()
            }
        }
    }

    @Test("the request's callback takes precedence over the session's, and that over the report")
    func callbacks() async throws {
        // A closure cannot capture a mutex; a class can hold one.
        final class Seen: Sendable { let names = Mutex<[String]>([]) }
        let names = Seen()
        let skein = SkeinClient(concurrency: 1, callback: { _ in names.names.withLock { $0.append("session") } })
        let url = try await hello()
        skein.get(url)
        skein.get(url) { response in
            #expect(response.meta["req_callback"] as? Bool == true)
            names.names.withLock { $0.append("request") }
        }
        await skein.fetchAll()
        #expect(names.names.withLock { $0 } == ["session", "request"])
    }

    @Test("without a callback, a response is logged in a line")
    func report() async throws {
        let path = TestFolder.path("report.log")
        var configuration = SkeinClient.Configuration()
        configuration.report = true
        configuration.logger = try .file(path)
        let skein = SkeinClient(configuration)
        skein.get(try await hello())
        skein.get("http://127.0.0.1:1/")
        await skein.fetchAll()
        let lines = try String(contentsOfFile: path, encoding: .utf8)
        #expect(lines.contains("REQID 0. HTTP/1.1 200 OK 11 bytes received"))
        #expect(lines.contains("REQID 1. 714 connection failure"))
    }

    @Test("a timeout is code 702, for one request or for all")
    func timeouts() async throws {
        let one = await SkeinClient().get(try await slow(5), timeout: .milliseconds(150)).dispatch()
        #expect(one.statusCode == 702)
        #expect(one.outcome == .timeout)
        let all = await SkeinClient(concurrency: 1, timeout: .milliseconds(150)).get(try await slow(5)).dispatch()
        #expect(all.statusCode == 702)
        let waiter = await SkeinClient().get(try await slow(5)).dispatch(timeout: .milliseconds(150))
        #expect(waiter.statusCode == 702)
    }

    @Test("a deadline of the task applies to the requests made in it")
    func deadline() async throws {
        let skein = SkeinClient()
        let url = try await slow(5)
        let response = await withDeadline(.after(.milliseconds(150))) { await skein.get(url).dispatch() }
        #expect(response.statusCode == 702)
    }

    @Test("a cancelled task cancels what it waits for, and only that")
    func cancellation() async throws {
        let skein = SkeinClient()
        let (slowURL, helloURL) = (try await slow(5), try await hello())
        let corequest = skein.get(slowURL)
        let other = skein.get(helloURL)
        let task = Task { await corequest.dispatch() }
        task.cancel()
        #expect(await task.value.statusCode == 712)
        #expect(corequest.result?.outcome == .unsent)
        #expect(await other.dispatch().statusCode == 200)
    }

    @Test("a queued request can be cancelled, and its slot is not lost")
    func cancelQueued() async throws {
        let skein = SkeinClient(concurrency: 1)
        let url = try await hello()
        let calls = (0..<50).map { _ in skein.get(url) }
        for call in calls[10..<40] { call.cancel() }
        let codes = await CorequestGroup(calls).dispatch().map(\.statusCode)
        #expect(codes[0..<10].allSatisfy { $0 == 200 })
        #expect(codes[40...].allSatisfy { $0 == 200 })
        #expect(await skein.get(url).dispatch().statusCode == 200)
    }

    @Test("too many queued requests are refused with code 703")
    func queueLimit() async throws {
        var configuration = SkeinClient.Configuration()
        configuration.concurrency = 1
        configuration.maximumQueued = 5
        let skein = SkeinClient(configuration)
        let url = try await slow(0.5)
        let codes = await CorequestGroup((0..<10).map { _ in skein.get(url) }).dispatch().map(\.statusCode)
        #expect(codes.filter { $0 == 703 }.count == 4)
        #expect(codes.filter { $0 == 200 }.count == 6)
    }

    @Test("in random order, every request is sent")
    func randomOrder() async throws {
        var configuration = SkeinClient.Configuration()
        configuration.concurrency = 3
        configuration.order = .random
        let skein = SkeinClient(configuration)
        let url = try await hello()
        for _ in 0..<200 { skein.get(url) }
        #expect(await skein.fetchAll().bytes == 2200)
    }

    @Test("a group is indexed, sliced, iterated in order and as completed")
    func groups() async throws {
        let skein = SkeinClient()
        let (fast, late) = (try await hello(), try await slow(6))
        var group = CorequestGroup([skein.get(late), skein.get(fast)])
        group.add(skein.get(fast))
        group.merge(CorequestGroup([skein.get(fast)]))
        #expect(group.count == 4)
        var order: [Int] = []
        for await (index, response) in group.asCompleted {
            order.append(index)
            #expect(response.statusCode == 200)
        }
        #expect(order.last == 0)
        #expect(order.sorted() == [0, 1, 2, 3])
        #expect(try await group[1...2].fetch().count == 2)
        #expect(await group[3].dispatch().content.readableBytes == 11)
        #expect(await group.wait() == [.normal, .normal, .normal, .normal])
        try await group.commit()
        let failing = CorequestGroup([skein.get(fast), skein.get("http://127.0.0.1:1/")])
        await #expect(throws: SkeinError.self) { try await failing.fetch() }
        await #expect(throws: SkeinError.self) { try await failing.commit() }
    }

    @Test("a thread may block for a response; an event loop may not")
    func blockingCalls() async throws {
        let skein = SkeinClient()
        let url = try await hello()
        let text = try await withCheckedThrowingContinuation { continuation in
            Thread.detachNewThread {
                continuation.resume(with: Result { String(buffer: try skein.get(url).blocking.fetch()) })
            }
        }
        #expect(text == "hello world")
        let shard = skein.shards[0]
        let refused = try await shard.eventLoop.submit { () -> Bool in
            (try? skein.get(url).blocking.dispatch()) == nil
        }.get()
        #expect(refused)
        await skein.fetchAll()
    }

    @Test("a shutdown fails requests in flight and queued ones with code 705")
    func shutdown() async throws {
        var configuration = SkeinClient.Configuration()
        configuration.threads = 1
        configuration.concurrency = 2
        let skein = SkeinClient(configuration)
        let url = try await slow(9)
        let calls = CorequestGroup((0..<500).map { _ in skein.get(url) })
        await skein.shutdown()
        let codes = await calls.dispatch().map(\.statusCode)
        #expect(codes.allSatisfy { $0 == 705 })
    }

    @Test("a callback that repeats an invalid request does not overflow the stack")
    func failingGenerator() async throws {
        let count = Tally()
        let skein = SkeinClient(concurrency: 3)
        let url = try await hello()
        @Sendable func next() {
            guard count.count < 30_000 else { return }
            count.add()
            skein.get(url, headers: ["X": "a\nb"]) { _ in next() }
        }
        next()
        let queued = CorequestGroup((0..<1000).map { _ in skein.get(url, headers: ["X": "a\nb"]) })
        #expect(await queued.dispatch().allSatisfy { $0.statusCode == 701 })
        await skein.fetchAll()
        #expect(count.count == 30_000)
    }

    @Test("a deadline also counts while a request waits for a slot")
    func queuedDeadline() async throws {
        let skein = SkeinClient(concurrency: 1)
        let url = try await slow(9)
        skein.get(url)
        let start = ContinuousClock.now
        let response = await withDeadline(.after(.milliseconds(200))) { await skein.get(url).dispatch() }
        #expect(response.statusCode == 702)
        #expect(ContinuousClock.now - start < .seconds(7))
    }

    @Test("many threads and many shards share one session")
    func shards() async throws {
        var configuration = SkeinClient.Configuration()
        configuration.threads = 2
        configuration.concurrency = 20
        let skein = SkeinClient(configuration)
        let url = try await hello()
        let total = await withTaskGroup(of: Int.self) { group in
            for number in 0..<40 {
                group.addTask(executorPreference: number % 2 == 0 ? skein.shards[number / 2 % 2].executor : nil) {
                    var bytes = 0
                    for _ in 0..<50 { bytes += await skein.get(url).dispatch().content.readableBytes }
                    return bytes
                }
            }
            return await group.reduce(0, +)
        }
        #expect(total == 40 * 50 * 11)
        await skein.shutdown()
        #expect(skein.tracking.connections == 0)
    }
}
