import NIOCore
import PeerSupport
import Skein
import Synchronization
import Testing

/// The client against nginx and httpbin.
@Suite("Client", .serialized, .inTurn, .timeLimit(.minutes(5)))
struct ClientTests {
    @Test("a GET brings status, headers, content and version")
    func get() async throws {
        let skein = SkeinClient()
        let response = await skein.get("http://127.0.0.1:\(try await Peers.shared.nginxPort())/hello").dispatch()
        #expect(response.statusCode == 200)
        #expect(response.reason == "OK")
        #expect(try response.text() == "hello world")
        #expect(response.header("server")?.hasPrefix("nginx") == true)
        #expect(response.header("x-none", default: "d") == "d")
        #expect(response.headerWithAttributes("content-type")?.value == "text/plain")
        #expect(response.version == .http1_1)
        #expect(response.outcome == .normal)
        #expect(response.reportLine == "REQID 0. HTTP/1.1 200 OK 11 bytes received")
        #expect(response.method == "GET")
    }

    @Test("a request starts when it is made, and its response waits for the caller")
    func startsAtOnce() async throws {
        let skein = SkeinClient()
        let corequest = skein.get("http://127.0.0.1:\(try await Peers.shared.nginxPort())/hello")
        await skein.fetchAll()
        #expect(corequest.result?.statusCode == 200)
        #expect(try await corequest.fetch().readableBytes == 11)
        #expect(await corequest.wait() == .normal)
    }

    @Test("concurrent fetches share one connection if limited to it, as the connect counter shows")
    func oneConnection() async throws {
        var configuration = SkeinClient.Configuration()
        configuration.http.connectionsPerOrigin = 1
        let skein = SkeinClient(configuration)
        let url = "http://127.0.0.1:\(try await Peers.shared.nginxPort())/hello"
        let group = CorequestGroup((0..<200).map { _ in skein.get(url) })
        #expect(try await group.fetch().count == 200)
        #expect(skein.connectCount == 1)
        try await skein.suspend(.milliseconds(100))
        try await skein.get(url).commit()
        #expect(skein.connectCount == 1)
    }

    @Test("pipelined requests are answered in order over one connection")
    func pipelining() async throws {
        var configuration = SkeinClient.Configuration()
        configuration.concurrency = 1000
        configuration.http.connectionsPerOrigin = 1
        configuration.http.pipelineDepth = 100
        let skein = SkeinClient(configuration)
        let base = "http://127.0.0.1:\(try await Peers.shared.nginxPort())"
        let calls = (0..<1000).map { ($0, skein.get($0 % 3 == 0 ? "\(base)/small.txt" : "\(base)/hello")) }
        for (number, call) in calls {
            #expect(try await call.fetch().readableBytes == (number % 3 == 0 ? 13 : 11))
        }
        #expect(skein.connectCount == 1)
    }

    @Test("without keep-alive each request has its own connection")
    func noKeepAlive() async throws {
        var configuration = SkeinClient.Configuration()
        configuration.http.keepAlive = false
        let skein = SkeinClient(configuration)
        let url = "http://127.0.0.1:\(try await Peers.shared.nginxPort())/hello"
        for _ in 0..<5 { try await skein.get(url).commit() }
        #expect(skein.connectCount == 5)
    }

    @Test("a server with a request limit per connection gets new ones")
    func serverCloses() async throws {
        let skein = SkeinClient(concurrency: 1)
        let base = "http://127.0.0.1:\(try await Peers.shared.nginxPort())"
        for _ in 0..<6 { try await skein.get("\(base)/two").commit() }
        #expect(skein.connectCount == 3)
        for _ in 0..<3 { try await skein.get("\(base)/close").commit() }
    }

    @Test("a connection closed by the server while idle is replaced silently")
    func idleConnectionDropped() async throws {
        let skein = SkeinClient(concurrency: 1)
        let url = "http://127.0.0.1:\(try await Peers.shared.nginxPort())/idle"
        try await skein.get(url).commit()
        try await skein.suspend(.milliseconds(1500))
        try await skein.get(url).commit()
        #expect(skein.connectCount == 2)
    }

    @Test("a unix socket works like a port")
    func unixSocket() async throws {
        let path = try await Peers.shared.nginxSocket().replacing("/", with: "%2F")
        let response = await SkeinClient().get("http+unix://\(path)/hello").dispatch()
        #expect(try response.text() == "hello world")
    }

