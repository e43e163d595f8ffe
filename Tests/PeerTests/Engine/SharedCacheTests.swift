import Foundation
import NIOCore
import PeerSupport
import Skein
import SkeinEngine
import SkeinHTTP
import Testing

/// The cache of a proxy in front of Flask and nginx, asked by curl.
@Suite("Shared cache", .serialized, .inTurn, .timeLimit(.minutes(3)))
struct SharedCacheTests {
    private func proxying(
        _ cache: HTTPCache = .memory(isShared: true), _ back: Int? = nil,
        _ test: (String, HTTPServer) async throws -> Void
    ) async throws {
        let services = try await Peers.shared.servicesPort()
        var options = UpstreamConfiguration()
        options.cache = cache
        var engine = Engine()
        engine.mount("/", .upstream("http://127.0.0.1:\(back ?? services)", options))
        try await serving(engine) { port, server in try await test("http://127.0.0.1:\(port)", server) }
    }

    /// The status, the Cache-Status field and the content.
    private func fetch(_ url: String, _ arguments: String...) async throws -> (
        status: String, cache: String, content: String
    ) {
        let run = try await runToEnd(
            "curl", ["-sS", "--max-time", "20", "-w", "\n%{http_code} %header{cache-status}", url] + arguments)
        let lines = run.output.split(separator: "\n", omittingEmptySubsequences: false)
        let words = (lines.last ?? "").split(separator: " ", maxSplits: 1)
        return (
            String(words.first ?? ""), words.count > 1 ? String(words[1]) : "", lines.dropLast().joined(separator: "\n")
        )
    }

    private static func key() -> String { "\(UInt64.random(in: .min ... .max))" }

