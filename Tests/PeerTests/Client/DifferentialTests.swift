import Foundation
import PeerSupport
import Skein
import Testing

/// The same generated cases with Skein, requests and curl against one server, which records the requests. Where the
/// three differ, the difference has a name here and a reason in docs/Comparison.md.
@Suite("Differences to requests and curl", .serialized, .inTurn, .timeLimit(.minutes(5)))
struct DifferentialTests {
    /// The action of a client.
    struct Step: Codable {
        var method = "GET"
        var url: String
        var body: String?
        var auth: [String]?
        var digest: [String]?
    }

    struct Case: Codable {
        var id: String
        var port: Int
        var steps: [Step]
    }

    private enum Client: String, CaseIterable {
        case skein, requests, curl
    }

    private static let hosts = [
        "example.test", "a.example.test", "b.example.test", "deep.a.example.test", "other.test",
    ]

    private static let unreserved = CharacterSet.alphanumerics.union(CharacterSet(charactersIn: "-._~"))

    // MARK: Redirects

    @Test("redirects: 140 cases")
    func redirects() async throws {
        var random = Generator(state: 7)
        let port = try await Peers.shared.servicesPort()
        var shapes: [(method: String, statuses: [Int], leaksToBelow: Bool)] = []
        let templates = (0..<140).map { number -> @Sendable (Client) -> Case in
            let method = random.pick(["GET", "GET", "HEAD", "POST", "POST", "PUT", "DELETE", "PATCH"])
            let statuses = (0..<random.number(1...2)).map { _ in random.pick([301, 302, 303, 307, 308]) }
            let forms = statuses.map { _ in random.number(0...7) }
            let cookies = statuses.map { _ in random.number(0...2) }
            let hasAuth = random.number(0...2) == 0
            let start = random.pick(Self.hosts)
            shapes.append((method, statuses, start == "example.test" && forms.contains(3)))
            return { client in
                let id = "redirect\(number)\(client.rawValue)"
                var target = "end\(number % 3 == 0 ? "?q=a%20b" : "")"
                for hop in statuses.indices.reversed() {
                    let location =
                        switch forms[hop] {
                        case 0: target
                        case 1: "/case/\(id)/\(target)"
                        case 2: "http://\(start):\(port)/case/\(id)/\(target)"
                        case 3: "http://b.example.test:\(port)/case/\(id)/\(target)"
                        case 4: "../\(id)/./x/../\(target)"
                        case 5: "./\(target)"
                        case 6: "//other.test:\(port)/case/\(id)/\(target)"
                        default: "\(target)#fragment"
                        }
                    let escaped = location.addingPercentEncoding(withAllowedCharacters: Self.unreserved) ?? ""
                    target = "hop\(hop)?status=\(statuses[hop])&location=\(escaped)"
                    if cookies[hop] > 0 { target += "&cookie=c\(hop)%3D\(number)%3B%20Path%3D/" }
                    if cookies[hop] > 1 { target += "&cookie=d%3D1%3B%20Path%3D/%3B%20Domain%3Dexample.test" }
                }
                let body = ["POST", "PUT", "PATCH"].contains(method) ? "content" : nil
                let step = Step(
                    method: method, url: "http://\(start):\(port)/case/\(id)/\(target)", body: body,
                    auth: hasAuth ? ["weaver", "secret"] : nil)
                return Case(id: id, port: port, steps: [step])
            }
        }
        let outcomes = try await run(templates)
        for (number, outcome) in outcomes.enumerated() {
            let (method, statuses, leaksToBelow) = shapes[number]
            let skein = outcome[.skein]
            // requests makes a GET of everything after a 302; RFC 9110, section 15.4.3 allows it for POST only, and
            // curl agrees.
            // It also drops the content of a PUT after a 301, and still sends the PUT.
            let turnsIntoGET =
                statuses.contains(302) && !["GET", "HEAD", "POST"].contains(method)
                || statuses.contains(301) && ["PUT", "PATCH"].contains(method)
            // curl keeps a method given by -X after a 303, too, and drops a PATCH's content after a 301 or 302.
            let isForced =
                statuses.contains(303) && ["DELETE", "PATCH"].contains(method)
                || method == "PATCH" && (statuses.contains(301) || statuses.contains(302))
            // Python's jar sends the cookies of a host to its subdomains, which RFC 6265 forbids (section 5.3, 6).
            if !turnsIntoGET, !leaksToBelow {
                expectSame(skein, outcome[.requests], "redirect \(number): \(shapes[number]), requests")
            }
            if !isForced { expectSame(skein, outcome[.curl], "redirect \(number): \(shapes[number]), curl") }
        }
    }

