import Foundation
import NIOCore
import PeerSupport
import Skein
import SkeinEngine
import SkeinHTTP
import Synchronization
import Testing

/// Redirects and credentials, against httpbin and nginx, and against a server of ours for incorrect behaviour.
@Suite("Redirects and credentials", .serialized, .inTurn, .timeLimit(.minutes(5)))
struct RedirectTests {
    private func httpbin() async throws -> String { "http://127.0.0.1:\(try await Peers.shared.httpbinPort())" }

    @Test("redirects are followed, relative and absolute, with their history, over reused connections")
    func followed() async throws {
        let base = try await httpbin()
        let skein = SkeinClient()
        for path in ["/redirect/4", "/relative-redirect/4", "/absolute-redirect/4"] {
            let response = await skein.get(base + path).dispatch()
            #expect(response.statusCode == 200, "\(response.reportLine)")
            #expect(response.url.target == "/get")
            #expect(response.history.count == 4)
            #expect(response.history.first?.url.target == path)
            #expect(response.history.allSatisfy { $0.status == 302 })
        }
        #expect(skein.connectCount == 1)
        let nginx = await skein.get("http://127.0.0.1:\(try await Peers.shared.nginxPort())/moved").dispatch()
        #expect(try nginx.text() == "hello world")
    }

    @Test("a switch disables them; more than the limit are code 711")
    func limits() async throws {
        let base = try await httpbin()
        var configuration = SkeinClient.Configuration()
        configuration.http.redirects.isEnabled = false
        let still = await SkeinClient(configuration).get(base + "/redirect/1").dispatch()
        #expect(still.statusCode == 302 && still.history.isEmpty)
        configuration.http.redirects.isEnabled = true
        configuration.http.redirects.maximum = 3
        #expect(await SkeinClient(configuration).get(base + "/redirect/3").dispatch().statusCode == 200)
        let far = await SkeinClient(configuration).get(base + "/redirect/4").dispatch()
        #expect(far.statusCode == 711)
        #expect(far.history.count == 3)
    }

    @Test("a redirect to a unix socket is refused, and a login sequence is not a loop")
    func ways() async throws {
        let socket = TestFolder.path("own.sock")
        let asked = Mutex(0)
        var local = Engine()
        local.configuration.addresses = [.unix(path: socket)]
        local.mount("/") { request in
            asked.withLock { $0 += 1 }
            if request.path == "/relative" { return ServerResponse(302, headers: ["Location": "/"]) }
            return .text("local")
        }
        let encoded = socket.replacingOccurrences(of: "/", with: "%2F")
        var engine = Engine()
        engine.mount("/") { (request: ServerRequest) async throws -> ServerResponse in
            switch request.path {
            case "/socket": return .redirect(to: "http+unix://\(encoded)/", status: 307)
            case "/login": return ServerResponse(302, headers: ["Location": "/page", "Set-Cookie": "user=ada; Path=/"])
            case "/again":
                guard request.cookies["again"] == nil else { return .text("again") }
                return ServerResponse(302, headers: ["Location": "/again", "Set-Cookie": "again=1"])
            case "/circle": return ServerResponse(302, headers: ["Location": "/circle", "Set-Cookie": "same=1"])
            default:
                if request.cookies["user"] == "ada" { return .text("hello ada") }
                return ServerResponse(302, headers: ["Location": "/login"])
            }
        }
        try await serving(local) { (_, _) async throws in
            try await serving(engine) { (port, _) async throws in
                let base = "http://127.0.0.1:\(port)"
                let refused = await SkeinClient().post("\(base)/socket", body: .text("content")).dispatch()
                #expect(refused.statusCode == 711 && asked.withLock { $0 } == 0, "\(refused.reportLine)")
                // On a socket that the caller has chosen, a redirect may stay on it.
                #expect(try await SkeinClient().get("http+unix://\(encoded)/relative").dispatch().text() == "local")
                var configuration = SkeinClient.Configuration()
                configuration.http.cookies = CookieJar()
                let skein = SkeinClient(configuration)
                let page = await skein.get("\(base)/page").dispatch()
                #expect(try page.text() == "hello ada" && page.history.count == 2, "\(page.reportLine)")
                #expect(try await skein.get("\(base)/again").dispatch().text() == "again")
                let theirs = try await curl("-L", "-c", TestFolder.path("login"), "\(base)/page")
                #expect(theirs == "hello ada")
                let circle = await skein.get("\(base)/circle").dispatch()
                #expect(circle.statusCode == 711 && circle.history.count == 1, "\(circle.reportLine)")
                #expect(await SkeinClient().get("\(base)/page").dispatch().statusCode == 711)
            }
        }
    }

