import NIOCore
import SkeinCore
import SkeinTransport
import Testing

@testable import SkeinHTTP

@Suite("URLs")
struct URLTests {
    @Test(
        "a URL is taken apart",
        arguments: [
            ("http://example.org", "example.org", 80, "example.org", "/"),
            ("HTTP://Example.ORG/a/b?c=d#e", "example.org", 80, "example.org", "/a/b?c=d"),
            ("http://127.0.0.1:8080/x", "127.0.0.1", 8080, "127.0.0.1:8080", "/x"),
            ("http://[::1]:81/", "::1", 81, "[::1]:81", "/"),
            ("http://[2001:DB8::1]", "2001:db8::1", 80, "[2001:db8::1]", "/"),
            ("http://a?b=c", "a", 80, "a", "/?b=c"),
            ("http://a:/", "a", 80, "a", "/"),
            ("http://a/b c/ü?d=é", "a", 80, "a", "/b%20c/%C3%BC?d=%C3%A9"),
            ("http://a#b", "a", 80, "a", "/"),
            ("http://Bücher.Example/", "xn--bcher-kva.example", 80, "xn--bcher-kva.example", "/"),
            ("https://a/", "a", 443, "a", "/"), ("https://a:80/", "a", 80, "a:80", "/"),
            ("http://[fe80::1%25eth0]:81/x", "fe80::1%eth0", 81, "[fe80::1]:81", "/x"),
            ("http://[FE80::1%eth0]/", "fe80::1%eth0", 80, "[fe80::1]", "/"),
            ("http://127.1/", "127.0.0.1", 80, "127.0.0.1", "/"),
            ("http://0x7f000001/", "127.0.0.1", 80, "127.0.0.1", "/"),
            ("http://ex%61mple.org/", "example.org", 80, "example.org", "/"),
            ("http://b%C3%BCcher.example/", "xn--bcher-kva.example", 80, "xn--bcher-kva.example", "/"),
            ("http://under_score.local/", "under_score.local", 80, "under_score.local", "/"),
        ])
    func parsed(text: String, host: String, port: Int, authority: String, target: String) throws {
        let url = try HTTPURL(text)
        #expect(url.origin.endpoint == .host(host, port: port))
        #expect(url.origin.authority == authority)
        #expect(url.target == target)
    }

    @Test(
        "a reference is resolved as RFC 3986, section 5.4, does",
        arguments: [
            ("g", "/b/c/g"), ("./g", "/b/c/g"), ("g/", "/b/c/g/"), ("/g", "/g"), ("?y", "/b/c/d;p?y"),
            ("g?y", "/b/c/g?y"),
            ("", "/b/c/d;p?q"), ("#s", "/b/c/d;p?q"), (".", "/b/c/"), ("./", "/b/c/"), ("..", "/b/"), ("../g", "/b/g"),
            ("../..", "/"), ("../../g", "/g"), ("../../../g", "/g"), ("/./g", "/g"), ("/../g", "/g"), ("g.", "/b/c/g."),
            ("..g", "/b/c/..g"), ("./g/.", "/b/c/g/"), ("g/../h", "/b/c/h"), ("g?y/../x", "/b/c/g?y/../x"),
            ("g;x=1/./y", "/b/c/g;x=1/y"), ("g b", "/b/c/g%20b"),
        ])
    func resolved(reference: String, target: String) throws {
        let url = try HTTPURL("http://a/b/c/d;p?q").resolving(reference)
        #expect(url.target == target)
        #expect(url.origin.authority == "a")
    }

    @Test("a reference with an authority uses its own scheme or that of the base URL")
    func elsewhere() throws {
        let base = try HTTPURL("https://a/b")
        #expect(try base.resolving("//other:8443/c").description == "https://other:8443/c")
        #expect(try base.resolving("http://other/c?d=http://e/").description == "http://other/c?d=http://e/")
        #expect(try base.resolving("/c?d=http://e/").description == "https://a/c?d=http://e/")
        for reference in ["ftp://other/", "mailto:a@b", "javascript:alert(1)", "data:,x", "tel:1", "g:h", "http:g"] {
            #expect(throws: SkeinError.self, "\(reference)") { try base.resolving(reference) }
        }
        #expect(try base.resolving("./g:h").target == "/g:h")
    }

