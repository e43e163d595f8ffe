import Foundation
import PeerSupport
import SkeinEngine
import Testing

/// Requests that no correct client sends, each with its expected status; the next request on another connection is
/// served.
@Suite("Hostile requests", .serialized, .inTurn, .timeLimit(.minutes(5)))
struct HostileRequestTests {
    private static func engine() -> Engine {
        var engine = Engine()
        engine.configuration.maximumBodySize = 1 << 20
        engine.configuration.maximumMultipartSize = 1 << 20
        engine.configuration.maximumFileSize = 64 << 10
        // Longer than a busy machine needs between a connection and its first byte: a silent connection is closed
        // without a response.
        engine.configuration.headerTimeout = .seconds(8)
        engine.configuration.requestLog = RequestLogConfiguration(TestFolder.path("hostile.log"))
        var router = Router()
        router.get("/") { _ in .text("fine") }
        router.get("/int/<int:id>") { .text("\(try $0.parameter("id", as: Int.self))") }
        router.get("/moved") { .redirect(to: $0.parameters["to"] ?? "/") }
        router.get("/header") { request in
            ServerResponse(headers: ["X-Said": request.parameters["value"] ?? ""])
        }
        router.get("/cookie") { request in
            var response = ServerResponse.text("")
            response.setCookie("said", request.parameters["value"] ?? "", for: request)
            return response
        }
        router.post("/echo") { ServerResponse(body: .bytes(try await $0.body.collect())) }
        router.post("/form") { .text(try await $0.form()["a"] ?? "none") }
        router.post("/json") { .text(try await $0.json([String: Int].self).keys.joined()) }
        router.post("/multipart") { .text("\(try await $0.multipart().files.count) files") }
        router.webSocket("/socket") { socket, _ in for try await _ in socket {} }
        engine.mount("/", router)
        engine.mount("/files", .directory(TestFolder.url.path))
        return engine
    }

    private struct Attack: Sendable {
        let name: String
        let bytes: String
        /// 0: the connection is closed without a response.
        let status: Int

        init(_ name: String, _ bytes: String, _ status: Int) {
            self.name = name
            self.bytes = bytes
            self.status = status
        }
    }

    /// A request with a target.
    private static func get(_ target: String, _ status: Int, _ fields: String = "") -> Attack {
        Attack(
            "GET \(target.prefix(60)) \(fields.prefix(60))",
            "GET \(target) HTTP/1.1\r\nHost: a\r\n\(fields)Connection: close\r\n\r\n", status)
    }

    private static func post(_ target: String, _ fields: [String], _ body: String, _ status: Int) -> Attack {
        let head = (["POST \(target) HTTP/1.1", "Host: a"] + fields + ["Connection: close"]).joined(separator: "\r\n")
        return Attack(
            "POST \(target) \(fields.joined(separator: " ").prefix(80)) \(body.prefix(40).debugDescription)",
            "\(head)\r\n\r\n\(body)", status)
    }

    private static func form(_ body: String, _ status: Int, boundary: String = "b") -> Attack {
        post(
            "/multipart",
            ["Content-Type: multipart/form-data; boundary=\(boundary)", "Content-Length: \(body.utf8.count)"], body,
            status)
    }

    private static let part = "Content-Disposition: form-data; name=\"f\"; filename=\"x\"\r\n\r\n"
    private static let long = String(repeating: "x", count: 20_000)

