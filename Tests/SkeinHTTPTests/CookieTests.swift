import SkeinCore
import Foundation
import Testing

@testable import SkeinHTTP
@testable import SkeinWire

/// The cookie jar, by the rules of RFC 6265bis.
@Suite("Cookies")
struct CookieTests {
    private static let now = Date(timeIntervalSince1970: 1_700_000_000)
    private static let suffixes = PublicSuffixes(list: "com\nco.uk\n*.ck\n!www.ck\ngithub.io\n")

    private func jar() -> CookieJar { CookieJar([], publicSuffixes: Self.suffixes, now: { Self.now }) }

    /// The cookies sent to a URL after another one has set cookies.
    private func sent(_ fields: [String], from: String, to: String) throws -> String? {
        let jar = jar()
        var headers = Headers()
        for field in fields { headers.add("Set-Cookie", field) }
        jar.store(headers, from: try HTTPURL(from))
        return jar.field(for: try HTTPURL(to))
    }

    @Test(
        "who gets what",
        arguments: [
            ("a=b", "http://www.x.com/", "http://www.x.com/other", "a=b"),
            ("a=b", "http://www.x.com/", "http://x.com/", nil),
            ("a=b; Domain=x.com", "http://www.x.com/", "http://x.com/", "a=b"),
            ("a=b; Domain=.X.com", "http://www.x.com/", "http://other.x.com/", "a=b"),
            ("a=b; Domain=x.com", "http://www.x.com/", "http://notx.com/", nil),
            ("a=b; Domain=www.x.com", "http://x.com/", "http://www.x.com/", nil),
            ("a=b; Domain=y.com", "http://x.com/", "http://y.com/", nil),
            ("a=b; Domain=com", "http://x.com/", "http://x.com/", nil),
            ("a=b; Domain=co.uk", "http://x.co.uk/", "http://y.co.uk/", nil),
            ("a=b; Domain=github.io", "http://me.github.io/", "http://you.github.io/", nil),
            ("a=b; Domain=github.io", "http://github.io/", "http://github.io/", "a=b"),
            ("a=b; Domain=github.io", "http://github.io/", "http://you.github.io/", nil),
            ("a=b; Domain=x.ck", "http://a.x.ck/", "http://a.x.ck/", nil),
            ("a=b; Domain=www.ck", "http://a.www.ck/", "http://b.www.ck/", "a=b"),
            ("a=b; Domain=1.2.3.4", "http://1.2.3.4/", "http://1.2.3.4/", "a=b"),
            ("a=b; Domain=2.3.4", "http://1.2.3.4/", "http://1.2.3.4/", nil),
            ("a=b; Domain=", "http://x.com/", "http://x.com/", "a=b"),
            ("a=b; Path=/one", "http://x.com/one/two", "http://x.com/one", "a=b"),
            ("a=b; Path=/one", "http://x.com/one", "http://x.com/one/x?q", "a=b"),
            ("a=b; Path=/one", "http://x.com/one", "http://x.com/onetwo", nil),
            ("a=b; Path=one", "http://x.com/p/q", "http://x.com/p/r", "a=b"),
            ("a=b", "http://x.com/p/q", "http://x.com/", nil),
            ("a=b; Secure", "https://x.com/", "https://x.com/", "a=b"),
            ("a=b; Secure", "https://x.com/", "http://x.com/", nil),
            ("a=b; Secure", "http://x.com/", "https://x.com/", nil),
            ("a=b; SameSite=None", "http://x.com/", "http://x.com/", nil),
            ("a=b; SameSite=None; Secure", "https://x.com/", "https://x.com/", "a=b"),
            ("a=b; SameSite=Strict", "http://x.com/", "http://x.com/", "a=b"),
            ("__Secure-a=b", "https://x.com/", "https://x.com/", nil),
            ("__Secure-a=b; Secure", "https://x.com/", "https://x.com/", "__Secure-a=b"),
            ("__host-a=b; Secure; Path=/", "https://x.com/", "https://x.com/", "__host-a=b"),
            ("__Host-a=b; Secure", "https://x.com/", "https://x.com/", nil),
            ("__Host-a=b; Secure; Path=/; Domain=x.com", "https://x.com/", "https://x.com/", nil),
            ("=__Host-a=b", "http://x.com/", "http://x.com/", nil),
            ("a=b; Max-Age=60", "http://x.com/", "http://x.com/", "a=b"),
            ("a=b; Max-Age=0", "http://x.com/", "http://x.com/", nil),
            ("a=b; Max-Age=-5", "http://x.com/", "http://x.com/", nil),
            ("a=b; Max-Age=x", "http://x.com/", "http://x.com/", "a=b"),
            ("a=b; Expires=Tue, 14 Nov 2023 22:13:21 GMT", "http://x.com/", "http://x.com/", "a=b"),
            ("a=b; Expires=Tue, 14 Nov 2023 22:13:19 GMT", "http://x.com/", "http://x.com/", nil),
            ("a=b; Expires=Wed Jan  1 00:00:00 2020; Max-Age=9", "http://x.com/", "http://x.com/", "a=b"),
            ("alone", "http://x.com/", "http://x.com/", "alone"),
            ("a=b=c d", "http://x.com/", "http://x.com/", "a=b=c d"),
            (" a = \"b\" ;", "http://x.com/", "http://x.com/", "a=\"b\""),
            ("=", "http://x.com/", "http://x.com/", nil),
            ("a=b; unknown=1; ; HttpOnly", "http://x.com/", "http://x.com/", "a=b"),
        ] as [(String, String, String, String?)])
    func rules(field: String, from: String, to: String, expected: String?) throws {
        #expect(try sent([field], from: from, to: to) == expected)
    }