    @Test("a unix socket is named by its percent-encoded path")
    func unix() throws {
        let url = try HTTPURL("http+unix://%2Frun%2Fapp.sock/status?x")
        #expect(url.origin.endpoint == .unix(path: "/run/app.sock"))
        #expect(url.target == "/status?x")
        #expect("\(url.origin)" == "http+unix:///run/app.sock")
    }

    @Test(
        "a malformed URL is a clear error",
        arguments: [
            "", "example.org", "/path", "http:/a", "http://", "http:///path", "http://a:x/", "http://a:0/",
            "http://a:65536/", "http://a:-1/",
            "http://[::1/", "http://[::1]x/", "http://[1.2.3.4]/", "http://[::1%25]/", "http://[::1%25a/b]/",
            "http://256.1.1.1/",
            "http://a%00b/", "http://a%2Fb/", "http://a%zz/", "http://1.2.3.4.5/", "http://[gg]/", "http://a b/",
            "http://a\u{0}/", "http://a/\r\nX: y",
            "http://u:p@a/", "ftp://a/",
            "http://a\\b/", "http+unix://%2/", "http+unix:///x", "http://a/\u{7F}",
        ])
    func malformed(text: String) {
        let error = #expect(throws: SkeinError.self) { try HTTPURL(text) }
        #expect(error?.code == .exception)
        #expect(error?.message.hasPrefix("the URL ") == true)
    }

    @Test("parameters are appended in order, lists once for each element")
    func parameters() throws {
        let parameters: Parameters = ["q": "a b&c=d/é", "id": [1, 2], "on": true, "x": ""]
        #expect(parameters.encoded == "q=a+b%26c%3Dd%2F%C3%A9&id=1&id=2&on=true&x=")
        #expect(try HTTPURL("http://a/b", parameters: parameters).target == "/b?" + parameters.encoded)
        #expect(try HTTPURL("http://a/b?c", parameters: ["d": 1]).target == "/b?c&d=1")
    }
}

@Suite("Media types")
struct MediaTypeTests {
    @Test(
        "text is read by its charset",
        arguments: [
            ([0xE9], "text/plain", "é"),
            ([0xC3, 0xA9], "text/plain; charset=utf-8", "é"),
            ([0xC3, 0xA9], "text/plain; charset=\"UTF-8\"", "é"),
            ([0xC3, 0xA9], "application/json", "é"),
            ([0xC3, 0xA9], "application/problem+json", "é"),
            ([0x80], "text/html; charset=windows-1252", "€"),
            ([0xE9], "text/html;charset=ISO-8859-1", "é"),
            ([0xE9, 0x00], "text/html;charset=utf-16le", "é"),
        ] as [([UInt8], String, String)])
    func text(bytes: [UInt8], type: String, expected: String) throws {
        #expect(try MediaType.text(ByteBuffer(bytes: bytes), contentType: type, peer: "p") == expected)
    }

    @Test(
        "binary content, an unknown charset and wrong bytes are errors",
        arguments: [
            ([0x41], "image/png"), ([0x41], nil), ([0x41], "text/plain; charset=klingon"),
            ([0xE9], "text/plain; charset=utf-8"),
        ] as [([UInt8], String?)])
    func notText(bytes: [UInt8], type: String?) {
        let error = #expect(throws: SkeinError.self) {
            try MediaType.text(ByteBuffer(bytes: bytes), contentType: type, peer: "p")
        }
        #expect(error?.code == .invalidContent)
    }

    @Test("a field is split at semicolons outside of quotes")
    func split() {
        let (value, attributes) = MediaType.split("multipart/form-data; Boundary=\"a;b\" ; x=y;z")
        #expect(value == "multipart/form-data")
        #expect(attributes == ["boundary": "a;b", "x": "y"])
    }
}
