import Foundation
import NIOCore
import Testing

@testable import SkeinHTTP
@testable import SkeinWire

/// What RFC 9111 says about a kept response, as a table.
@Suite("Cache entries")
struct CacheEntryTests {
    private static let now = Date(timeIntervalSince1970: 784_111_777)  // Sun, 06 Nov 1994 08:49:37 GMT

    private func entry(_ headers: Headers) -> CacheEntry {
        var all: Headers = ["Date": "Sun, 06 Nov 1994 08:49:37 GMT"]
        all.merge(headers)
        return CacheEntry(
            key: "k", varying: [:], identity: nil, status: 200, reason: "OK", headers: all, content: ByteBuffer(),
            requested: Self.now, received: Self.now)
    }

    private func use(_ headers: Headers, age: Double, asked: String? = nil, isShared: Bool = false) throws -> String {
        var request = HTTPRequest(.get, try HTTPURL("http://a/"))
        if let asked { request.headers["Cache-Control"] = asked }
        let now = Self.now.addingTimeInterval(age)
        return switch entry(headers).use(for: request, isShared: isShared, now: now) {
        case .serve: "serve"
        case .serveAndRevalidate: "background"
        case .revalidate: "ask"
        }
    }

    @Test(
        "fresh, stale, and what either side says about it",
        arguments: [
            ("max-age=60", 59, nil, "serve"), ("max-age=60", 60, nil, "ask"), ("max-age=60, no-cache", 1, nil, "ask"),
            ("max-age=60, no-cache=\"Set-Cookie\"", 1, nil, "serve"),
            ("max-age=60", 30, "max-age=20", "ask"), ("max-age=60", 30, "no-cache", "ask"),
            ("max-age=60", 30, "min-fresh=40", "ask"), ("max-age=60", 30, "min-fresh=20", "serve"),
            ("max-age=60", 90, "max-stale", "serve"), ("max-age=60", 90, "max-stale=20", "ask"),
            ("max-age=60, must-revalidate", 90, "max-stale", "ask"),
            ("max-age=60, stale-while-revalidate=60", 90, nil, "background"),
            ("max-age=60, stale-while-revalidate=60", 130, nil, "ask"),
            ("max-age=nonsense", 0, nil, "ask"), ("s-maxage=60", 1, nil, "ask"), ("MAX-AGE=\"60\"", 1, nil, "serve"),
        ] as [(String, Double, String?, String)])
    func directives(control: String, age: Double, asked: String?, expected: String) throws {
        #expect(try use(["Cache-Control": control], age: age, asked: asked) == expected)
    }

    @Test("Expires, Age, a guess from Last-Modified; a shared cache listens to s-maxage")
    func times() throws {
        #expect(try use(["Expires": "Sun, 06 Nov 1994 08:50:37 GMT"], age: 59) == "serve")
        #expect(try use(["Expires": "Sun, 06 Nov 1994 08:50:37 GMT"], age: 61) == "ask")
        #expect(try use(["Expires": "0"], age: 0) == "ask")
        #expect(try use(["Expires": "Sun, 06 Nov 1994 08:50:37 GMT", "Cache-Control": "max-age=10"], age: 30) == "ask")
        #expect(try use(["Cache-Control": "max-age=60", "Age": "50"], age: 20) == "ask")
        for nonsense in ["1e300", "inf", "nan", "-5", "x"] {
            #expect(try use(["Cache-Control": "max-age=60", "Age": nonsense], age: 20) == "serve", "\(nonsense)")
            #expect(entry(["Age": nonsense]).age(Self.now) == 0)
        }
        #expect(try use(["Last-Modified": "Sun, 06 Nov 1994 08:32:57 GMT"], age: 90) == "serve")
        #expect(try use(["Last-Modified": "Sun, 06 Nov 1994 08:32:57 GMT"], age: 110) == "ask")
        #expect(try use(["Last-Modified": "Sun, 06 Nov 1904 08:32:57 GMT"], age: 86401) == "ask")
        #expect(try use(["Cache-Control": "max-age=1, s-maxage=60"], age: 30, isShared: true) == "serve")
        #expect(
            try use(["Cache-Control": "max-age=90, proxy-revalidate"], age: 95, asked: "max-stale", isShared: true)
                == "ask")
        #expect(try use(["Pragma": "no-cache", "Expires": "Sun, 06 Nov 1994 08:50:37 GMT"], age: 1) == "ask")
    }

    @Test("an error is replaced within stale-if-error, unless it must not be")
    func errors() throws {
        let request = HTTPRequest(.get, try HTTPURL("http://a/"))
        func may(_ control: String, _ age: Double) -> Bool {
            entry(["Cache-Control": control]).mayReplaceError(
                for: request, isShared: false, now: Self.now.addingTimeInterval(age))
        }
        #expect(may("max-age=10, stale-if-error=60", 60))
        #expect(!may("max-age=10, stale-if-error=60", 80))
        #expect(!may("max-age=10, stale-if-error=60, must-revalidate", 20))
        #expect(!may("max-age=10", 11))
    }

    @Test("the oldest go first when there is no room")
    func order() {
        var order = UseOrder<Int>(maximum: 100)
        for key in 0..<10 { #expect(order.put(key, size: 10).isEmpty) }
        for _ in 0..<1000 { order.use(0) }
        #expect(order.put(10, size: 20) == [1, 2])
        order.remove(3)
        #expect(order.put(11, size: 10).isEmpty)
        #expect(order.put(12, size: 100) == [4, 5, 6, 7, 8, 9, 0, 10, 11])
        #expect(order.total == 100)
    }
}
