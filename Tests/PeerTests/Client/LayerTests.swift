import Foundation
import Logging
import MetricsTestKit
import NIOCore
import PeerSupport
import Skein
import SkeinHTTP
import Synchronization
import Testing

/// Layers around a client, against servers that fail on request.
@Suite("Layers and events", .serialized, .inTurn, .timeLimit(.minutes(5)))
struct LayerTests {
    private func services() async throws -> String { "http://127.0.0.1:\(try await Peers.shared.servicesPort())" }
    private let key = UUID().uuidString

    private func session(_ layers: [any HTTPLayer]) -> SkeinClient {
        var configuration = SkeinClient.Configuration()
        configuration.http.layers = layers
        return SkeinClient(configuration)
    }

    private func count(_ key: String) async throws -> Int {
        Int(try await SkeinClient().get("\(try await services())/count/\(key)").dispatch().text()) ?? 0
    }

    @Test("transient failures are retried, if that is safe")
    func retry() async throws {
        let base = "\(try await services())/flaky"
        let skein = session([RetryLayer(maximum: 3)])
        let third = await skein.get("\(base)/\(key)/2").dispatch()
        #expect(try third.text() == "attempt 3", "\(third.reportLine)")
        #expect(await skein.get("\(base)/\(key)a/9").dispatch().statusCode == 503)
        #expect(try await count("\(key)a") == 4)
        #expect(await skein.post("\(base)/\(key)b/1", body: .text("x")).dispatch().statusCode == 503)
        #expect(await skein.get("\(base)/\(key)c/1?status=500").dispatch().statusCode == 500)
        #expect(await skein.get("\(base)/\(key)d/1?after=1").dispatch().statusCode == 200)
        #expect(await skein.get("\(base)/\(key)e/1?after=3600").dispatch().statusCode == 503)
        let streamed = try await skein.stream(.get, "\(base)/\(key)f/1").dispatch()
        #expect(try await streamed.stream?.collect(upTo: 100) == ByteBuffer(string: "attempt 2"))
        let closing = try await ScriptedServer.start { number in
            number < 2 ? [.reset] : [.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")]
        }
        #expect(await skein.get("http://127.0.0.1:\(closing.port)/").dispatch().statusCode == 200)
        await closing.stop()
        await skein.fetchAll()
    }

    @Test("retries have a budget, and end with the caller's deadline and with its task")
    func retryLimits() async throws {
        let base = "\(try await services())/flaky"
        let skein = session([RetryLayer(maximum: 5, budget: 0)])
        for number in 0..<4 { _ = await skein.get("\(base)/\(key)\(number)/99").dispatch() }
        var sum = 0
        for number in 0..<4 { sum += try await count("\(key)\(number)") }
        #expect(sum == 4 + 10)

        var slow = RetryLayer(maximum: 5)
        slow.firstWait = .seconds(5)
        let patient = session([slow])
        let response = await withDeadline(.after(.milliseconds(300))) {
            await patient.get("\(base)/\(key)x/99").dispatch()
        }
        #expect(response.statusCode == 503)
        let timed = await patient.get("\(base)/\(key)y/99").dispatch(timeout: .milliseconds(300))
        #expect(timed.statusCode == 702, "\(timed.reportLine)")
        let waiting = patient.get("\(base)/\(key)z/99")
        let task = Task { await waiting.dispatch() }
        task.cancel()
        #expect(await task.value.statusCode == 712)
        await patient.fetchAll()
    }

    @Test("limits of rate and concurrency")
    func limits() async throws {
        let base = try await services()
        let paced = session([RateLimitLayer(20, burst: 2)])
        let start = ContinuousClock.now
        let group = CorequestGroup((0..<8).map { _ in paced.get("\(base)/count/none") })
        _ = await group.dispatch()
        #expect(ContinuousClock.now - start >= .milliseconds(299))
        let impatient = session([RateLimitLayer(1, per: .seconds(100), longestWait: .milliseconds(1))])
        _ = await impatient.get("\(base)/count/none").dispatch()
        #expect(await impatient.get("\(base)/count/none").dispatch().statusCode == 703)

        let slow = session([RateLimitLayer(1, per: .seconds(20))])
        _ = await slow.get("\(base)/count/none").dispatch()
        let late = await withDeadline(.after(.milliseconds(200))) { await slow.get("\(base)/count/none").dispatch() }
        #expect(late.statusCode == 702, "\(late.reportLine)")

        let narrow = session([ConcurrencyLimitLayer(3, maximumWaiting: 17)])
        let crowd = (0..<24).map { _ in narrow.get("\(base)/crowd/\(key)") }
        var most = 0
        var refused = 0
        for call in crowd {
            let response = await call.dispatch()
            if response.statusCode == 703 { refused += 1 } else { most = max(most, Int(try response.text()) ?? 99) }
        }
        #expect(most == 3)
        #expect(refused == 4)
        let held = (0..<6).map { _ in narrow.get("\(base)/crowd/\(key)") }
        for call in held { call.cancel() }
        for call in held { #expect(await call.dispatch().statusCode == 712) }
        #expect(await narrow.get("\(base)/crowd/\(key)").dispatch().statusCode == 200)
    }

    @Test("a failing server gets no requests for a while, then one probe")
    func circuitBreaker() async throws {
        let base = "\(try await services())/flaky"
        let skein = session([CircuitBreakerLayer(failures: 3, rest: .milliseconds(300))])
        for _ in 0..<3 { #expect(await skein.get("\(base)/\(key)/4").dispatch().statusCode == 503) }
        for _ in 0..<5 { #expect(await skein.get("\(base)/\(key)/4").dispatch().statusCode == 714) }
        #expect(try await count(key) == 3)
        /// The result when the server is asked again.
        func next() async -> Int {
            while true {
                let code = await skein.get("\(base)/\(key)/4").dispatch().statusCode
                if code != 714 { return code }
                await Task.yield()
            }
        }
        #expect(await next() == 503)
        #expect(await skein.get("\(base)/\(key)/4").dispatch().statusCode == 714)
        #expect(await next() == 200)
        #expect(await skein.get("\(base)/\(key)/4").dispatch().statusCode == 200)
    }

    @Test("a slow response is replaced by that of a second request")
    func hedging() async throws {
        let url = "\(try await services())/slow-first/\(key)"
        let skein = session([HedgingLayer(after: .milliseconds(100))])
        let start = ContinuousClock.now
        #expect(try await skein.get(url).dispatch().text() == "attempt 2")
        #expect(ContinuousClock.now - start < .seconds(2))
        #expect(try await session([HedgingLayer(after: .seconds(20))]).get(url).dispatch().text() == "attempt 3")
        #expect(try await count(key) == 3)
    }

    @Test("the deadline and the trace are sent to the next hop")
    func headers() async throws {
        let base = try await services()
        let skein = session([DeadlineLayer(), TracingLayer(), MetricsLayer()])
        let fields = try await withDeadline(.after(.seconds(5))) {
            try await skein.get("\(base)/echo").dispatch().json()["headers"]
        }
        let left = try #require(Int(fields?["X-Request-Timeout-Ms"]?.string ?? ""))
        #expect((3000...5000).contains(left))
        let parent = TraceContext()
        let traced = try await TraceContext.$current.withValue(parent) {
            try await skein.get("\(base)/echo").dispatch().json()["headers"]
        }
        let sent = try #require(TraceContext(traceparent: traced?["Traceparent"]?.string ?? ""))
        #expect(sent.traceID == parent.traceID && sent.spanID != parent.spanID)
        #expect(traced?["X-Request-Timeout-Ms"] == nil)
    }

    @Test("metrics with method, server and status of each request")
    func metrics() async throws {
        let metrics = TestMetrics()
        let skein = session([MetricsLayer(metrics)])
        let url = try HTTPURL("\(try await services())/flaky/\(key)/2")
        for _ in 0..<3 { _ = await skein.get(url.description).dispatch() }
        func count(_ status: Int) throws -> Int {
            try metrics.expectTimer(
                "http.client.request.duration",
                [
                    ("http.request.method", "GET"), ("server.address", url.origin.authority),
                    ("http.response.status_code", "\(status)"),
                ]
            ).values.count
        }
        #expect(try count(503) == 2 && count(200) == 1)
    }

    @Test("a log line for each request, without secrets")
    func logging() async throws {
        let lines = Mutex<[String]>([])
        var logger = Logger(label: "test") { _ in Recorder(lines: { line in lines.withLock { $0.append(line) } }) }
        logger.logLevel = .trace
        let skein = session([LoggingLayer(logger)])
        _ = await skein.get(
            "\(try await services())/echo?token=hidden", headers: ["Cookie": "a=hidden"], auth: .bearer("hidden")
        ).dispatch()
        let line = try #require(lines.withLock { $0.first })
        #expect(lines.withLock { $0.count } == 1)
        #expect(line.contains("/echo?…") && line.contains("200") && !line.contains("hidden"), "\(line)")
    }

    private struct Recorder: LogHandler {
        let lines: @Sendable (String) -> Void
        var metadata: Logger.Metadata = [:]
        var logLevel = Logger.Level.trace

        init(lines: @escaping @Sendable (String) -> Void) { self.lines = lines }

        subscript(metadataKey key: String) -> Logger.Metadata.Value? {
            get { metadata[key] }
            set { metadata[key] = newValue }
        }

        func log(event: LogEvent) { lines("\(event.message) \(event.metadata ?? [:])") }
    }

    @Test("events in order, once each except for data, of the session and of the request")
    func events() async throws {
        let seen = Mutex<[String]>([])
        func events(_ name: String) -> HTTPEvents {
            var events = HTTPEvents()
            events.beforeRequest = { request in
                request.headers["X-\(name)"] = "was here"
                seen.withLock { $0.append("\(name) before") }
            }
            events.onHeaders = { response in seen.withLock { $0.append("\(name) headers \(response.statusCode)") } }
            events.dataReceived = { _, bytes in
                seen.withLock { if $0.last != "\(name) received" { $0.append("\(name) received") } }
                #expect(bytes.readableBytes < 5000)
            }
            events.dataProcessed = { response, bytes in
                seen.withLock { if $0.last != "\(name) processed" { $0.append("\(name) processed") } }
                #expect(response.statusCode == 200)
            }
            events.afterRequest = { response in
                seen.withLock { $0.append("\(name) after \(response.content.readableBytes)") }
            }
            return events
        }
        var configuration = SkeinClient.Configuration()
        configuration.http.events = events("session")
        let skein = SkeinClient(configuration)
        var request = HTTPRequest(
            .get, try HTTPURL("http://127.0.0.1:\(try await Peers.shared.nginxPort())/gz/words.txt"),
            headers: ["Accept-Encoding": "gzip"])
        _ = await skein.start(request).dispatch()
        await skein.fetchAll()
        #expect(
            seen.withLock { $0 } == [
                "session before", "session headers 200", "session received", "session processed", "session after 48000",
            ])
        seen.withLock { $0 = [] }
        request.events = events("own")
        request.url = try HTTPURL("http://127.0.0.1:\(try await Peers.shared.httpbinPort())/redirect/2")
        let response = await skein.start(request).dispatch()
        await skein.fetchAll()
        #expect(try response.json()["headers"]?["X-Own"] == .string("was here"))
        #expect(
            seen.withLock { $0.filter { $0.hasSuffix("before") || $0.contains("headers") } } == [
                "session before", "own before", "session headers 200", "own headers 200",
            ])
        #expect(seen.withLock { $0.filter { $0.contains("after") } }.count == 2)
    }

    @Test("interim responses are events, too")
    func informational() async throws {
        let server = try await ScriptedServer.start { _ in
            [
                .send("HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\n"),
                .send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"),
            ]
        }
        let seen = Mutex<[String]>([])
        var request = HTTPRequest(.get, try HTTPURL("http://127.0.0.1:\(server.port)/"))
        request.events = HTTPEvents()
        request.events?.onInformational = { response in
            seen.withLock { $0.append("\(response.statusCode) \(response.header("Link", default: "-") ?? "")") }
        }
        #expect(await SkeinClient().start(request).dispatch().statusCode == 200)
        #expect(seen.withLock { $0 } == ["102 -", "103 </a.css>; rel=preload"])
        await server.stop()
    }

    @Test("responses carry timings, and the command line prints them")
    func timings() async throws {
        var configuration = SkeinClient.Configuration()
        configuration.http.recordsTimings = true
        configuration.http.dns.hosts["names.test"] = ["127.0.0.1"]
        let skein = SkeinClient(configuration)
        let url = "http://names.test:\(try await Peers.shared.nginxPort())/hello"
        let first = try #require(await skein.get(url).dispatch().timings)
        #expect(first.dns != nil && first.connect != nil && first.tls == nil)
        let total = try #require(first.total)
        #expect(try #require(first.firstByte) <= total)
        let second = try #require(await skein.get(url).dispatch().timings)
        #expect(second.dns == nil && second.connect == nil && second.total != nil)
        let command = try await runToEnd(
            CommandTests.skein, ["get", "--trace", "http://127.0.0.1:\(try await Peers.shared.nginxPort())/hello"])
        #expect(command.output.contains("connect ") && command.output.contains("total "), "\(command.output)")
    }
}