    @Test("the default entry of a .netrc applies to the requested host, other hosts need their own entry")
    func netrc() async throws {
        var second = Engine()
        second.mount("/") { .text($0.headers["Authorization"] ?? "none") }
        try await serving(second) { (there, _) async throws in
            var first = Engine()
            first.mount("/") { (request: ServerRequest) async throws -> ServerResponse in
                guard request.headers["Authorization"] != nil else { return .text("none") }
                return ServerResponse(302, headers: ["Location": "http://localhost:\(there)/"])
            }
            try await serving(first) { (here, _) async throws in
                for (text, expected) in [
                    ("default login a password b\n", "none"),
                    ("machine localhost login c password d\ndefault login a password b\n", "Basic Yzpk"),
                ] {
                    var configuration = SkeinClient.Configuration()
                    let path = try TestFolder.write(text, as: "netrc")
                    try FileManager.default.setAttributes([.posixPermissions: 0o600], ofItemAtPath: path)
                    configuration.http.credentials = try .netrc(path)
                    let answer = await SkeinClient(configuration).get("http://127.0.0.1:\(here)/").dispatch()
                    #expect(try answer.text() == expected, "\(answer.reportLine)")
                }
            }
        }
    }

    @Test("a session for untrusted URLs connects to public addresses only, whatever names and redirects say")
    func publicOnly() async throws {
        let sockets = try await ScriptedServer.start { _ in
            [.until("\r\n\r\n"), .send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")]
        }
        var configuration = SkeinClient.Configuration()
        configuration.logger = .silent
        configuration.http.addresses = .publicOnly
        for usesSystem in [false, true] {
            configuration.http.dns.usesSystemResolver = usesSystem
            let skein = SkeinClient(configuration)
            for host in ["127.0.0.1", "localhost", "[::1]", "[::ffff:127.0.0.1]", "0.0.0.0"] {
                let refused = await skein.get("http://\(host):\(sockets.port)/").dispatch()
                #expect(refused.failure?.code == .connectionFailed, "\(host): \(refused.reportLine)")
                #expect(refused.failure?.message.contains("public internet") == true, "\(host): \(refused.reportLine)")
            }
            #expect(
                await skein.get("http+unix://%2Frun%2Fx.sock/").dispatch().failure?.message.contains("unix socket")
                    == true)
            await skein.shutdown()
        }
        // A proxy would resolve other spellings differently.
        configuration.http.proxy = .always(try Proxy("http://127.0.0.1:\(sockets.port)"))
        let behind = SkeinClient(configuration)
        for host in [
            "127.1", "2130706433", "0x7f.1", "127.0.0.1.", "localhost", "LocalHost.", "a.localhost", "10.0.0.1",
        ] {
            for scheme in ["http", "https"] {
                let refused = await behind.get("\(scheme)://\(host)/").dispatch()
                #expect(refused.failure?.message.contains("public internet") == true, "\(host): \(refused.reportLine)")
            }
        }
        await behind.shutdown()
        #expect(sockets.connectionCount == 0)
        await sockets.stop()
    }

    @Test(
        "the method and the content that follow",
        arguments: [
            (301, "POST", "GET", false), (302, "POST", "GET", false), (303, "POST", "GET", false),
            (307, "POST", "POST", true),
            (308, "POST", "POST", true), (301, "PUT", "PUT", true), (303, "PUT", "GET", false),
            (303, "HEAD", "HEAD", false),
            (302, "DELETE", "DELETE", false),
        ])
    func methods(status: Int, method: String, expected: String, keepsContent: Bool) async throws {
        try await redirecting { (base) async throws in
            let body: HTTPBody = keepsContent || method == "POST" ? .text("content") : .none
            let response = await SkeinClient().request(HTTPMethod(rawValue: method), "\(base)/to?\(status)", body: body)
                .dispatch()
            #expect(response.statusCode == 200, "\(response.reportLine)")
            #expect(response.method == expected)
            if method != "HEAD" {
                #expect(String(buffer: response.content) == "\(expected) \(keepsContent ? "content" : "") nobody")
            }
        }
    }

    @Test("credentials stay with their origin")
    func credentials() async throws {
        try await redirecting { (base) async throws in
            try await redirecting { (other) async throws in
                let skein = SkeinClient()
                let same = await skein.get("\(base)/to?302", auth: .bearer("token")).dispatch()
                #expect(String(buffer: same.content) == "GET  Bearer token")
                for headers in [Headers(), ["Authorization": "Basic abc", "Cookie": "a=b"]] {
                    let elsewhere = await skein.get("\(base)/at?\(other)", headers: headers, auth: .bearer("token"))
                        .dispatch()
                    #expect(String(buffer: elsewhere.content) == "GET  nobody", "\(elsewhere.reportLine)")
                }
            }
        }
    }