    // MARK: Cookies

    @Test("cookies: 120 cases")
    func cookies() async throws {
        var random = Generator(state: 11)
        let port = try await Peers.shared.servicesPort()
        var fields: [String] = []
        var leaks: [Bool] = []
        let templates = (0..<120).map { number -> @Sendable (Client) -> Case in
            let from = random.pick(Self.hosts)
            let to = random.number(0...1) == 0 ? from : random.pick(Self.hosts)
            var field = random.pick(["a=1", "a=\"1\"", "a=", "a=1=2", " a = b ", "a=x y"])
            if random.number(0...1) == 0 {
                field += random.pick([
                    "; Domain=example.test", "; Domain=.example.test", "; domain=A.EXAMPLE.TEST", "; Domain=other.test",
                    "; Domain=test", "; Domain=b.example.test",
                ])
            }
            if random.number(0...1) == 0 {
                field += random.pick(["; Path=/", "; Path=/case", "; path=/cas", "; Path=/none", "; Path=/case/"])
            }
            if random.number(0...1) == 0 {
                field += random.pick([
                    "; Max-Age=100", "; Max-Age=0", "; max-age=-1", "; Expires=Wed, 01 Jan 2042 00:00:00 GMT",
                    "; Expires=Thu, 01 Jan 1970 00:00:00 GMT", "; Expires=Wed, 01-Jan-2042 00:00:00 GMT",
                    "; Max-Age=100; Expires=Thu, 01 Jan 1970 00:00:00 GMT",
                ])
            }
            if random.number(0...4) == 0 { field += random.pick(["; Secure", "; HttpOnly", "; SameSite=Lax"]) }
            fields.append("\(from) → \(to): \(field)")
            leaks.append(to.hasSuffix(".\(from)") && !field.lowercased().contains("domain="))
            let escaped = field.addingPercentEncoding(withAllowedCharacters: Self.unreserved) ?? ""
            return { client in
                let id = "cookie\(number)\(client.rawValue)"
                return Case(
                    id: id, port: port,
                    steps: [
                        Step(url: "http://\(from):\(port)/case/\(id)/set?cookie=\(escaped)"),
                        Step(url: "http://\(to):\(port)/case/\(id)/get"),
                    ])
            }
        }
        let outcomes = try await run(templates)
        for (number, outcome) in outcomes.enumerated() {
            if !leaks[number] { expectSame(outcome[.skein], outcome[.requests], "\(fields[number]), requests") }
            expectSame(outcome[.skein], outcome[.curl], "\(fields[number]), curl")
        }
    }

    // MARK: Digest

    @Test("digest: 40 cases")
    func digest() async throws {
        var random = Generator(state: 13)
        let port = try await Peers.shared.servicesPort()
        var queries: [String] = []
        let templates = (0..<40).map { number -> @Sendable (Client) -> Case in
            let algorithm = random.pick(["", "MD5", "MD5-sess", "SHA-256"])
            let qop = random.pick(["auth", "auth", "auth,auth-int", ""])
            let user = random.pick(["weaver", "a b", "Jäsøn"])
            let password = random.pick(["secret", "s\"e", ""])
            let isRight = random.number(0...3) > 0
            var query = URLComponents()
            query.queryItems = [
                URLQueryItem(name: "user", value: user), URLQueryItem(name: "password", value: password),
                URLQueryItem(name: "realm", value: random.pick(["r", "the loom"])),
            ]
            if !algorithm.isEmpty { query.queryItems?.append(URLQueryItem(name: "algorithm", value: algorithm)) }
            // The session variants (-sess) require a qop.
            let protection = qop.isEmpty && algorithm.hasSuffix("sess") ? "auth" : qop
            if !protection.isEmpty { query.queryItems?.append(URLQueryItem(name: "qop", value: protection)) }
            if random.number(0...1) == 0 { query.queryItems?.append(URLQueryItem(name: "opaque", value: "o/p=")) }
            let text = query.percentEncodedQuery ?? ""
            queries.append("\(text) \(isRight)")
            return { client in
                let step = Step(
                    url: "http://example.test:\(port)/digest/\(number)?\(text)",
                    digest: [user, isRight ? password : password + "?"])
                return Case(id: "digest\(number)\(client.rawValue)", port: port, steps: [step, step])
            }
        }
        let outcomes = try await run(templates)
        for (number, outcome) in outcomes.enumerated() {
            let right = queries[number].hasSuffix("true")
            #expect(outcome[.skein]?.status == (right ? "200" : "401"), "\(queries[number])")
            expectSame(outcome[.skein], outcome[.curl], "\(queries[number]), curl")
            // requests hashes the name in UTF-8 and sends it in Latin-1, so that no server can match them.
            if !queries[number].contains("J%C3%A4s") {
                expectSame(outcome[.skein], outcome[.requests], "\(queries[number]), requests")
            }
        }
    }

