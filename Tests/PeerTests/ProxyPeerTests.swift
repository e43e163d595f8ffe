import Foundation
import PeerSupport
import Skein
import Testing

/// Third-party proxies: squid, with and without a user, and microsocks.
@Suite("Proxies", .serialized, .inTurn, .timeLimit(.minutes(5)))
struct ProxyPeerTests {
    static let squid = Task {
        let (plain, known) = (try await Ports.free(), try await Ports.free())
        let folder = TestFolder.path("squid")
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        // If root starts squid, it switches to another user, which writes here.
        try FileManager.default.setAttributes([.posixPermissions: 0o777], ofItemAtPath: folder)
        let hash = try await runToEnd("openssl", ["passwd", "-apr1", "secret"]).output
        try "weaver:\(hash)".write(toFile: "\(folder)/users", atomically: true, encoding: .utf8)
        let configuration = """
            http_port 127.0.0.1:\(plain) name=plain
            http_port 127.0.0.1:\(known) name=known
            auth_param basic program /usr/lib/squid/basic_ncsa_auth \(folder)/users
            acl somebody proxy_auth REQUIRED
            acl onPlain myportname plain
            http_access allow onPlain
            http_access allow somebody
            http_access deny all
            cache deny all
            access_log stdio:\(folder)/access.log
            cache_log \(folder)/cache.log
            pid_filename \(folder)/pid
            coredump_dir \(folder)
            shutdown_lifetime 0 seconds
            via on
            """
        let path = try TestFolder.write(configuration, as: "squid.conf")
        _ = try PeerProcess("squid", ["-N", "-f", path], log: "\(folder)/out.log")
        try await Ports.untilOpen(known)
        return (plain: plain, known: known)
    }

    private static let socks = Task {
        let (plain, known) = (try await Ports.free(), try await Ports.free())
        _ = try PeerProcess("microsocks", ["-i", "127.0.0.1", "-p", "\(plain)"], log: TestFolder.path("socks.log"))
        _ = try PeerProcess(
            "microsocks", ["-i", "127.0.0.1", "-p", "\(known)", "-u", "weaver", "-P", "secret"],
            log: TestFolder.path("socks.log"))
        try await Ports.untilOpen(plain)
        try await Ports.untilOpen(known)
        return (plain: plain, known: known)
    }

    private func session(_ proxy: String?, _ change: (inout HTTPConfiguration) -> Void = { _ in }) async throws
        -> SkeinClient
    {
        var configuration = SkeinClient.Configuration()
        configuration.logger = .silent
        configuration.http.tls.roots = .file("\(try await Certificates.shared.folder())/ca.pem")
        if let proxy { configuration.http.proxy = .always(try Proxy(proxy)) }
        change(&configuration.http)
        return SkeinClient(configuration)
    }

    @Test("plain requests are sent to the proxy in absolute form, over a reused connection")
    func forward() async throws {
        let proxy = "http://127.0.0.1:\(try await Self.squid.value.plain)"
        let skein = try await session(proxy)
        let url = "http://127.0.0.1:\(try await Peers.shared.nginxPort())/hello"
        for _ in 0..<5 {
            let response = await skein.get(url).dispatch()
            #expect(response.statusCode == 200, "\(response.reportLine)")
            #expect(response.header("Via")?.contains("squid") == true)
        }
        #expect(skein.connectCount == 1)
        let posted = await skein.post(
            "http://127.0.0.1:\(try await Peers.shared.httpbinPort())/post", body: .text("hello")
        )
        .dispatch()
        #expect(String(buffer: posted.content).contains("\"data\":\"hello\""))
    }

    @Test("TLS uses a tunnel, with HTTP/2 inside; plain requests do if enabled")
    func tunnel() async throws {
        let (port, roots) = try await TLSTests.goodPort()
        for proxy in [
            "http://127.0.0.1:\(try await Self.squid.value.plain)",
            "socks5://127.0.0.1:\(try await Self.socks.value.plain)",
        ] {
            let skein = try await session(proxy) { $0.tls.roots = .file(roots) }
            for _ in 0..<3 {
                let response = await skein.get("https://localhost:\(port)/").dispatch()
                #expect(response.statusCode == 200, "\(response.reportLine)")
                #expect(response.version == .http2)
                #expect(response.header("Via") == nil)
            }
            #expect(skein.connectCount == 1)
            var tunnelling = try Proxy(proxy)
            tunnelling.tunnelsAll = true
            let plain = try await session(nil) { $0.proxy = .always(tunnelling) }
            let response = await plain.get("http://127.0.0.1:\(try await Peers.shared.nginxPort())/hello").dispatch()
            #expect(response.statusCode == 200, "\(response.reportLine)")
            #expect(response.header("Via") == nil)
        }
    }

