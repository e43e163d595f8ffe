import Foundation
import NIOCore
import PeerSupport
import SkeinEngine
import SkeinSQLite
import Testing

/// Code as a user who is new to Skein would write it.
@Suite("First steps", .serialized, .inTurn, .timeLimit(.minutes(2)))
struct FirstStepsTests {
    private struct Echo: Decodable, Equatable {
        struct Sent: Codable, Equatable {
            let name: String
            let born: Int
        }
        let json: Sent?
        let args: [String: String]?
        let url: String
    }

    private struct Hello: Codable, Equatable {
        let hello: String
    }

    private func httpbin() async throws -> String { "http://127.0.0.1:\(try await Peers.shared.httpbinPort())" }

    @Test("a response, its text, its JSON, by the inferred type")
    func fetching() async throws {
        let client = SkeinClient()
        let base = try await httpbin()
        let response = try await client.get("\(base)/status/404").response
        #expect(response.statusCode == 404, "a status is no error")
        await #expect(throws: SkeinError.self) { try await client.get("http://127.0.0.1:1/").response }
        await #expect(throws: SkeinError.self) { try await client.get("\(base)/status/500").text() }
        let echo: Echo = try await client.get("\(base)/get").fetch()
        #expect(echo.url == "\(base)/get")
        #expect(try await client.get("\(base)/get").json(Echo.self) == echo)
        #expect(try await client.get("\(base)/get").json()["url"] == .string(echo.url))
        #expect(try await client.get("\(base)/robots.txt").text().hasPrefix("User-agent"))
        #expect(try await client.stream("\(base)/robots.txt").text().hasPrefix("User-agent"))
        #expect(try await client.stream("\(base)/get").json(Echo.self) == echo)
        let bytes: ByteBuffer? = try? await client.get("\(base)/robots.txt").fetch()
        #expect(bytes?.readableBytes ?? 0 > 0)
    }

    @Test("a URL is a string, a Foundation URL, or a parsed one")
    func urls() async throws {
        let client = SkeinClient()
        let base = try await httpbin()
        let url = try #require(URL(string: "\(base)/get"))
        #expect(try await client.get(url, parameters: ["page": 2]).response.url.target == "/get?page=2")
        #expect(try await client.get(try HTTPURL("\(base)/get")).response.statusCode == 200)
        #expect(try await client.get("\(base)/get?x=1".dropLast(4)).response.statusCode == 200)
        #expect(await client.get("nonsense").dispatch().statusCode == 701)
    }

    @Test("labelled content, and JSON literals")
    func content() async throws {
        let client = SkeinClient()
        let base = try await httpbin()
        let ada = Echo.Sent(name: "Ada", born: 1815)
        for body in [HTTPBody.json(ada), .json(["name": "Ada", "born": 1815])] {
            #expect(try await client.post("\(base)/post", body: body).json(Echo.self).json == ada)
            #expect(try await client.put("\(base)/put", body: body).json(Echo.self).json == ada)
            #expect(try await client.patch("\(base)/patch", body: body).json(Echo.self).json == ada)
            #expect(try await client.delete("\(base)/delete", body: body).json(Echo.self).json == ada)
        }
    }

    @Test("parameters and fields from variables, left out without a value")
    func variables() async throws {
        let client = SkeinClient()
        let base = try await httpbin()
        let query = ["page": "2", "size": "10"]
        let missing: String? = nil
        let word: String? = "loom"
        #expect(try await client.get("\(base)/get", parameters: Parameters(query)).json(Echo.self).args == query)
        let optional = try await client.get("\(base)/get", parameters: ["q": word, "none": missing]).json(Echo.self)
        #expect(optional.args == ["q": "loom"])
        let fields = try await client.get("\(base)/headers", headers: ["X-Word": word, "X-None": missing]).json()
        #expect(fields["headers"]?["X-Word"] == "loom" && fields["headers"]?["X-None"] == nil)
        let more = Headers(["X-B": "2", "X-A": "1"])
        #expect(more.map(\.name) == ["X-A", "X-B"])
    }

    @Test("iterating over a stream")
    func streaming() async throws {
        let client = SkeinClient()
        let base = try await httpbin()
        await #expect(throws: SkeinError.self) {
            for try await _ in client.stream("\(base)/status/503") {}
        }
        var bytes = 0
        for try await piece in client.stream("\(base)/stream-bytes/100000?chunk_size=5000") {
            bytes += piece.readableBytes
        }
        #expect(bytes == 100_000)
        let text = try await client.get("\(base)/robots.txt").text()
        for try await piece in client.get("\(base)/robots.txt") { bytes -= piece.readableBytes }
        #expect(bytes == 100_000 - text.utf8.count)
    }

    @Test("routes are added to an engine, and handlers return text, values and responses")
    func engine() async throws {
        var engine = Engine()
        engine.get("/") { _ in "first steps" }
        engine.get("/hello/<name>") { Hello(hello: try $0.parameter("name", as: String.self)) }
        engine.get("/teapot") { _ in .text("short and stout", status: 418) }
        engine.post("/sum") { request in
            let numbers: [Int] = try await request.json([Int].self)
            return numbers.reduce(0, +)
        }
        var api = Router()
        api.group("/api") { $0.get("/") { _ in "the API" } }
        api.group("") { $0.get("/group") { _ in "a group without a path" } }
        engine.mount("/", api)
        try await serving(engine) { port, _ in
            let base = "http://127.0.0.1:\(port)"
            let page = try await curl("-i", "\(base)/")
            #expect(page.contains("text/plain; charset=utf-8"))
            #expect(try await curl("\(base)/") == "first steps")
            #expect(try await curl("\(base)/hello/Ada") == #"{"hello":"Ada"}"#)
            #expect(try await curl("-i", "\(base)/teapot").hasPrefix("HTTP/1.1 418"))
            #expect(try await curl("-H", "Content-Type: application/json", "-d", "[1,2,3]", "\(base)/sum") == "6")
            #expect(try await curl("\(base)/api") == "the API")
            #expect(try await curl("\(base)/api/") == "the API")
            #expect(try await curl("-i", "\(base)/nowhere").hasPrefix("HTTP/1.1 404"))
        }
    }

    @Test("a parameter in another framework's syntax is refused, with the right one")
    func spelling() async throws {
        var engine = Engine()
        engine.get("/hello/:name") { _ in "hello" }
        engine.configuration.addresses = [.tcp("127.0.0.1", port: 0)]
        engine.configuration.logger = .silent
        let server = engine.server()
        let error = await #expect(throws: SkeinError.self) { try await server.start() }
        #expect(error?.message.contains("<name>") == true)
    }

    @Test("iterating over rows")
    func rows() async throws {
        let client = SkeinClient()
        let database = try client.sqlite(":memory:")
        try await database.execute("CREATE TABLE loom (id INTEGER, name TEXT)").commit()
        for (id, name) in [(1, "dobby"), (2, "jacquard")] {
            try await database.execute("INSERT INTO loom VALUES (\(id), \(name))").commit()
        }
        var names: [String] = []
        for try await row in database.query("SELECT name FROM loom ORDER BY id") {
            names.append(try row.decode(String.self))
        }
        #expect(names == ["dobby", "jacquard"])
    }
}