    @Test("HEAD has no content, redirects are not a success")
    func statuses() async throws {
        let skein = SkeinClient()
        let base = "http://127.0.0.1:\(try await Peers.shared.nginxPort())"
        let head = await skein.head("\(base)/big").dispatch()
        #expect(head.statusCode == 200)
        #expect(head.content.readableBytes == 0)
        #expect(head.header("Content-Length") == "8388608")
        for (path, code) in [("/nothing", 404)] {
            let error = await #expect(throws: SkeinError.self) { try await skein.get("\(base)\(path)").fetch() }
            #expect(error?.code.rawValue == code)
        }
    }

    @Test("a large body is received whole, or streamed and consumed once")
    func bodies() async throws {
        let skein = SkeinClient()
        let url = "http://127.0.0.1:\(try await Peers.shared.nginxPort())/big"
        #expect(try await skein.get(url).fetch().readableBytes == 8 << 20)
        let response = try await skein.stream(.get, url).dispatch()
        let stream = try #require(response.stream)
        var received = 0
        for try await piece in stream { received += piece.readableBytes }
        #expect(received == 8 << 20)
        await #expect(throws: SkeinError.self) { for try await _ in stream {} }
    }

    @Test("an abandoned stream ends its connection and does not affect others")
    func abandonedStream() async throws {
        let skein = SkeinClient(concurrency: 2)
        let base = "http://127.0.0.1:\(try await Peers.shared.nginxPort())"
        let response = try await skein.stream(.get, "\(base)/big").dispatch()
        var iterator = try #require(response.stream).makeAsyncIterator()
        _ = try await iterator.next()
        response.stream?.cancel()
        await #expect(throws: SkeinError.self) { while try await iterator.next() != nil {} }
        try await skein.get("\(base)/hello").commit()
        await skein.fetchAll()
        #expect(skein.tracking.exchanges == 0)
    }

    // MARK: httpbin

    private struct Echo: Decodable {
        let args: [String: JSONValue]
        let data: String?
        let form: [String: JSONValue]?
        let headers: [String: String]
        let json: JSONValue?
    }

    private func httpbin() async throws -> String { "http://127.0.0.1:\(try await Peers.shared.httpbinPort())" }

    @Test("JSON, forms, XML and text arrive with their types", arguments: [HTTPMethod.post, .put, .patch, .delete])
    func sentBodies(method: HTTPMethod) async throws {
        struct Order: Codable { let item: String; let count: Int }
        let skein = SkeinClient()
        let url = "\(try await httpbin())/\(method.rawValue.lowercased())"
        let json = try await skein.request(method, url, body: .json(Order(item: "Garn äöü", count: 3))).fetch(Echo.self)
        #expect(json.json == .object(["item": .string("Garn äöü"), "count": .integer(3)]))
        #expect(json.headers["Content-Type"] == "application/json")
        let form = try await skein.request(method, url, body: .form(["a": "b c&d", "e": [1, 2]])).fetch(Echo.self)
        #expect(form.form == ["a": .string("b c&d"), "e": .array([.string("1"), .string("2")])])
        let xml = try await skein.request(method, url, body: .xml("<a/>")).fetch(Echo.self)
        #expect(xml.data == "<a/>")
        #expect(xml.headers["Content-Type"] == "text/xml; charset=utf-8")
        let text = try await skein.request(method, url, body: .text("hé"), headers: ["Content-Type": "text/x"]).fetch(
            Echo.self)
        #expect(text.data == "hé")
        #expect(text.headers["Content-Type"] == "text/x")
    }

    @Test("a body may come from a sequence or an asynchronous one, with its length or in chunks", arguments: [nil, 60])
    func streamedUpload(length: Int?) async throws {
        let skein = SkeinClient()
        let url = "\(try await httpbin())/post"
        let pieces = (0..<10).map { ByteBuffer(string: "piece\($0)") }
        let whole = (0..<10).map { "piece\($0)" }.joined()
        let sequence = try await skein.post(url, body: .sequence(pieces, length: length)).fetch(Echo.self)
        #expect(sequence.data == whole)
        let stream = AsyncStream { continuation in
            for piece in pieces { continuation.yield(piece) }
            continuation.finish()
        }
        let asynchronous = try await skein.post(url, body: .stream(stream, length: length)).fetch(Echo.self)
        #expect(asynchronous.data == whole)
        #expect(asynchronous.headers["Content-Length"] == length.map(String.init))
    }

    @Test("a body that does not match its announced length, or that throws, fails its own request only")
    func wrongBodies() async throws {
        struct Broken: Error {}
        let skein = SkeinClient()
        let url = "\(try await httpbin())/post"
        let piece = [ByteBuffer(string: "12345")]
        let broken = AsyncThrowingStream<ByteBuffer, any Error> { $0.finish(throwing: Broken()) }
        for body in [HTTPBody.sequence(piece, length: 3), .sequence(piece, length: 9), .stream(broken)] {
            #expect(await skein.post(url, body: body).dispatch().statusCode == 701)
        }
        try await skein.post(url, body: .sequence(piece, length: 5)).commit()
    }