    @Test("cacheable responses are stored, with ranges and HEAD; private and personal ones are not")
    func keeping() async throws {
        try await proxying { base, _ in
            let url = "\(base)/kept/\(Self.key())?control=max-age%3D60&tag=abc"
            let first = try await fetch(url)
            #expect(first.content == "1" && first.cache == "skein; fwd=uri-miss; stored", "\(first)")
            let second = try await fetch(url)
            #expect(
                second.content == "1" && second.cache.hasPrefix("skein; hit; ttl=6") || second.cache.contains("ttl=5"),
                "\(second)")
            let known = try await fetch(url, "-H", "If-None-Match: \"abc\"")
            #expect(known.status == "304" && known.content == "", "\(known)")
            let head = try await fetch(url, "-I")
            #expect(head.status == "200" && head.content.lowercased().contains("content-length: 1"), "\(head)")
            let part = try await fetch(url, "-r", "0-0")
            #expect(part.status == "206" && part.content == "1")
            #expect(try await fetch(url, "-r", "5-").status == "416")
            // An unsafe method invalidates it (RFC 9111, section 4.4).
            _ = try await fetch(url, "-X", "DELETE")
            #expect(try await fetch(url).content == "3")

            for control in ["private%2C+max-age%3D60", "no-store", "max-age%3D0", "no-cache"] {
                let url = "\(base)/kept/\(Self.key())?control=\(control)"
                _ = try await fetch(url)
                #expect(try await fetch(url).content == "2", "\(control)")
            }
            let own = "\(base)/kept/\(Self.key())?control=max-age%3D60"
            _ = try await fetch(own, "-H", "Authorization: Bearer x")
            #expect(try await fetch(own, "-H", "Authorization: Bearer y").content == "2")
            let varied = "\(base)/kept/\(Self.key())?control=max-age%3D60&vary=X-Kind"
            let a = try await fetch(varied, "-H", "X-Kind: a").content
            let b = try await fetch(varied, "-H", "X-Kind: b").content
            let again = try await fetch(varied, "-H", "X-Kind: a").content
            #expect(a == "1 a" && b == "2 b" && again == "1 a")
        }
    }

    @Test("of a hundred concurrent requests, one is sent; uncacheable ones are all sent")
    func merging() async throws {
        try await proxying { base, _ in
            for (control, isShared) in [("max-age%3D60", true), ("private", false)] {
                let url = "\(base)/kept/\(Self.key())?control=\(control)"
                let client = SkeinClient()
                let corequests = (0..<100).map { _ in client.get(url) }
                var texts: Set<String> = []
                for corequest in corequests { texts.insert(try await corequest.response.text()) }
                #expect(texts.count == (isShared ? 1 : 100), "\(control) \(texts)")
                await client.shutdown()
            }
        }
    }

    @Test("large responses are stored while they are sent, and served from there; too large ones are passed")
    func large() async throws {
        let nginx = try await Peers.shared.nginxPort()
        // nginx does not say how long its files may be stored; one that was changed long ago may be stored for a while.
        try await proxying(.memory(maximumBytes: 128 << 20, isShared: true), nginx) { base, _ in
            let first = try await runToEnd("curl", ["-sS", "-o", "/dev/null", "-D", "-", "\(base)/varied"])
            #expect(first.output.contains("fwd=uri-miss; stored"), "\(first.output)")
            let part = try await runToEnd("sh", ["-c", "curl -sS -r 1000000-2999999 \(base)/varied | sha256sum"])
            let direct = try await runToEnd(
                "sh", ["-c", "curl -sS -r 1000000-2999999 http://127.0.0.1:\(nginx)/varied | sha256sum"])
            #expect(part.output == direct.output)
        }
        try await proxying(.memory(maximumBytes: 8 << 20, isShared: true), nginx) { base, _ in
            let large = try await runToEnd("curl", ["-sS", "-o", "/dev/null", "-D", "-", "\(base)/varied"])
            #expect(large.output.contains("skein; fwd=uri-miss\r"), "\(large.output)")
        }
    }

    @Test("responses that become private or personal are not served to others; GET content is not part of the key")
    func personal() async throws {
        let ok = "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n"
        let pages: [String: @Sendable (Int) -> String] = [
            "private-later": {
                $0 != 1
                    ? "\(ok)Cache-Control: max-age=0\r\nETag: \"a\"\r\n\r\n\($0)"
                    : "HTTP/1.1 304 Not Modified\r\nCache-Control: private, max-age=60\r\nSet-Cookie: sid=ada\r\nETag: \"a\"\r\n\r\n"
            },
            "cookie": {
                "\(ok)Last-Modified: Sun, 06 Nov 1994 08:49:37 GMT\r\nSet-Cookie: sid=\($0)\r\n\r\n\($0 % 10)"
            },
            "content": { "\(ok)Cache-Control: max-age=60\r\n\r\n\($0 % 10)" },
        ]
        for (name, page) in pages {
            let back = try await ScriptedServer.start { number in
                [
                    .until("\r\n\r\n"),
                    .send(page(number).replacing("\r\n\r\n", with: "\r\nConnection: close\r\n\r\n")), .close,
                ]
            }
            try await proxying(.memory(isShared: true), back.port) { base, _ in
                switch name {
                case "private-later":
                    _ = try await fetch("\(base)/")
                    #expect(try await fetch("\(base)/", "-H", "Cookie: sid=ada").content == "0")
                    let other = try await runToEnd("curl", ["-sS", "-i", "\(base)/"])
                    #expect(!other.output.contains("ada") && back.connectionCount == 3, "\(other.output)")
                case "cookie":
                    _ = try await fetch("\(base)/")
                    #expect(try await fetch("\(base)/").content == "1")
                default:
                    _ = try await fetch("\(base)/", "-X", "GET", "-d", "q=evil")
                    #expect(try await fetch("\(base)/").content == "1")
                    #expect(try await fetch("\(base)/").content == "1")
                }
            }
            await back.stop()
        }
    }

    @Test("responses purged in flight are not stored; a client that leaves is replaced by the next")
    func races() async throws {
        let back = try await ScriptedServer.start { number in
            let head = "HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nContent-Length: 2\r\nConnection: close\r\n\r\n"
            return [.until("\r\n\r\n"), .send(head + "\(number)"), .wait, .send("\(number)"), .close]
        }
        try await proxying(.memory(isShared: true), back.port) { base, _ in
            let port = Int(base.split(separator: ":").last ?? "") ?? 0
            let slow = try await RawClient.connect(port)
            try await slow.send("GET /x HTTP/1.1\r\nHost: 127.0.0.1:\(port)\r\n\r\n")
            try await slow.untilReceived("\r\n\r\n0")
            #expect(try await fetch("\(base)/x", "-X", "PURGE").status == "204")
            // The second waits for the first, whose client disconnects.
            async let second = runToEnd("curl", ["-sS", "--max-time", "9", "\(base)/x"])
            try await Task.sleep(for: .milliseconds(200))
            await slow.close()
            _ = try await second
            #expect(back.connectionCount == 2)
        }
        await back.stop()
    }

    @Test("purged by URL, by prefix and by tag; only from this machine")
    func purging() async throws {
        let back = try await ScriptedServer.start { number in
            [
                .until("\r\n\r\n"),
                .send(
                    "HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nCache-Tag: news, t\(number % 2)\r\nContent-Length: 1\r\nConnection: close\r\n\r\n\(number % 10)"
                ), .close,
            ]
        }
        try await proxying(.memory(isShared: true), back.port) { base, _ in
            for path in ["a/1", "a/2", "b"] { _ = try await fetch("\(base)/\(path)") }
            #expect(try await fetch("\(base)/a/1").content == "0")
            #expect(try await fetch("\(base)/a/1", "-X", "PURGE").status == "204")
            #expect(try await fetch("\(base)/a/1").content == "3")
            #expect(try await fetch("\(base)/a/*", "-X", "PURGE").content == "2\n")
            #expect(try await fetch("\(base)/b").content == "2")
            #expect(try await fetch("\(base)/", "-X", "PURGE", "-H", "Cache-Tag: t0").content == "1\n")
            #expect(try await fetch("\(base)/b").content == "4")
        }
        await back.stop()
    }

    @Test("a folder outlives the proxy, also after a kill; a damaged file is not served")
    func disk() async throws {
        let services = try await Peers.shared.servicesPort()
        let folder = TestFolder.path("proxy-cache")
        let path = "/kept/\(Self.key())?control=max-age%3D600"
        func start() async throws -> (PeerProcess, String) {
            let port = try await Ports.free()
            let process = try PeerProcess(
                CommandTests.skein,
                [
                    "proxy", "--mount", "/=http://127.0.0.1:\(services)", "--listen", "127.0.0.1:\(port)",
                    "--cache-memory", "1M",
                    "--cache-disk", "\(folder):64M", "--threads", "1",
                ], log: TestFolder.path("proxy-cache.log"))
            try await Ports.untilOpen(port)
            return (process, "http://127.0.0.1:\(port)")
        }
        let (first, base) = try await start()
        #expect(try await fetch(base + path).content == "1")
        // Stored under the URL that clients request, which has another port the next time.
        let host = ["-H", "Host: shop.example"]
        #expect(try await fetch(base + path, host[0], host[1]).content == "2")
        // A response is written to disk after it was sent: a process that is killed in between has not stored it.
        let end = ContinuousClock.now + .seconds(20)
        while try FileManager.default.contentsOfDirectory(atPath: folder).count(where: { $0.hasSuffix(".entry") }) < 2,
            .now < end
        {
            try await Task.sleep(for: .milliseconds(20))
        }
        #expect(await first.stop(SIGKILL) == 128 + SIGKILL)
        let (second, next) = try await start()
        let kept = try await fetch(next + path, host[0], host[1])
        #expect(kept.content == "2" && kept.cache.contains("hit"), "\(kept)")
        await second.stop()
        for file in try FileManager.default.contentsOfDirectory(atPath: folder) {
            truncate("\(folder)/\(file)", 700)
        }
        let (third, last) = try await start()
        #expect(try await fetch(last + path, host[0], host[1]).content == "3")
        await third.stop()
    }
}
