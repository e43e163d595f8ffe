import Foundation
import NIOCore
import SkeinCore
import Testing

@testable import SkeinHTTP
@testable import SkeinWire

/// The rules of RFC 9111 for a stored response, as a table.
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
            ("max-age=60, no-cache=\"Set-Cookie\"", 1, nil, "ask"),
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

    @Test("Expires, Age, heuristic freshness by Last-Modified; s-maxage in a shared cache")
    func times() throws {
        #expect(try use(["Expires": "Sun, 06 Nov 1994 08:50:37 GMT"], age: 59) == "serve")
        #expect(try use(["Expires": "Sun, 06 Nov 1994 08:50:37 GMT"], age: 61) == "ask")
        #expect(try use(["Expires": "0"], age: 0) == "ask")
        #expect(try use(["Expires": "Sun, 06 Nov 1994 08:50:37 GMT", "Cache-Control": "max-age=10"], age: 30) == "ask")
        #expect(try use(["Cache-Control": "max-age=60", "Age": "50"], age: 20) == "ask")
        for nonsense in ["1e300", "inf", "nan", "-5", "x"] {
            #expect(try use(["Cache-Control": "max-age=60", "Age": nonsense], age: 20) == "serve", "\(nonsense)")
            #expect(entry(["Age": nonsense]).age(isShared: false, Self.now) == 0)
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
        func may(_ control: String, _ age: Double, isShared: Bool = false, grace: Double = 0) -> Bool {
            entry(["Cache-Control": control]).mayReplaceError(
                for: request, isShared: isShared, isUnreachable: grace > 0, grace: grace,
                now: Self.now.addingTimeInterval(age))
        }
        #expect(may("max-age=10, stale-if-error=60", 60))
        #expect(!may("max-age=10, stale-if-error=60", 80))
        #expect(!may("max-age=10, stale-if-error=60, must-revalidate", 20))
        #expect(!may("max-age=10", 11))
        // A server that is unreachable (RFC 9111, section 4.2.4).
        #expect(may("max-age=10", 11, grace: 5))
        #expect(!may("max-age=10", 16, grace: 5))
        for control in ["must-revalidate", "no-cache", "proxy-revalidate", "s-maxage=1"] {
            #expect(!may("max-age=10, \(control)", 11, isShared: true, grace: 3600), "\(control)")
        }
    }

    @Test("the oldest are evicted first; reused entries stay, and returning keys are remembered")
    func order() {
        var order = CacheOrder<Int>(maximum: 100)
        for key in 0..<10 { #expect(order.put(key, size: 10).isEmpty) }
        for _ in 0..<1000 { order.use(0) }
        #expect(order.put(10, size: 20) == [1, 2])
        order.remove(3)
        #expect(order.put(11, size: 10).isEmpty)
        // 1 comes back, and is no passer-by.
        #expect(order.put(1, size: 10) == [4])
        #expect(order.put(12, size: 100).contains(5))
        #expect(order.total <= 100)
    }

    @Test("repeated storing and removing leaves nothing behind")
    func removed() {
        var order = CacheOrder<Int>(maximum: 1000)
        for key in 0..<100_000 {
            _ = order.put(key, size: 10)
            order.remove(key)
        }
        #expect(order.total == 0 && order.placeCount < 200)
    }

    @Test("entries used once do not evict frequently used ones")
    func scan() {
        var order = CacheOrder<Int>(maximum: 1000)
        for key in 0..<50 { _ = order.put(key, size: 10) }
        for _ in 0..<3 { for key in 0..<50 { order.use(key) } }
        var gone: Set<Int> = []
        for key in 1000..<20_000 {
            gone.formUnion(order.put(key, size: 10))
            if key % 100 == 0 { for key in 0..<50 { order.use(key) } }
        }
        #expect(gone.isDisjoint(with: 0..<50))
        #expect(order.total <= 1000 && order.count <= 100)
    }

    @Test(
        "dates of fields are read strictly",
        arguments: [
            ("Sun, 06 Nov 1994 08:49:37 GMT", true), ("Sunday, 06-Nov-94 08:49:37 GMT", true),
            ("Sun Nov  6 08:49:37 1994", true), ("Sun, 06 Nov 1994 08:49:37 UTC", false), ("0", false),
            ("Sun, 06 Nov 94 08:49:37 GMT", false), ("Sun 06 Nov 1994 08:49:37 GMT", false),
            ("Sun, 06  Nov 1994 08:49:37 GMT", false), ("Sun, 06-Nov-1994 08:49:37 GMT", false),
            ("Sun, 06 Nov 1994 08.49.37 GMT", false), ("Sun, 06 Nov 1994 8:49:37 GMT", false),
        ])
    func dates(text: String, isOne: Bool) {
        #expect(HTTPDate.strict(text) == (isOne ? 784_111_777 : nil))
    }

    @Test(
        "a field for shared caches alone goes before the others, when it is well-formed",
        arguments: [
            ("max-age=20", 20.0), ("max-age=20;x=1, foo", 20), ("max-age=\"20\"", 0), ("max-age=20&", 10),
            ("max-age=2.5", 0),
            ("", 10), ("MAX-AGE=20", 10), ("max-age", 0), ("max-age=20,", 10), ("a=(1 2), max-age=20", 20),
        ])
    func targeted(field: String, lifetime: Double) {
        let entry = entry(["Cache-Control": "max-age=10", "CDN-Cache-Control": field])
        #expect(entry.lifetime(isShared: true) == lifetime)
        #expect(entry.lifetime(isShared: false) == 10)
    }

    @Test("ranges and conditional requests")
    func parts() throws {
        var entry = entry(["ETag": "\"a,b\"", "Last-Modified": "Sun, 06 Nov 1994 08:49:37 GMT"])
        entry.content = ByteBuffer(string: "0123456789")
        func part(_ headers: Headers) throws -> CacheEntry.Part {
            entry.part(for: HTTPRequest(.get, try HTTPURL("http://a/"), headers: headers))
        }
        #expect(try part(["Range": "bytes=2-4"]) == .range(2..<5))
        #expect(try part(["Range": "bytes=2-"]) == .range(2..<10))
        #expect(try part(["Range": "bytes=-3"]) == .range(7..<10))
        #expect(try part(["Range": "bytes=8-100"]) == .range(8..<10))
        #expect(try part(["Range": "bytes=10-"]) == .unsatisfiable)
        for field in ["bytes=4-2", "bytes=1-2,4-5", "lines=1-2", "bytes=x-1", "bytes=-"] {
            #expect(try part(["Range": field]) == .whole, "\(field)")
        }
        #expect(try part(["Range": "bytes=2-4", "If-Range": "\"a,b\""]) == .range(2..<5))
        #expect(try part(["Range": "bytes=2-4", "If-Range": "\"other\""]) == .whole)
        #expect(try part(["Range": "bytes=2-4", "If-Range": "W/\"a,b\""]) == .whole)
        func isKnown(_ headers: Headers) throws -> Bool {
            entry.isKnown(to: HTTPRequest(.get, try HTTPURL("http://a/"), headers: headers))
        }
        #expect(try isKnown(["If-None-Match": "\"x\", W/\"a,b\""]) && isKnown(["If-None-Match": "*"]))
        #expect(try !isKnown(["If-None-Match": "\"a\"", "If-Modified-Since": "Sun, 06 Nov 2094 08:49:37 GMT"]))
        #expect(try isKnown(["If-Modified-Since": "Sun, 06 Nov 1994 08:49:37 GMT"]))
        #expect(try !isKnown(["If-Modified-Since": "Sun, 06 Nov 1994 08:49:36 GMT"]))
    }

    @Test("memory in front of a folder holds all variants of a URL, or none")
    func tiered() async throws {
        let folder = FileManager.default.temporaryDirectory.appending(path: "skein-\(UUID().uuidString)")
        defer { try? FileManager.default.removeItem(at: folder) }
        func entry(_ language: String) -> CacheEntry {
            CacheEntry(
                key: "http://a/", varying: ["accept-language": language], identity: nil, status: 200, reason: "OK",
                headers: [:], content: ByteBuffer(string: language), requested: Self.now, received: Self.now)
        }
        func store() throws -> TieredCacheStore {
            TieredCacheStore(
                MemoryCacheStore(maximum: 1 << 20), try DiskCacheStore(folder: folder.path, maximum: 1 << 20))
        }
        let first = try store()
        await first.keep(entry("de"))
        await first.keep(entry("fr"))
        // After a restart the new variant comes first, and the old ones are still found.
        let second = try store()
        await second.keep(entry("it"))
        #expect(await Set(second.entries("http://a/").map { String(buffer: $0.content) }) == ["de", "fr", "it"])
        await second.remove("http://a/")
        #expect(await second.entries("http://a/").isEmpty)
    }
}