    @Test("a large body of bytes is sent completely, and the connection is reused")
    func largeUpload() async throws {
        let skein = SkeinClient(concurrency: 1)
        let base = try await httpbin()
        let bytes = ByteBuffer(repeating: 0x61, count: 3 << 20)
        for _ in 0..<2 {
            let echo = try await skein.put("\(base)/put", body: .bytes(bytes, contentType: "text/plain")).fetch(
                Echo.self)
            #expect(echo.data?.utf8.count == 3 << 20)
        }
        #expect(skein.connectCount == 1)
    }

    @Test("parameters and headers arrive; User-Agent and Accept are set unless given")
    func parameters() async throws {
        let skein = SkeinClient()
        let url = "\(try await httpbin())/get"
        let echo = try await skein.get(url, parameters: ["q": "a&b", "id": ["1", "2"]], headers: ["X-Id": "7"]).fetch(
            Echo.self)
        #expect(echo.args == ["q": .string("a&b"), "id": .array([.string("1"), .string("2")])])
        #expect(echo.headers["X-Id"] == "7")
        #expect(echo.headers["User-Agent"]?.hasPrefix("skein/") == true)
        #expect(echo.headers["Accept"] == "*/*")
        let other = try await skein.get(url, headers: ["user-agent": "me"]).fetch(Echo.self)
        #expect(other.headers["User-Agent"] == "me")
    }

    @Test("TRACE and OPTIONS are sent unchanged")
    func otherMethods() async throws {
        let skein = SkeinClient()
        let options = await skein.options("\(try await httpbin())/get").dispatch()
        #expect(options.header("Allow")?.contains("GET") == true)
        let trace = await skein.trace("\(try await httpbin())/anything").dispatch()
        #expect([200, 405].contains(trace.statusCode))
        #expect(trace.method == "TRACE")
    }

    private struct Record: Decodable, Sendable { let id: Int }

    /// The result of `one` for a path: nil for a record, otherwise the code.
    private func code(_ skein: SkeinClient, _ url: String) async -> Int? {
        do {
            let record: Record = try await skein.get(url).one(Record.self)
            return record.id == 1 ? nil : 0
        } catch {
            return (error as? SkeinError)?.code.rawValue
        }
    }

    @Test("one is 410 without exactly one record; content that cannot be decoded is 709")
    func one() async throws {
        let skein = SkeinClient()
        let base = try await httpbin()
        #expect(await code(skein, base + "/base64/W3siaWQiOjF9XQ==") == nil)  // [{"id":1}]
        #expect(await code(skein, base + "/base64/eyJpZCI6MX0=") == nil)  // {"id":1}
        #expect(await code(skein, base + "/base64/W10=") == 410)  // []
        #expect(await code(skein, base + "/base64/W3siaWQiOjF9LHsiaWQiOjJ9XQ==") == 410)  // two
        #expect(await code(skein, base + "/base64/eyJpZA==") == 709)
        #expect(await code(skein, base + "/status/503") == 503)
    }

    @Test("metadata is passed to the response, with the reserved keys filled in")
    func meta() async throws {
        let skein = SkeinClient()
        let url = "\(try await httpbin())/get"
        _ = await skein.get(url).dispatch()
        let response = await skein.get(url, meta: ["job_name": "test2"]).dispatch()
        #expect(response.meta["job_name"] as? String == "test2")
        #expect(response.meta["req_id"] as? Int == 1)
        #expect(response.meta["req_method"] as? String == "GET")
        #expect(response.meta["req_callback"] as? Bool == false)
    }

    @Test("text is decoded by its charset, JSON becomes a tree")
    func content() async throws {
        let skein = SkeinClient()
        let base = try await httpbin()
        #expect(try await skein.get("\(base)/encoding/utf8").dispatch().text().contains("∮ E⋅da = Q"))
        let json = await skein.get("\(base)/json").dispatch()
        #expect(json.data?["slideshow"]?["slides"]?[0]?["type"]?.string == "all")
        let image = await skein.get("\(base)/image/png").dispatch()
        #expect(throws: SkeinError.self) { try image.text() }
        #expect(image.data == nil)
    }

    @Test("a chunked response is reassembled")
    func chunked() async throws {
        let response = await SkeinClient().get("\(try await httpbin())/stream/20").dispatch()
        #expect(response.header("Transfer-Encoding") == "chunked")
        #expect(try response.text().split(separator: "\n").count == 20)
    }
}
