import Foundation
import PeerSupport
import Skein
import Testing

/// Cookies of httpbin, and jars that other programs read and write.
@Suite("Cookie jars", .serialized, .inTurn, .timeLimit(.minutes(5)))
struct CookiePeerTests {
    private func httpbin() async throws -> String { "http://127.0.0.1:\(try await Peers.shared.httpbinPort())" }

    private func session(_ jar: CookieJar?) -> SkeinClient {
        var configuration = SkeinClient.Configuration()
        configuration.http.cookies = jar
        return SkeinClient(configuration)
    }

    @Test("a session stores the cookies of httpbin, also during redirects; without a jar it stores none")
    func kept() async throws {
        let base = try await httpbin()
        let skein = session(CookieJar())
        let set = await skein.get("\(base)/cookies/set?a=1&b=2").dispatch()
        #expect(try set.json()["cookies"] == .object(["a": .string("1"), "b": .string("2")]))
        let other = await skein.get("\(base)/cookies", cookies: ["c": "3"]).dispatch()
        #expect(try other.json()["cookies"] == .object(["a": .string("1"), "b": .string("2"), "c": .string("3")]))
        #expect(
            try await skein.get("\(base)/cookies/delete?a").dispatch().json()["cookies"] == .object(["b": .string("2")])
        )
        let plain = session(nil)
        #expect(try await plain.get("\(base)/cookies/set?a=1").dispatch().json()["cookies"] == .object([:]))
        let own = await plain.get("\(base)/cookies", headers: ["Cookie": "x=y"], cookies: ["c": "3"]).dispatch()
        #expect(try own.json()["cookies"] == .object(["x": .string("y"), "c": .string("3")]))
    }

    @Test("a response has the cookies it sets, and can add some to the jar")
    func response() async throws {
        let base = try await httpbin()
        let jar = CookieJar()
        var configuration = SkeinClient.Configuration()
        configuration.http.cookies = jar
        configuration.http.redirects.isEnabled = false
        let response = await SkeinClient(configuration).get("\(base)/cookies/set?a=1").dispatch()
        #expect(response.cookies.map(\.name) == ["a"] && response.cookies.first?.path == "/")
        #expect(response.cookie("a") == "1" && response.cookie("none") == nil)
        response.setCookie("mine", "2")
        #expect(response.cookie("mine") == "2")
        let next = await SkeinClient(configuration).get("\(base)/cookies").dispatch()
        #expect(try next.json()["cookies"] == .object(["a": .string("1"), "mine": .string("2")]))
    }

    @Test("curl and Python read our jars, and vice versa")
    func files() async throws {
        let base = try await httpbin()
        let file = TestFolder.path("jar")
        let first = try await runToEnd(
            CommandTests.skein, ["get", "--cookie-jar", file, "\(base)/cookies/set?a=1&b=2"])
        #expect(first.code == 0, "\(first.output)\(first.errors)")
        let curl = try await runToEnd("curl", ["-sb", file, "-c", file, "-L", "\(base)/cookies/set?c=3"])
        #expect(curl.output.contains("\"a\":\"1\"") && curl.output.contains("\"c\":\"3\""), "\(curl.output)")
        let second = try await runToEnd(
            CommandTests.skein, ["get", "--cookie-jar", file, "--cookie", "d=4", "--body", "\(base)/cookies"])
        for pair in [#""a":"1""#, #""b":"2""#, #""c":"3""#, #""d":"4""#] {
            #expect(second.output.contains(pair), "\(second.output)")
        }
        let script = """
            import http.cookiejar, sys
            jar = http.cookiejar.MozillaCookieJar(sys.argv[1])
            jar.load(ignore_discard=True, ignore_expires=True)  # curl's 0 for no end is 1970 to Python
            print(sorted(c.name for c in jar))
            jar.set_cookie(http.cookiejar.Cookie(0, "e", "5", None, False, "127.0.0.1", False, False, "/", True, False, None,
                True, None, None, {}))
            jar.save(ignore_discard=True, ignore_expires=True)
            """
        let python = try await runToEnd(Peers.python(), ["-c", script, file])
        #expect(python.output.contains("['a', 'b', 'c']"), "\(python.output)\(python.errors)")
        #expect(try CookieJar(file: file).cookies.map(\.name).sorted() == ["a", "b", "c", "e"])
    }
}
