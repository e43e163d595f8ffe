import NIOCore
import SkeinCore
import Testing

@testable import SkeinTransport

@Suite("Proxies, without I/O")
struct ProxyTests {
    @Test(
        "a proxy's URL is taken apart",
        arguments: [
            ("http://p:3128", "http://p:3128", nil, nil), ("p", "http://p:3128", nil, nil),
            ("p:81", "http://p:81", nil, nil),
            ("http://u:a%40b@p:1", "http://p:1", "u", "a@b"), ("socks5://[::1]", "socks5://[::1]:1080", nil, nil),
            ("socks5h://u@p", "socks5://p:1080", "u", nil),
        ] as [(String, String, String?, String?)])
    func parsed(text: String, description: String, user: String?, password: String?) throws {
        let proxy = try Proxy(text)
        #expect(proxy.description == description)
        #expect(proxy.user == user && proxy.password == password)
    }

    @Test(
        "a malformed one is an error that does not show the password",
        arguments: ["ftp://u:secret@p", "http://", "http://u:secret@p:99999"])
    func malformed(text: String) {
        let error = #expect(throws: SkeinError.self) { try Proxy(text) }
        #expect(error.map { "\($0)".contains("secret") } == false)
    }

    @Test(
        "the environment says which proxy, and for whom there is none",
        arguments: [
            (["http_proxy": "http://a:1"], "x.test", false, "http://a:1"),
            (["HTTP_PROXY": "http://a:1"], "x.test", false, "http://a:1"),
            (["HTTP_PROXY": "http://a:1", "REQUEST_METHOD": "GET"], "x.test", false, nil),
            (["http_proxy": "http://a:1"], "x.test", true, nil),
            (["https_proxy": "http://b:2"], "x.test", true, "http://b:2"),
            (["ALL_PROXY": "socks5://c:3", "https_proxy": ""], "x.test", true, "socks5://c:3"),
            (["http_proxy": "a:1", "NO_PROXY": "y.test, x.test"], "x.test", false, nil),
            (["http_proxy": "a:1", "NO_PROXY": "x.test"], "sub.x.test", false, nil),
            (["http_proxy": "a:1", "NO_PROXY": ".x.test"], "x.test", false, nil),
            (["http_proxy": "a:1", "NO_PROXY": "x.test"], "ax.test", false, "http://a:1"),
            (["http_proxy": "a:1", "no_proxy": "*"], "x.test", false, nil),
            (["http_proxy": "a:1", "no_proxy": "x.test:81"], "x.test", false, "http://a:1"),
            (["http_proxy": "a:1", "no_proxy": "x.test:80"], "x.test", false, nil),
            (["http_proxy": "a:1", "no_proxy": "127.0.0.1,::1"], "::1", false, nil),
            (["http_proxy": "a:1", "no_proxy": "127.0.0.0/8"], "127.1.2.3", false, nil),
            (["http_proxy": "a:1", "no_proxy": "10.0.0.0/8"], "127.0.0.1", false, "http://a:1"),
            (["http_proxy": "a:1", "no_proxy": "2001:db8::/32"], "2001:db8::7", false, nil),
            (["http_proxy": "a:1", "no_proxy": "0:0:0:0:0:0:0:1"], "::1", false, nil),
            (["http_proxy": "a:1", "no_proxy": "fe80::/10"], "fe80::1%eth0", false, nil),
            (["http_proxy": "a:1", "no_proxy": "x.test."], "x.test", false, nil),
            (["http_proxy": "a:1", "no_proxy": "x.test"], "x.test.", false, nil),
            (["http_proxy": "a:1", "no_proxy": "x.test."], "a.x.test.", false, nil),
            (["http_proxy": "a:1", "no_proxy": "."], "x.test", false, "http://a:1"),
        ] as [([String: String], String, Bool, String?)])
    func environment(variables: [String: String], host: String, isSecure: Bool, expected: String?) throws {
        let proxy = try ProxyUse.proxy(in: variables, host: host, port: 80, isSecure: isSecure)
        #expect(proxy?.description == expected)
    }

    private func converse(_ client: inout any TunnelClient, _ bytes: [UInt8]) throws -> [TunnelProgress] {
        // One byte at a time: a response may arrive in parts.
        var buffer = ByteBuffer()
        var all: [TunnelProgress] = []
        for byte in bytes {
            buffer.writeInteger(byte)
            while case let progress = try client.receive(&buffer), progress != .wait {
                all.append(progress)
                if progress == .open { return all }
            }
        }
        return all
    }

    @Test("SOCKS: with and without a user, to names and addresses")
    func socks() throws {
        var plain: any TunnelClient = SOCKS5Client(proxy: try Proxy("socks5://p"), host: "a.test", port: 258)
        #expect(plain.begin() == ByteBuffer(bytes: [5, 1, 0]))
        #expect(
            try converse(&plain, [5, 0, 5, 0, 0, 1, 1, 2, 3, 4, 0, 80])
                == [.send(ByteBuffer(bytes: [5, 1, 0, 3, 6] + Array("a.test".utf8) + [1, 2])), .open])
        var known: any TunnelClient = SOCKS5Client(proxy: try Proxy("socks5://u:pw@p"), host: "::1", port: 80)
        #expect(known.begin() == ByteBuffer(bytes: [5, 2, 0, 2]))
        #expect(
            try converse(&known, [5, 2, 1, 0, 5, 0, 0, 3, 1, 97, 0, 80])
                == [
                    .send(ByteBuffer(bytes: [1, 1, 117, 2, 112, 119])),
                    .send(ByteBuffer(bytes: [5, 1, 0, 4] + Array(repeating: 0, count: 15) + [1, 0, 80])), .open,
                ])
    }

    @Test(
        "SOCKS: each refusal has its code",
        arguments: [([5, 255], 706), ([4, 0], 714), ([5, 0, 5, 5, 0, 1], 714), ([5, 0, 5, 0, 0, 9], 714)]
            as [([UInt8], Int)])
    func socksRefused(bytes: [UInt8], code: Int) throws {
        var client: any TunnelClient = SOCKS5Client(proxy: try Proxy("socks5://p"), host: "a", port: 1)
        let error = #expect(throws: SkeinError.self) { _ = try converse(&client, bytes) }
        #expect(error?.code.rawValue == code)
    }

    @Test(
        "CONNECT: what the proxy answers",
        arguments: [
            ("HTTP/1.1 200 OK\r\nX: y\r\n\r\n", nil), ("HTTP/1.0 204 x\r\n\r\n", nil), ("HTTP/1.1 403 No\r\n\r\n", 714),
            ("HTTP/1.1 407 Who\r\nProxy-Authenticate: Basic realm=a\r\n\r\n", 706), ("garbage\r\n\r\n", 715),
            (String(repeating: "x", count: 20_000), 715),
        ] as [(String, Int?)])
    func connect(answer: String, code: Int?) throws {
        var client: any TunnelClient = HTTPTunnelClient(proxy: try Proxy("http://u:p@proxy"), host: "::1", port: 443)
        #expect(
            String(buffer: client.begin())
                == "CONNECT [::1]:443 HTTP/1.1\r\nHost: [::1]:443\r\nProxy-Authorization: Basic dTpw\r\n\r\n")
        if let code {
            let error = #expect(throws: SkeinError.self) { _ = try converse(&client, Array(answer.utf8)) }
            #expect(error?.code.rawValue == code)
        } else {
            #expect(try converse(&client, Array(answer.utf8)) == [.open])
        }
    }
}
