import Foundation
import NIOCore
import PeerSupport
import SkeinEngine
import Testing

/// Observability: logs, transactions, metrics, the status page.
@Suite("Watching", .serialized, .inTurn, .timeLimit(.minutes(5)))
struct WatchingPeerTests {
    private static func engine(_ log: String, _ change: (inout RequestLogConfiguration) -> Void = { _ in }) -> Engine {
        var engine = Engine()
        engine.configuration.threads = 1  // lines of several loops are not in order
        var options = RequestLogConfiguration(log)
        change(&options)
        engine.configuration.requestLog = options
        var router = Router()
        router.get("/hello/<name>") { .text("hello \($0.parameter("name") ?? "")") }
        router.post("/take") { .text("\(try await $0.body.collect().readableBytes)") }
        router.get("/static/<path:file>") { _ in .text("static") }
        router.group("/private", BasicAuthentication(realm: "x") { _, _ in true }) {
            $0.get("") { _ in .text("private") }
        }
        router.get("/slow") { request in
            try await request.shard.sleep(until: .after(.milliseconds(60)))
            return .text("slow")
        }
        engine.mount("/", router)
        return engine
    }

    private static func lines(_ path: String) -> [String] {
        let text = String(decoding: FileManager.default.contents(atPath: path) ?? Data(), as: UTF8.self)
        return text.split(separator: "\n").map(String.init)
    }

    /// The requests of curl and a raw socket in each of the tests of formats.
    private func ask(_ port: Int) async throws {
        let base = "http://127.0.0.1:\(port)"
        _ = try await curl(
            "-A", "agent \"x\" \\", "-e", "http://from.test/", "-H", "X-Forwarded-For: 9.9.9.9", "\(base)/hello/ada?b=c"
        )
        _ = try await curl("--http2-prior-knowledge", "-d", "12345", "-A", "", "\(base)/take")
        _ = try await curl("-u", "ada lovelace:x", "\(base)/private")
        _ = try await curl("-H", "Authorization: Bearer secret-token", "\(base)/nothing")
        _ = try await curl("-H", "X-Gtxn-Id: GTID-C7-R8", "-H", "X-Ltxn-Id: 2003", "\(base)/slow")
        _ = try await curl("\(base)/static/x.css", "\(base)/hello/a.css", "\(base)/static/y")
        let raw = try await RawClient.connect(port)
        try await raw.send("NONSENSE\r\n\r\n")
        _ = await raw.readToEnd()
    }