    @Test("control characters and too long cookies are refused")
    func refused() throws {
        let url = try HTTPURL("http://x.com/")
        #expect(jar().accept("a=b\u{1}", from: url, Self.now) == nil)
        #expect(jar().accept("a=" + String(repeating: "b", count: 4096), from: url, Self.now) == nil)
        #expect(jar().accept("a=b; Path=/" + String(repeating: "b", count: 1024), from: url, Self.now)?.path == "/")
        let far = try #require(jar().accept("a=b; Max-Age=99999999999999999999", from: url, Self.now)?.expires)
        #expect(far == Self.now.addingTimeInterval(400 * 86400))
    }

    @Test("longer paths are sent first, a newer value replaces the older one in its place")
    func order() throws {
        let jar = jar()
        let url = try HTTPURL("http://x.com/one/two")
        for field in ["a=1; Path=/", "b=2; Path=/one", "a=3; Path=/", "c=4; Path=/"] {
            jar.store(["Set-Cookie": field], from: url)
        }
        #expect(jar.field(for: url) == "b=2; a=3; c=4")
        jar.store(["Set-Cookie": "a=; Path=/; Max-Age=0"], from: url)
        #expect(jar.field(for: url) == "b=2; c=4")
    }

    @Test("a cookie set over TLS is not overwritten without TLS")
    func secureStays() throws {
        let jar = jar()
        jar.store(["Set-Cookie": "id=good; Secure"], from: try HTTPURL("https://x.com/"))
        jar.store(["Set-Cookie": "id=evil"], from: try HTTPURL("http://x.com/"))
        jar.store(["Set-Cookie": "id=evil; Domain=x.com"], from: try HTTPURL("http://www.x.com/"))
        #expect(jar.cookies.map(\.value) == ["good"])
    }

    @Test("a jar has a limit for each domain, and in all")
    func limits() throws {
        let jar = jar()
        let url = try HTTPURL("http://x.com/")
        for number in 0..<400 { jar.store(["Set-Cookie": "n\(number)=1"], from: url) }
        #expect(jar.cookies.count == 180)
        for number in 0..<3500 { jar.store(["Set-Cookie": "a=1"], from: try HTTPURL("http://h\(number).com/")) }
        #expect(jar.cookies.count <= 3000)
    }

    @Test("dates in all their forms")
    func dates() {
        let expected = Date(timeIntervalSince1970: 784_111_777)
        for text in [
            "Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994",
            "6 Nov 1994 8:49:37", "08:49:37 1994 6 november", "Nov 06 94 08:49:37 junk",
        ] {
            #expect(HTTPDate.parse(text) == expected, "\(text)")
        }
        for text in ["", "yesterday", "31 Feb 2020 00:00:00", "1 Jan 1600 00:00:00", "1 Jan 2020 24:00:00"] {
            #expect(HTTPDate.parse(text) == nil, "\(text)")
        }
    }

    @Test("files: written cookies are read back, in both formats, readable for the owner only")
    func files() throws {
        let folder = FileManager.default.temporaryDirectory.appending(path: UUID().uuidString).path
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let cookies = [
            Cookie("a", "b", domain: "x.com", expires: Date(timeIntervalSince1970: 4_000_000_000), isHTTPOnly: true),
            Cookie("c", "d e", domain: "y.com", isHostOnly: false, path: "/p", isSecure: true, sameSite: .lax),
        ]
        for format in [CookieJar.Format.netscape, .json] {
            try CookieJar(cookies).save(to: "\(folder)/jar", format: format)
            #expect(FileState(path: "\(folder)/jar")?.isOpenToOthers == false)
            let read = try CookieJar(file: "\(folder)/jar").cookies
            #expect(read.map(\.name) == ["a", "c"] && read.map(\.value) == ["b", "d e"])
            #expect(read.map(\.isHostOnly) == [true, false] && read.map(\.isHTTPOnly) == [true, false])
            #expect(read[0].expires == cookies[0].expires && read[1].expires == nil && read[1].isSecure)
        }
        let distant = Cookie("t", "u", domain: "z.com", expires: .distantFuture)
        try CookieJar([distant]).save(to: "\(folder)/jar")
        #expect(try CookieJar(file: "\(folder)/jar").cookies.first?.expires != nil)
        let odd = ["inf", "nan", "1e300", "99999999999999999999"].map { "z.com\tFALSE\t/\tFALSE\t\($0)\tn\($0)\ta\tb" }
        try odd.joined(separator: "\n").write(toFile: "\(folder)/odd", atomically: true, encoding: .utf8)
        let kept = (try? CookieJar(file: "\(folder)/odd").cookies) ?? []
        #expect(kept.allSatisfy { $0.value == "a\tb" })
        try CookieJar(kept).save(to: "\(folder)/odd")
        try "no cookies\n".write(toFile: "\(folder)/wrong", atomically: true, encoding: .utf8)
        #expect(throws: (any Error).self) { try CookieJar(file: "\(folder)/wrong") }
        #expect(throws: (any Error).self) { try CookieJar(file: "\(folder)/none") }
    }

    @Test("the system's list of public suffixes is read")
    func systemList() {
        let list = PublicSuffixes.system
        #expect(list.contains("co.uk") && list.contains("com") && !list.contains("example.com"))
        #expect(PublicSuffixes.builtIn.contains("com.au") && !PublicSuffixes.builtIn.contains("example.com"))
    }
}