    // MARK: Running

    /// The result of a case: its last status, and the requests that the server received.
    private struct Outcome: Equatable {
        var status: String
        var log: JSONValue
    }

    private func expectSame(_ skein: Outcome?, _ other: Outcome?, _ name: String) {
        #expect(skein?.status == other?.status, "\(name)")
        guard skein?.log != other?.log else { return }
        for index in 0..<5 where skein?.log[index] != other?.log[index] {
            Issue.record("\(name), \(index): \(Self.text(skein?.log[index])), not \(Self.text(other?.log[index]))")
        }
    }

    private static func text(_ log: JSONValue?) -> String {
        (try? JSONEncoder().encode(log)).map { String(decoding: $0, as: UTF8.self) } ?? "nothing"
    }

    private func run(_ templates: [@Sendable (Client) -> Case]) async throws -> [[Client: Outcome]] {
        async let ours = skein(templates.map { $0(.skein) })
        async let requests = peer(.requests, templates.map { $0(.requests) })
        async let curl = peer(.curl, templates.map { $0(.curl) })
        let statuses: [Client: [String: String]] = [
            .skein: try await ours, .requests: try await requests, .curl: try await curl,
        ]
        let port = try await Peers.shared.servicesPort()
        let reader = SkeinClient()
        var outcomes: [[Client: Outcome]] = []
        for template in templates {
            var outcome: [Client: Outcome] = [:]
            for client in Client.allCases {
                let id = template(client).id
                let text = try await reader.get("http://127.0.0.1:\(port)/log/\(id)").dispatch().text()
                let log = try JSONDecoder().decode(JSONValue.self, from: Data(text.replacing(id, with: "CASE").utf8))
                outcome[client] = Outcome(status: statuses[client]?[id] ?? "none", log: log)
            }
            outcomes.append(outcome)
        }
        return outcomes
    }

    private func skein(_ cases: [Case]) async throws -> [String: String] {
        var results: [String: String] = [:]
        for item in cases {
            var configuration = SkeinClient.Configuration()
            configuration.http.cookies = CookieJar()
            for host in Self.hosts { configuration.http.dns.hosts[host] = ["127.0.0.1"] }
            let skein = SkeinClient(configuration)
            for step in item.steps {
                let auth =
                    step.auth.map { HTTPAuth.basic($0[0], $0[1]) } ?? step.digest.map { HTTPAuth.digest($0[0], $0[1]) }
                let response = await skein.request(
                    HTTPMethod(rawValue: step.method), step.url,
                    body: step.body.map { .text($0, contentType: "text/plain") } ?? .none,
                    auth: auth
                ).dispatch()
                results[item.id] = String(response.statusCode)
            }
        }
        return results
    }

    private func peer(_ client: Client, _ cases: [Case]) async throws -> [String: String] {
        let input = String(decoding: try JSONEncoder().encode(cases), as: UTF8.self)
        let run = try await runToEnd(
            Peers.python(), ["\(Peers.scripts)/differential.py", client.rawValue], input: input)
        guard run.code == 0 else { throw PeerError("\(client.rawValue) failed: \(run.errors)") }
        let results = try JSONDecoder().decode([String: JSONValue].self, from: Data(run.output.utf8))
        return results.mapValues { $0.integer.map(String.init) ?? $0.string ?? "?" }
    }

    /// The same cases each time (a linear congruential generator is random enough here).
    private struct Generator {
        var state: UInt64

        mutating func number(_ range: ClosedRange<Int>) -> Int {
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return range.lowerBound + Int(state >> 33) % range.count
        }

        mutating func pick<T>(_ choices: [T]) -> T { choices[number(0...choices.count - 1)] }
    }
}