    private static let smuggling: [Attack] = [
        post("/echo", ["Content-Length: 3", "Transfer-Encoding: chunked"], "0\r\n\r\n", 400),
        post("/echo", ["Transfer-Encoding: chunked", "Content-Length: 3"], "0\r\n\r\n", 400),
        post("/echo", ["Content-Length: 3", "Content-Length: 4"], "abcd", 400),
        post("/echo", ["Content-Length: 3, 4"], "abcd", 400),
        post("/echo", ["Content-Length: +3"], "abc", 400), post("/echo", ["Content-Length: -3"], "abc", 400),
        post("/echo", ["Content-Length: 0x3"], "abc", 400), post("/echo", ["Content-Length: 3 "], "abc", 200),
        post("/echo", ["Content-Length: 3a"], "abc", 400), post("/echo", ["Content-Length: "], "abc", 400),
        post("/echo", ["Content-Length: 99999999999999999999"], "", 400),
        post("/echo", ["Content-Length : 3"], "abc", 400), post("/echo", ["Content-Length\t: 3"], "abc", 400),
        post("/echo", ["Content Length: 3"], "abc", 400),
        post("/echo", ["Transfer-Encoding : chunked"], "0\r\n\r\n", 400),
        post("/echo", ["Transfer-Encoding: xchunked"], "0\r\n\r\n", 501),
        post("/echo", ["Transfer-Encoding: chunked, identity"], "0\r\n\r\n", 501),
        post("/echo", ["Transfer-Encoding: identity"], "0\r\n\r\n", 501),
        post("/echo", ["Transfer-Encoding: chunked", "Transfer-Encoding: chunked"], "0\r\n\r\n", 501),
        post("/echo", ["Transfer-Encoding: \u{B}chunked"], "0\r\n\r\n", 400),
        post("/echo", ["Transfer-Encoding: \"chunked\""], "0\r\n\r\n", 501),
        post("/echo", ["Transfer-Encoding:\r\n chunked"], "0\r\n\r\n", 501),
        post("/echo", ["X: y\rTransfer-Encoding: chunked"], "0\r\n\r\n", 400),
        post("/echo", ["X: y\nTransfer-Encoding: chunked"], "0\r\n\r\n", 400),
        post("/echo", ["X\0: y"], "", 400), post("/echo", ["X: a\0b"], "", 400), post("/echo", [": empty"], "", 400),
        post("/echo", ["X(y): z"], "", 400), post("/echo", ["no colon at all"], "", 400),
        post("/echo", [" Indented: x"], "", 400),
        post("/echo", ["Transfer-Encoding: chunked"], "3\nabc\r\n0\r\n\r\n", 400),
        post("/echo", ["Transfer-Encoding: chunked"], "3\r\nabcd\r\n0\r\n\r\n", 400),
        post("/echo", ["Transfer-Encoding: chunked"], "0x3\r\nabc\r\n0\r\n\r\n", 400),
        post("/echo", ["Transfer-Encoding: chunked"], "-3\r\nabc\r\n0\r\n\r\n", 400),
        post("/echo", ["Transfer-Encoding: chunked"], "3 \r\nabc\r\n0\r\n\r\n", 200),
        post("/echo", ["Transfer-Encoding: chunked"], " 3\r\nabc\r\n0\r\n\r\n", 400),
        post("/echo", ["Transfer-Encoding: chunked"], "FFFFFFFFFFFFFFFF\r\n", 400),
        post("/echo", ["Transfer-Encoding: chunked"], "11111111111111111\r\n", 400),
        post("/echo", ["Transfer-Encoding: chunked"], "3;\(long)\r\nabc\r\n0\r\n\r\n", 400),
        post("/echo", ["Transfer-Encoding: chunked"], "3;a=b\nabc\r\n0\r\n\r\n", 400),
        post("/echo", ["Transfer-Encoding: chunked"], "0\r\nContent-Length: 5\r\n\r\n", 400),
        post("/echo", ["Transfer-Encoding: chunked"], "0\r\nHost: b\r\n\r\n", 400),
        post("/echo", ["Transfer-Encoding: chunked"], "0\r\nno colon\r\n\r\n", 400),
        Attack(
            "HTTP/1.0 with a transfer coding",
            "POST /echo HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
    ]

    private static let starts: [Attack] = [
        Attack("no host", "GET / HTTP/1.1\r\n\r\n", 400),
        Attack("two hosts", "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400),
        Attack("a host with a slash", "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", 400),
        Attack("a host with a user", "GET / HTTP/1.1\r\nHost: a@b\r\n\r\n", 400),
        Attack("a host with a blank", "GET / HTTP/1.1\r\nHost: a b\r\n\r\n", 400),
        Attack("a space in the target", "GET /a b HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        Attack("two spaces", "GET  / HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        Attack("a tab", "GET\t/ HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        Attack("no target", "GET HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        Attack("no slash", "GET index.html HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        Attack("a method with a colon", "G:T / HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        Attack("an old version", "GET / HTTP/0.9\r\nHost: a\r\n\r\n", 505),
        Attack("a new version", "GET / HTTP/3.0\r\nHost: a\r\n\r\n", 505),
        Attack("a version in small letters", "GET / http/1.1\r\nHost: a\r\n\r\n", 400),
        Attack("bare line feeds", "GET / HTTP/1.1\nHost: a\n\n", 400),
        Attack("raw bytes in the target", "GET /\u{FF} HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        Attack("TLS on a clear port", "\u{16}\u{3}\u{1}\u{2}\u{0}\u{1}\u{0}\u{1}\u{FC}\u{3}\u{3}", 400),
        Attack("a line without an end", "GET /" + String(repeating: "a", count: 20_000), 414),
        Attack("a target that is too long", "GET /\(long) HTTP/1.1\r\nHost: a\r\n\r\n", 414),
        Attack("a field that is too long", "GET / HTTP/1.1\r\nHost: a\r\nX: \(long)\r\n\r\n", 431),
        Attack(
            "too many fields", "GET / HTTP/1.1\r\nHost: a\r\n" + String(repeating: "X: y\r\n", count: 200) + "\r\n", 431
        ),
        Attack(
            "fields that are too large",
            "GET / HTTP/1.1\r\nHost: a\r\n"
                + (0..<8).map { "X\($0): \(String(repeating: "x", count: 10_000))\r\n" }.joined() + "\r\n", 431),
        Attack(
            "a method of many letters",
            String(repeating: "X", count: 15_000) + " / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", 405),
        Attack("a tunnel", "CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\nConnection: close\r\n\r\n", 405),
        Attack("a star", "GET * HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        Attack("TRACE", "TRACE / HTTP/1.1\r\nHost: a\r\nCookie: secret\r\nConnection: close\r\n\r\n", 405),
        Attack("a request that stops", "GET / HTTP/1.1\r\nHost:", 408),
        get("http://other.test/", 200), get("ftp://other.test/", 400), get("http://", 400), get("http://a,b/", 400),
        get("http://u@a/", 400),
    ]

    private static let paths: [Attack] =
        [
            "/../etc/passwd", "/..", "/.", "/a/../b", "/a/./b", "/%2e%2e/", "/%2E%2e", "/.%2e/x", "/a/%2e%2e/%2e%2e/b",
            "/%00", "/a%00b",
            "/%", "/%2", "/%zz", "/a#b", "/#", "/files/../../../etc/passwd", "/files/%2e%2e/%2e%2e/etc/passwd",
        ].map { get($0, 400) }
        + [
            "/files/..%2f..%2fetc%2fpasswd", "/files/..%5c..%5cetc", "/files/%252e%252e/x", "/files/%c0%ae%c0%ae/x",
            "/files//etc/passwd",
            "/files/....//x", "/files/.git/config", "/files/%2egit/config", "//evil.test/", "/int/99999999999999999999",
            "/int/5x", "/int/%35%2F", "/nothing",
            "/int/", "/int/5/", "/INT/5", "/files/C:/x", "/files/x%0d%0aX:y",
        ].map { get($0, 404) }

    private static let injections: [Attack] = [
        get("/header?value=a%0d%0aSet-Cookie:%20b", 500), get("/header?value=a%0aX", 500),
        get("/header?value=a%00b", 500),
        get("/cookie?value=a;%20Domain=evil", 500), get("/cookie?value=a%0d%0ab", 500), get("/cookie?value=a,b", 500),
        get("/moved?to=/x%0d%0aSet-Cookie:%20b", 303), get("/socket", 426),
        get("/socket", 426, "Upgrade: websocket\r\n"),
        get("/", 200, "X-Forwarded-For: 1.2.3.4\r\nX-Gtxn-Id: a b\r\nX-Ltxn-Id: x\r\ntraceparent: zz\r\n"),
        get("/", 200, "Range: bytes=0-0,0-0\r\nIf-None-Match: \"\r\nAccept-Encoding: ;;;q=,\r\nCookie: =;;=;a\r\n"),
    ]

    private static let contents: [Attack] = [
        post("/echo", ["Content-Length: 2000000"], "", 413),
        post("/echo", ["Content-Length: 2000000", "Expect: 100-continue"], "", 413),
        post(
            "/echo", ["Transfer-Encoding: chunked"],
            "200000\r\n" + String(repeating: "x", count: 0x200000) + "\r\n0\r\n\r\n", 413),
        post("/form", ["Content-Type: text/plain", "Content-Length: 1"], "a", 415),
        post("/form", ["Content-Length: 1"], "a", 415),
        post("/form", ["Content-Type: application/x-www-form-urlencoded", "Content-Length: 9"], "%%%=%zz&a", 200),
        post("/json", ["Content-Type: text/plain", "Content-Length: 2"], "{}", 415),
        post("/json", ["Content-Type: application/json", "Content-Length: 1"], "{", 400),
        post("/json", ["Content-Type: application/json", "Content-Length: 9"], "{\"a\":\"b\"}", 400),
        post(
            "/json", ["Content-Type: application/json", "Content-Length: 600000"],
            String(repeating: "[", count: 600_000), 400),
        form("", 400), form("--b\r\n", 400), form("nonsense", 400), form("--b\r\n\(part)unfinished", 400),
        form("--c\r\n\(part)x\r\n--c--", 400),
        form("--b\r\n\r\nno name\r\n--b--", 400), form("--b\r\nContent-Disposition: form-data\r\n\r\nx\r\n--b--", 400),
        form("--b\r\n\(part)x\r\n--bX", 400), form("--b\r\nX: \(long)\r\n\r\nx\r\n--b--", 400),
        form("--b\r\n\(part)x\r\n--b--", 200),
        form("--b\r\n\(part)\(String(repeating: "x", count: 100_000))\r\n--b--", 413), form("--b--", 200),
        form("x", 400, boundary: ""),
        form("x", 400, boundary: String(repeating: "b", count: 100)),
        form(
            (0..<1100).map { "--b\r\nContent-Disposition: form-data; name=\"\($0)\"\r\n\r\n\r\n" }.joined() + "--b--",
            400),
        post("/multipart", ["Content-Type: multipart/form-data; boundary=b", "Content-Length: 2000000"], "", 413),
    ]

    @Test("each gets its status, and does not affect others")
    func table() async throws {
        let attacks = Self.smuggling + Self.starts + Self.paths + Self.injections + Self.contents
        #expect(attacks.count >= 140)
        try await serving(Self.engine()) { (port, _) async throws in
            // The next request: a new connection.
            func isServed() async throws -> Bool {
                let client = try await RawClient.connect(port)
                try await client.send("GET /int/5 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
                return await client.readToEnd().hasSuffix("\r\n\r\n5")
            }
            for attack in attacks {
                let client = try await RawClient.connect(port)
                // A request that is refused early may not be read completely.
                try? await client.send(attack.bytes)
                let answer = await client.readToEnd()
                let statuses = answer.components(separatedBy: "HTTP/1.1 ").dropFirst().compactMap { Int($0.prefix(3)) }
                let expected = attack.status == 0 ? [] : [attack.status]
                #expect(statuses.filter { $0 != 100 } == expected, "\(attack.name): \(answer.prefix(300))")
                #expect(
                    !answer.contains("root:") && !answer.contains("\r\nSet-Cookie: b")
                        && !answer.contains("Domain=evil"), "\(attack.name)")
                #expect(try await isServed(), "\(attack.name)")
            }
        }
    }

    @Test("requests hidden behind a refused one are not answered, over many concurrent connections")
    func crowd() async throws {
        try await serving(Self.engine()) { (port, _) async throws in
            try await withThrowingTaskGroup(of: String.self) { group in
                for _ in 0..<50 {
                    group.addTask {
                        let client = try await RawClient.connect(port)
                        try await client.send(
                            "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
                                + "GET /int/5 HTTP/1.1\r\nHost: a\r\n\r\n")
                        return await client.readToEnd()
                    }
                }
                for try await answer in group {
                    #expect(answer.components(separatedBy: "HTTP/1.1 ").count == 2 && answer.hasPrefix("HTTP/1.1 400"))
                }
            }
        }
    }
}