    @Test("proxy authentication uses the URL's credentials; missing or wrong ones are a clear error")
    func authentication() async throws {
        let (port, _) = try await TLSTests.goodPort()
        let plainURL = "http://127.0.0.1:\(try await Peers.shared.nginxPort())/hello"
        let squid = try await Self.squid.value.known
        let socks = try await Self.socks.value.known
        for scheme in ["http", "socks5"] {
            let proxy = scheme == "http" ? squid : socks
            let known = try await session("\(scheme)://weaver:secret@127.0.0.1:\(proxy)")
            #expect(await known.get("https://localhost:\(port)/").dispatch().statusCode == 200)
            #expect(await known.get(plainURL).dispatch().statusCode == 200)
            for credentials in ["", "weaver:wrong@"] {
                let refused = try await session("\(scheme)://\(credentials)127.0.0.1:\(proxy)")
                let response = await refused.get("https://localhost:\(port)/").dispatch()
                #expect(response.statusCode == 706, "\(response.reportLine)")
                #expect(response.failure?.message.contains("user") == true)
            }
        }
        // For a plain request, 407 is a response like any other.
        #expect(await (try await session("http://127.0.0.1:\(squid)")).get(plainURL).dispatch().statusCode == 407)
    }

    @Test("an unreachable proxy, or one that cannot reach the server, is code 714 with its name")
    func unreachable() async throws {
        let dead = try await session("http://127.0.0.1:1").get("https://localhost:1/").dispatch()
        #expect(dead.statusCode == 714, "\(dead.reportLine)")
        for proxy in [
            "http://127.0.0.1:\(try await Self.squid.value.plain)",
            "socks5://127.0.0.1:\(try await Self.socks.value.plain)",
        ] {
            let response = await (try await session(proxy)).get("https://127.0.0.1:1/").dispatch()
            #expect(response.statusCode == 714, "\(response.reportLine)")
            #expect(response.failure?.message.contains("no tunnel") == true)
        }
    }

    @Test("a request may choose a proxy of its own, or none")
    func perRequest() async throws {
        let proxy = ProxyUse.always(try Proxy("http://127.0.0.1:\(try await Self.squid.value.plain)"))
        let url = try HTTPURL("http://127.0.0.1:\(try await Peers.shared.nginxPort())/hello")
        var request = HTTPRequest(.get, url)
        request.proxy = proxy
        let skein = try await session(nil)
        #expect(await skein.start(request).dispatch().header("Via") != nil)
        #expect(await skein.start(HTTPRequest(.get, url)).dispatch().header("Via") == nil)
        let proxied = try await session(nil) { $0.proxy = proxy }
        request.proxy = ProxyUse.none
        #expect(await proxied.start(request).dispatch().header("Via") == nil)
        #expect(await proxied.start(HTTPRequest(.get, url)).dispatch().header("Via") != nil)
    }

    @Test("a manually driven connection uses a tunnel")
    func driven() async throws {
        let (port, roots) = try await TLSTests.goodPort()
        let proxy = try Proxy("http://127.0.0.1:\(try await Self.squid.value.plain)")
        for url in ["https://localhost:\(port)", "http://127.0.0.1:\(try await Peers.shared.nginxPort())"] {
            let connection = try HTTPConnection(url, tls: ClientTLSConfiguration(roots: .file(roots)), proxy: proxy)
            try await connection.sendRequest(.get, "/hello")
            let response = try await connection.readResponse()
            #expect(response.status == 200)
            #expect(response.headers["Via"] == nil)
            await connection.disconnect()
        }
    }

    @Test("the command line takes a proxy from an option and from the environment")
    func command() async throws {
        let proxy = "http://127.0.0.1:\(try await Self.squid.value.plain)"
        let url = "http://127.0.0.1:\(try await Peers.shared.nginxPort())/hello"
        let named = try await runToEnd(CommandTests.skein, ["get", "--proxy", proxy, "--headers", url])
        #expect(named.output.contains("Via: "), "\(named.output)\(named.errors)")
        let found = try await runToEnd(
            CommandTests.skein, ["get", "--headers", url], environment: ["http_proxy": proxy, "no_proxy": ""])
        #expect(found.output.contains("Via: "))
        let exempt = try await runToEnd(
            CommandTests.skein, ["get", "--headers", url], environment: ["http_proxy": proxy, "NO_PROXY": "127.0.0.1"])
        #expect(!exempt.output.contains("Via: "))
    }
}
