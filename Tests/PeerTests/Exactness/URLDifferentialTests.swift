import SkeinCore
import Foundation
import NIOCore
import PeerSupport
import Skein
import Testing

@testable import SkeinHTTP

/// URLs, hosts and Location fields compared with curl. Where the two differ, the kind of the difference has a name and
/// a reason here, and in docs/Client.md.
@Suite("URLs compared with curl", .serialized, .inTurn, .timeLimit(.minutes(5)))
struct URLDifferentialTests {
    /// A client's interpretation of a URL: what it sends to the server, or that it refuses.
    private enum Reading: Equatable, CustomStringConvertible {
        case request(host: String, target: String)
        case refused

        var description: String {
            switch self {
            case .request(let host, let target): "\(host) \(target)"
            case .refused: "refused"
            }
        }
    }

    /// Why a URL is interpreted differently than by curl.
    private static func difference(_ text: String, _ skein: Reading, _ curl: Reading) -> String? {
        let rest = text.drop { $0 != "/" }
        let host = text.hasPrefix("http://") ? String(text.dropFirst(7).prefix { !"/?#".contains($0) }) : ""
        if skein == .refused {
            if text.contains("@") { return "credentials of a URL end up in logs: they go into auth" }
            if host.isEmpty { return "a URL has two slashes, as RFC 3986 has it" }
            if host.hasPrefix("[") { return "what stands in brackets is an IPv6 address" }
            if host.utf8.contains(where: { !Self.isHostByte($0) }) || host.contains("..") || host.contains("%") {
                return "no name of the DNS has such characters (RFC 1123, section 2.1)"
            }
            if host.last?.isNumber == true || host.contains("0x") {
                return "a host that ends in a number is an IPv4 address (WHATWG)"
            }
        }
        if curl == .refused {
            if rest.contains(" ") || text.contains("?") && text.contains(" ") { return "blanks are encoded (WHATWG)" }
        }
        return nil
    }

    private static func isHostByte(_ byte: UInt8) -> Bool {
        byte >= 0x80 || "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._:".utf8.contains(byte)
    }

    static let hosts = [
        "example.org", "EXAMPLE.Org", "a-b.example", "under_score.example", "bücher.example", "BÜCHER.example",
        "faß.example",
        "\u{FF25}\u{FF38}ample.org", "Ⅳ.example", "例え。jp", "日本語.jp", "xn--bcher-kva.example", "127.0.0.1", "127.1",
        "2130706433", "0x7f.1", "0177.0.0.1", "0x7f000001", "[::1]", "[2001:DB8::1]", "[::ffff:1.2.3.4]",
        "ex%61mple.org",
        "example.org.", "256.1.1.1", "1.2.3", "[fe80::1%25lo]", "[::1", "[gg]", "[::1]x", "a b.org", "a<b.org",
        "a|b.org",
        "-a.org", "e\u{301}.example", "☃.net", "%zz", "a%00b", "a%2Fb", "a%20b", "a^b", "a`b", "a{b", "a\\b", "",
        "localhost",
        "a.b.c.d.e", "user@example.org", "user:p@example.org", "x--y.example", "1e2.example", "9.example",
        "a\u{AD}b.example",
        "ﬁ.example", "Å.example", "ａ．ｂ", "a\tb", "℡.example",
    ]
    static let ports = ["", ":80", ":8080", ":", ":080", ":00080", ":65535", ":65536", ":x", ":-1", ":8080x", ":1"]
    static let paths = [
        "", "/", "/a/b", "?q=1", "/a?b=c#d", "#f", "/a;p=1", "/a//b", "/%41", "/ü", "/a b", "/a/../b", "/a/./b",
        "/a\"b", "/a<b>",
        "/a{b}", "/a|b", "/a\\b", "/a^b", "/a`b", "/?a=ü", "/?a=b c", "/%", "/%zz", "/a#b?c", "/a?b?c", "/a?b#c#d",
        "/[x]", "/~u",
        "/a'b", "/e\u{301}", "?", "#", "/?", "/#", "/a?", "/a/", "/a/b/c?d=e&f=g", "/:x", "/@x", "/a@b", "/!$&'()*+,;=",
        "/a%20b",
        "/a%2Fb", "/日本", "/?日本", "/a:b/c", "//", "//a", "/a?b=/c/../d", "/😀",
    ]

    private static var urls: [String] {
        var all = hosts.map { "http://\($0)/x" }
        all += ports.map { "http://example.org\($0)/x" }
        all += paths.map { "http://example.org\($0)" }
        all += [
            "HTTP://example.org/", "hTTp://example.org", "http:/example.org/", "http:example.org",
            "http:///example.org", "ftp://x/",
        ]
        var random = SeededGenerator(seed: 18)
        while all.count < 320 {
            all.append("http://\(random.pick(hosts))\(random.pick(Array(ports.prefix(6))))\(random.pick(paths))")
        }
        return all
    }