    @Test("loops, malformed targets, a body that cannot be replayed, and a downgrade from TLS are code 711")
    func refused() async throws {
        try await redirecting { (base) async throws in
            let skein = SkeinClient()
            for (path, words) in [
                ("/circle", "loop"), ("/at?ftp://a/", "no usable URL"), ("/at?http://[/", "no usable URL"),
            ] {
                let response = await skein.get(base + path).dispatch()
                #expect(response.statusCode == 711, "\(response.reportLine)")
                #expect(response.failure?.message.contains(words) == true, "\(response.reportLine)")
            }
            let once = AsyncStream<ByteBuffer> {
                $0.yield(ByteBuffer(string: "content")); $0.finish()
            }
            let response = await skein.post("\(base)/to?307", body: .stream(once)).dispatch()
            #expect(response.failure?.message.contains("only once") == true, "\(response.reportLine)")
            let folder = try await Certificates.shared.folder()
            var configuration = ServerConfiguration(addresses: [.tls("127.0.0.1", port: 0)], threads: 1)
            configuration.tls = ServerTLSConfiguration(certificates: [
                .init(certificateFile: "\(folder)/good.pem", keyFile: "\(folder)/good.pem")
            ])
            let server = HTTPServer(configuration) { _ in ServerResponse(302, headers: ["Location": "\(base)/here"]) }
            guard case .tls(_, let port)? = try await server.start().first else { throw PeerError("no port") }
            var client = SkeinClient.Configuration()
            client.http.tls.roots = .file("\(folder)/ca.pem")
            let down = await SkeinClient(client).get("https://localhost:\(port)/").dispatch()
            #expect(down.failure?.message.contains("allowsDowngrade") == true, "\(down.reportLine)")
            client.http.redirects.allowsDowngrade = true
            #expect(await SkeinClient(client).get("https://localhost:\(port)/").dispatch().statusCode == 200)
            await server.stop()
        }
    }

    @Test("a redirect with long content, a streamed response after one, and HTTP/2")
    func bodies() async throws {
        try await redirecting { (base) async throws in
            for use in [HTTP2Use.never, .priorKnowledge] {
                var configuration = SkeinClient.Configuration()
                configuration.http.http2.use = use
                let skein = SkeinClient(configuration)
                let long = await skein.get("\(base)/long").dispatch()
                #expect(String(buffer: long.content) == "GET  nobody", "\(long.reportLine)")
                let streamed = try await skein.stream(.get, "\(base)/to?301").dispatch()
                var text = ""
                for try await piece in try #require(streamed.stream) { text += String(buffer: piece) }
                #expect(text == "GET  nobody")
                #expect(streamed.history.count == 1)
            }
        }
    }

    @Test("basic and bearer credentials as httpbin expects; also on the command line")
    func authentication() async throws {
        let base = try await httpbin()
        let skein = SkeinClient()
        #expect(
            await skein.get("\(base)/basic-auth/weaver/sécret", auth: .basic("weaver", "sécret")).dispatch().statusCode
                == 200)
        #expect(
            await skein.get("\(base)/basic-auth/weaver/secret", auth: .basic("weaver", "wrong")).dispatch().statusCode
                == 401)
        #expect(
            try await skein.get("\(base)/bearer", auth: .bearer("abc")).dispatch().json()["token"] == .string("abc"))
        #expect("\(HTTPAuth.basic("weaver", "secret"))" == "Basic …")
        let command = try await runToEnd(CommandTests.skein, ["get", "--auth", "a:b", "\(base)/basic-auth/a/b"])
        #expect(command.output.hasPrefix("REQID 0. HTTP/1.1 200 OK"))
        let token = try await runToEnd(CommandTests.skein, ["get", "--bearer", "abc", "--body", "\(base)/bearer"])
        #expect(token.output.contains("\"token\":\"abc\""))
        let still = try await runToEnd(CommandTests.skein, ["get", "--no-follow", "\(base)/redirect/1"])
        #expect(still.output.contains(" 302 "))
    }

    /// A server that redirects as a test specifies, and reports the received requests.
    private func redirecting(_ test: (String) async throws -> Void) async throws {
        let server = HTTPServer(ServerConfiguration(addresses: [.tcp("127.0.0.1", port: 0)], threads: 1)) { request in
            func redirect(_ status: Int, _ location: String, _ body: HTTPBody = .none) -> ServerResponse {
                ServerResponse(HTTPStatus(status), headers: ["Location": location], body: body)
            }
            switch request.path {
            case "/to": return redirect(Int(request.query ?? "") ?? 302, "here")
            case "/at":
                return redirect(
                    302,
                    (request.query ?? "").hasPrefix("http://127") ? "\(request.query ?? "")/here" : request.query ?? "")
            case "/circle": return redirect(302, "/circle?2")
            case "/long": return redirect(302, "./x/../here", .bytes(ByteBuffer(repeating: 0x61, count: 2 << 20)))
            default:
                let body = String(buffer: try await request.body.collect())
                let who = request.headers["Authorization"] ?? request.headers["Cookie"] ?? "nobody"
                return .text("\(request.method) \(body) \(who)")
            }
        }
        guard case .tcp(_, let port)? = try await server.start().first else { throw PeerError("no port") }
        do {
            try await test("http://127.0.0.1:\(port)")
        } catch {
            await server.stop()
            throw error
        }
        await server.stop()
    }
}