    @Test("the own format, column by column")
    func own() async throws {
        let log = TestFolder.path("requests.log")
        var ports = ""
        try await serving(Self.engine(log) { $0.off = ["/static/", "*.css"] }) { (port, _) async throws in
            ports = "127.0.0.1:\(port)"
            try await ask(port)
        }
        let lines = Self.lines(log)
        try #require(lines.count == 6)
        let time = #"20\d\d-\d\d-\d\d \d\d:\d\d:\d\d 127\.0\.0\.1:\d+"#
        let end = #"M \d+ \d+ms \d+ms"#
        let host = ports.replacing(".", with: #"\."#)
        for (line, pattern) in zip(
            lines,
            [
                #"\#(host) GET /hello/ada\?b=c HTTP/1\.1 0 200 9 GTID-C\d+-R\d+ 1000 - - "http://from\.test/" "agent \\x22x\\x22 \\x5c" "9\.9\.9\.9""#,
                #"\#(host) POST /take HTTP/2\.0 5 200 1 GTID-C\d+-R\d+ 1000 - - - - -"#,
                #"\#(host) GET /private HTTP/1\.1 0 200 7 GTID-C\d+-R\d+ 1000 "ada lovelace" - - "curl/[\d.]+" -"#,
                #"\#(host) GET /nothing HTTP/1\.1 0 404 \d+ GTID-C\d+-R\d+ 1000 - sha256:[0-9a-f]{12} - "curl/[\d.]+" -"#,
                #"\#(host) GET /slow HTTP/1\.1 0 200 4 GTID-C7-R8 2003 - - - "curl/[\d.]+" -"#,
                #"- - - HTTP/1\.1 0 400 0 GTID-C\d+-R\d+ 1000 - - - - -"#,
            ])
        {
            let whole = try Regex("^\(time) \(pattern) \(end)$")
            #expect(line.wholeMatch(of: whole) != nil, "\(line)")
        }
        let handling = lines[4].split(separator: " ").dropLast().last?.dropLast(2)
        #expect(handling.flatMap { Int($0) } ?? 0 >= 60)
    }

    @Test(
        "the common formats, as the reader of such logs takes them",
        arguments: [RequestLogConfiguration.Format.common, .combined])
    func common(format: RequestLogConfiguration.Format) async throws {
        let log = TestFolder.path("requests.log")
        try await serving(Self.engine(log) { $0.format = format }) { port, _ in try await ask(port) }
        // The pattern with which Apache's format is usually parsed.
        let found = try await python(
            #"""
            import json, re, sys
            pattern = re.compile(r'^(\S+) (\S+) (\S+) \[([\w:/]+\s[+\-]\d{4})\] "(\S+) (\S+)\s*(\S+)?\s*" (\d{3}) (\S+)( "([^"]*)" "([^"]*)")?$')
            print(json.dumps([list(pattern.match(line).groups()) for line in open(sys.argv[1]).read().splitlines()]))
            """#, log)
        #expect(
            found[0]?[5]?.string == "/hello/ada?b=c" && found[0]?[7]?.string == "200" && found[0]?[8]?.string == "9")
        #expect(found[2]?[2]?.string == #"ada\x20lovelace"#)
        #expect(found[0]?[11]?.string == (format == .combined ? #"agent \x22x\x22 \x5c"# : nil))
        #expect(found[8]?[4]?.string == "-" && found[9] == nil)
    }

    @Test("JSON, one line per response")
    func json() async throws {
        let log = TestFolder.path("requests.log")
        try await serving(Self.engine(log) { $0.format = .json }) { port, _ in try await ask(port) }
        let lines = try Self.lines(log).map { try JSONDecoder().decode(JSONValue.self, from: Data($0.utf8)) }
        #expect(lines.count == 9)
        #expect(lines[0]["user_agent"]?.string == #"agent "x" \"# && lines[0]["status"]?.integer == 200)
        #expect(
            lines[2]["user"]?.string == "ada lovelace" && lines[4]["gtxn"]?.string == "GTID-C7-R8"
                && lines[4]["ltxn"]?.integer == 2003)
        #expect(lines[3]["bearer"]?.string?.hasPrefix("sha256:") == true)
    }

    @Test("a client that leaves is logged with the bytes it got; a full file is rotated")
    func ends() async throws {
        let log = TestFolder.path("requests.log")
        var engine = Self.engine(log) {
            $0.maximumBytes = 4000
            $0.keep = 2
        }
        engine.mount("/endless") { _ in .stream(AsyncStream<ByteBuffer> { ByteBuffer(repeating: 0x61, count: 1000) }) }
        try await serving(engine) { (port, _) async throws in
            let client = try await RawClient.connect(port)
            try await client.send("GET /endless HTTP/1.1\r\nHost: a\r\n\r\n")
            try await client.untilReceived("aaaa")
            await client.close()
            while !Self.lines(log).contains(where: { $0.contains(" GET /endless HTTP/1.1 0 200 ") }) {
                try await Task.sleep(for: .milliseconds(20))
            }
            for batch in 0..<4 {
                let urls = (0..<20).map { "http://127.0.0.1:\(port)/hello/\(batch)-\($0)" }
                _ = try await runToEnd("curl", ["-sS"] + urls)
                // The next lines are written apart from these.
                while !Self.lines(log).contains(where: { $0.contains(" GET /hello/\(batch)-19 ") }) {
                    try await Task.sleep(for: .milliseconds(20))
                }
            }
        }
        let manager = FileManager.default
        #expect(
            manager.fileExists(atPath: "\(log).1") && manager.fileExists(atPath: "\(log).2")
                && !manager.fileExists(atPath: "\(log).3"))
    }

    @Test("the transaction and the trace are sent to back ends, from hop to hop")
    func transactions() async throws {
        let log = TestFolder.path("requests.log")
        // Three servers in a row, the last one Python's.
        let echo = try await Peers.shared.httpbinPort()
        var middle = Engine()
        middle.mount("/") { request in
            let first = try await request.skein.get("http://127.0.0.1:\(echo)/headers").fetch(JSONValue.self)
            let second = try await request.skein.get("http://127.0.0.1:\(echo)/headers").fetch(JSONValue.self)
            return .json(["first": first["headers"], "second": second["headers"]])
        }
        middle.configuration.threads = 1
        middle.configuration.requestLog = RequestLogConfiguration(log)
        try await serving(middle) { (port, _) async throws in
            var front = Engine()
            front.mount("/") { request in
                _ = try await request.skein.get("http://127.0.0.1:\(port)/first").fetch()
                return ServerResponse(
                    body: .bytes(try await request.skein.get("http://127.0.0.1:\(port)/second").fetch()))
            }
            try await serving(front) { (port, _) async throws in
                let parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
                let said = try await curl(
                    "-H", "traceparent: \(parent)", "-H", "tracestate: a=b", "http://127.0.0.1:\(port)/")
                let found = try JSONDecoder().decode(JSONValue.self, from: Data(said.utf8))
                func field(_ call: String, _ name: String) -> String? { found[call]?[name]?.string }
                #expect(field("first", "X-Gtxn-Id")?.hasPrefix("GTID-C") == true)
                #expect(field("first", "X-Gtxn-Id") == field("second", "X-Gtxn-Id"))
                // The second call of the first request is 2002; what it calls is 3003 and 3004.
                #expect(field("first", "X-Ltxn-Id") == "3003" && field("second", "X-Ltxn-Id") == "3004")
                let trace = field("first", "Traceparent") ?? ""
                #expect(
                    trace.hasPrefix("00-0af7651916cd43dd8448eb211c80319c-") && trace != parent
                        && trace != field("second", "Traceparent"))
                #expect(field("first", "Tracestate") == "a=b")
            }
        }
        #expect(Self.lines(log).map { $0.split(separator: " ")[11] } == ["2001", "2002"])
    }

    @Test("metrics, parsed by Prometheus' own reader")
    func metrics() async throws {
        let registry = PrometheusRegistry()
        registry.makeCounter(label: "own.counter", dimensions: [("a-b", "x\"\\\n")]).increment(by: 3)
        registry.makeTimer(label: "own.time", dimensions: []).recordNanoseconds(3_000_000)
        registry.makeMeter(label: "own.level", dimensions: []).set(1.5)
        var engine = Self.engine(TestFolder.path("requests.log"))
        engine.mount("/metrics", .metrics(registry))
        engine.mount("/open", .metrics(for: .anybody))
        engine.mount("/some", .metrics(for: .addresses(["10.0.0.0/8"])))
        try await serving(engine) { (port, _) async throws in
            try await ask(port)
            let base = "http://127.0.0.1:\(port)"
            let found = try await python(
                """
                import json, sys, urllib.request
                from prometheus_client.parser import text_string_to_metric_families
                page = urllib.request.urlopen(sys.argv[1] + "/metrics").read().decode()
                out = {}
                for family in text_string_to_metric_families(page):
                    for sample in family.samples:
                        out[sample.name + "".join(f"|{k}={v}" for k, v in sorted(sample.labels.items()))] = sample.value
                print(json.dumps(out))
                """, base)
            #expect(
                found["skein_requests_total|status=2xx"]?.double == 7
                    && found["skein_requests_total|status=4xx"]?.double == 2)
            #expect(found["skein_request_duration_seconds_count"]?.double == 9)
            #expect(found["skein_request_duration_seconds_bucket|le=+Inf"]?.double == 9)
            #expect(found["own_counter_total|a_b=x\"\\\n"]?.double == 3)
            #expect(found["own_time_bucket|le=0.005"]?.double == 1 && found["own_time_bucket|le=0.002"]?.double == 0)
            #expect(found["own_level"]?.double == 1.5 && found["skein_open_connections"]?.double ?? 0 >= 1)
            func code(_ path: String, _ field: String) async throws -> String {
                try await curl("-o", "/dev/null", "-w", "%{http_code}", "-H", field, "\(base)\(path)")
            }
            // Clients of other machines get nothing, whatever their fields claim.
            #expect(try await code("/metrics", "X-Forwarded-For: 127.0.0.1") == "404")
            #expect(try await code("/metrics", "Forwarded: for=127.0.0.1") == "404")
            #expect(try await code("/some", "X: y") == "404")
            #expect(try await code("/open", "X-Forwarded-For: 9.9.9.9") == "200")
        }
    }

    @Test("the status page, in a browser and as JSON")
    func status() async throws {
        var engine = Self.engine(TestFolder.path("requests.log"))
        engine.mount("/.status", .status())
        engine.mount("/<odd>&", host: "*.odd.test", ClosureApp { _ in .text("") })
        try await serving(engine) { (port, _) async throws in
            try await ask(port)
            let url = "http://127.0.0.1:\(port)/.status"
            let said = try JSONDecoder().decode(JSONValue.self, from: Data(try await curl(url).utf8))
            #expect(said["statuses"]?[1]?["count"]?.integer == 7)
            #expect(said["mounts"]?[2]?["value"]?.string == "/%3Codd%3E&")
            let page = try await runToEnd(
                "chromium",
                [
                    "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
                    "--user-data-dir=\(TestFolder.path("chromium"))",
                    "--dump-dom", url,
                ]
            ).output
            #expect(page.contains("<h2>Responses by status</h2>") && page.contains("<td>*.odd.test</td>"))
            #expect(
                try await curl("-o", "/dev/null", "-w", "%{http_code}", "-H", "X-Forwarded-For: 9.9.9.9", url) == "404")
            #expect(try await curl("-o", "/dev/null", "-w", "%{http_code}", "-X", "POST", url) == "405")
        }
    }
}