    private func curl(_ port: Int, _ arguments: [String]) async throws -> [Reading] {
        let run = try await runToEnd(
            "curl",
            ["-s", "-v", "-g", "--max-time", "5", "--connect-to", "::127.0.0.1:\(port)", "-o", "/dev/null"] + arguments,
            environment: ["LC_ALL": "C.UTF-8"])
        var readings: [Reading] = []
        var target: String?
        for line in run.errors.utf8.split(separator: UInt8(ascii: "\n")).map({ String(decoding: $0, as: UTF8.self) }) {
            if line.hasPrefix("> GET "), let end = line.range(of: " HTTP/1.1") {
                target = String(line[line.index(line.startIndex, offsetBy: 6)..<end.lowerBound])
            } else if line.hasPrefix("> Host: "), let found = target {
                let host = line.dropFirst(8).trimmingCharacters(in: .whitespacesAndNewlines).lowercased()
                readings.append(.request(host: host, target: Percent.encodeUnsafe(found).lowercased()))
                target = nil
            }
        }
        if run.code != 0 { readings.append(.refused) }
        return readings
    }

    private func skein(_ text: String) -> Reading {
        guard let url = try? HTTPURL(text) else { return .refused }
        return .request(host: url.origin.authority.lowercased(), target: url.target.lowercased())
    }

    @Test("320 URLs")
    func urls() async throws {
        let server = try await ScriptedServer.start { _ in [.send("HTTP/1.1 204 No Content\r\n\r\n")] }
        var named: [String: Int] = [:]
        for text in Self.urls {
            let ours = skein(text)
            let theirs = try await curl(server.port, ["--path-as-is", text]).last ?? .refused
            guard ours != theirs else { continue }
            guard let reason = Self.difference(text, ours, theirs) else {
                Issue.record("\(text.debugDescription): \(ours), curl: \(theirs)")
                continue
            }
            named[reason, default: 0] += 1
        }
        // Most are equal; each difference has a reason.
        #expect(named.values.reduce(0, +) < 80, "\(named)")
        await server.stop()
    }

    /// References, and why curl differs.
    static let references: [(String, String?)] = [
        ("g", nil), ("./g", nil), ("../g", nil), ("../../../g", nil), ("?y", nil), ("/g", nil),
        ("//other.example/x", nil),
        ("http://other.example", nil), ("HTTP://OTHER.example/", nil), ("http://other.example:8080/x?y#z", nil),
        ("/g#frag", nil),
        ("g;x=1/../y", nil), ("g?y/../x", nil), ("/g:h", nil), ("./g:h", nil), ("?a=b://c", nil), ("/gü", nil),
        ("/g b", nil),
        ("//bücher.example/", nil), ("http://other.example:99999/", nil), ("g/.", nil), ("g/..", nil), ("/a%20b", nil),
        ("/a%2Fb", nil), ("/a/b/../c", nil), ("https://other.example:x/", nil), ("ftp://other.example/", nil),
        ("mailto:x@y", nil), ("http+unix://%2Ftmp%2Fs/", nil), ("//other.example", nil),
        ("/?", "an empty query is one: /? and / are two resources (RFC 3986, section 6.2.3)"), ("/a?b?c", nil),
        ("/日本", nil), ("http://127.1/", nil), ("http://[::1]/x", nil), ("/~u/'x'", nil), ("..", nil), (".", nil),
    ]

    @Test("Location fields", arguments: references)
    func locations(reference: (String, String?)) async throws {
        let server = try await ScriptedServer.start { number in
            [
                .send(
                    number == 0
                        ? "HTTP/1.1 302 Found\r\nLocation: \(reference.0)\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
                        : "HTTP/1.1 204 No Content\r\n\r\n"), .close,
            ]
        }
        let base = "http://example.org/dir/page?q=1"
        let theirs = try await curl(server.port, ["-L", base]).dropFirst().first ?? .refused
        let ours =
            (try? HTTPURL(base).resolving(Percent.encodeNonASCII(reference.0.utf8))).map {
                Reading.request(host: $0.origin.authority.lowercased(), target: $0.target.lowercased())
            } ?? .refused
        if case .request(let host, _) = ours, host == "localhost" {
            #expect(reference.0.hasPrefix("http+unix"))  // refused when the redirect is followed
        } else {
            #expect((ours == theirs) == (reference.1 == nil), "\(reference.0)")
        }
        await server.stop()
    }
}
