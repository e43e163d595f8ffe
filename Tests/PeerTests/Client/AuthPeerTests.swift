import Foundation
import NIOCore
import PeerSupport
import Skein
import SkeinHTTP
import Synchronization
import Testing

/// Credentials against httpbin, nginx, and providers made of oauthlib.
@Suite("Authentication", .serialized, .inTurn, .timeLimit(.minutes(5)))
struct AuthPeerTests {
    private func httpbin() async throws -> String { "http://127.0.0.1:\(try await Peers.shared.httpbinPort())" }
    private func services() async throws -> String { "http://127.0.0.1:\(try await Peers.shared.servicesPort())" }

    @Test("digest as in httpbin", arguments: ["MD5", "SHA-256"], ["auth", "auth-int"])
    func httpbinDigest(algorithm: String, qop: String) async throws {
        let skein = SkeinClient()
        let url = "\(try await httpbin())/digest-auth/\(qop)/weaver/secret/\(algorithm)"
        let auth = HTTPAuth.digest("weaver", "secret")
        for _ in 0..<3 {
            let response = await skein.get(url, auth: auth, cookies: ["fake": "fake_value"]).dispatch()
            #expect(response.statusCode == 200, "\(response.reportLine)")
        }
        #expect(await skein.get(url, auth: .digest("weaver", "wrong")).dispatch().statusCode == 401)
        #expect(await skein.get(url, auth: .password("weaver", "secret")).dispatch().statusCode == 200)
    }

    @Test(
        "digest of every algorithm, session and protection, with content, with other letters",
        arguments: ["MD5", "MD5-sess", "SHA-256", "SHA-256-sess", "SHA-512-256", "SHA-512-256-sess"],
        ["", "auth", "auth-int", "auth-int, auth"])
    func digests(algorithm: String, qop: String) async throws {
        if algorithm.hasSuffix("-sess"), qop.isEmpty { return }  // RFC 2069 knew no sessions
        let skein = SkeinClient()
        var query: Parameters = ["algorithm": algorithm, "user": "Jäsøn", "password": "sé\"cret", "opaque": "o p"]
        if !qop.isEmpty { query.add("qop", qop) }
        for (charset, userhash) in [("", ""), ("UTF-8", ""), ("UTF-8", "true")] {
            var query = query
            if !charset.isEmpty { query.add("charset", charset) }
            if !userhash.isEmpty { query.add("userhash", userhash) }
            let auth = HTTPAuth.digest("Jäsøn", "sé\"cret")
            let base = "\(try await services())/digest/a/path"
            for number in 1...3 {
                let response = await skein.post(base, body: .text("content \(number)"), parameters: query, auth: auth)
                    .dispatch()
                let expected = qop.isEmpty ? "welcome 1" : "welcome \(number)"
                #expect(String(buffer: response.content) == expected, "\(response.reportLine) \(charset) \(userhash)")
            }
        }
    }

    @Test("a stale nonce is replaced, one challenge costs one request")
    func stale() async throws {
        let skein = SkeinClient(concurrency: 1)
        let auth = HTTPAuth.digest("weaver", "secret")
        let url = "\(try await services())/digest/x?qop=auth&uses=2&algorithm=SHA-256"
        var answers: [String] = []
        for _ in 0..<6 { answers.append(String(buffer: await skein.get(url, auth: auth).dispatch().content)) }
        #expect(answers == ["welcome 1", "welcome 2", "welcome 1", "welcome 2", "welcome 1", "welcome 2"])
        #expect(skein.connectCount == 1)
    }

    @Test("a streamed request, a streamed response, and content that cannot be replayed")
    func streams() async throws {
        let skein = SkeinClient()
        let url = "\(try await services())/digest/x?qop=auth"
        let auth = HTTPAuth.digest("weaver", "secret")
        let once = AsyncStream<ByteBuffer> {
            $0.yield(ByteBuffer(string: "content"))
            $0.finish()
        }
        #expect(await skein.post(url, body: .stream(once), auth: auth).dispatch().statusCode == 401)
        let pieces = [ByteBuffer(string: "a"), ByteBuffer(string: "b")]
        #expect(await skein.post(url, body: .sequence(pieces), auth: auth).dispatch().statusCode == 200)
        let streamed = try await skein.stream(.get, url, auth: .digest("weaver", "secret")).dispatch()
        #expect(try await streamed.stream?.collect(upTo: 100) == ByteBuffer(string: "welcome 1"))
        let refused = try await skein.stream(.get, url, auth: .digest("weaver", "wrong")).dispatch()
        #expect(refused.statusCode == 401)
        #expect(try await refused.stream?.collect(upTo: 100) == ByteBuffer(string: "who?"))
    }

    @Test("basic authentication with nginx, by a password, a netrc file, the command line")
    func basic() async throws {
        let port = try await Peers.shared.nginxPort()
        let url = "http://127.0.0.1:\(port)/basic"
        #expect(await SkeinClient().get(url).dispatch().statusCode == 401)
        #expect(await SkeinClient().get(url, auth: .password("weaver", "secret")).dispatch().statusCode == 200)
        #expect(await SkeinClient().get(url, auth: .password("weaver", "wrong")).dispatch().statusCode == 401)
        let wrong = await SkeinClient().get(url, auth: .digest("weaver", "secret")).dispatch()
        #expect(wrong.statusCode == 706 && wrong.failure?.message.contains("Basic") == true, "\(wrong.reportLine)")
        let file = try TestFolder.write("machine 127.0.0.1 login weaver password secret\n", as: "netrc")
        chmod(file, 0o600)
        var configuration = SkeinClient.Configuration()
        configuration.http.credentials = try .netrc(file)
        #expect(await SkeinClient(configuration).get(url).dispatch().statusCode == 200)
        let command = try await runToEnd(CommandTests.skein, ["get", "--netrc", url], environment: ["NETRC": file])
        #expect(command.code == 0, "\(command.output)\(command.errors)")
        chmod(file, 0o644)
        let open = try await runToEnd(CommandTests.skein, ["get", "--netrc", url], environment: ["NETRC": file])
        #expect(open.code != 0 && open.errors.contains("chmod 600"), "\(open.errors)")
        let digest = "\(try await services())/digest/x?qop=auth"
        let digested = try await runToEnd(CommandTests.skein, ["get", "--digest", "weaver:secret", "--body", digest])
        #expect(digested.output == "welcome 1", "\(digested.output)\(digested.errors)")
    }

    @Test("OAuth 1.0 with every kind of signature, for queries and forms")
    func oauth1() async throws {
        let base = "\(try await services())/oauth1"
        let key = TestFolder.path("key.pem")
        #expect(try await runToEnd("openssl", ["genrsa", "-out", key, "2048"]).code == 0)
        let certificate = try await runToEnd("openssl", ["rsa", "-in", key, "-pubout"])
        let skein = SkeinClient()
        try await skein.put("\(base)/rsa", body: .text(certificate.output)).commit()
        let pem = try String(contentsOfFile: key, encoding: .utf8)
        for method in [OAuth1.Method.hmacSHA1, .hmacSHA256, .rsaSHA1(privateKey: pem), .plaintext] {
            let credentials = OAuth1(
                clientKey: "weaverkey", clientSecret: "cliént secret", token: "weavertoken",
                tokenSecret: "token&secret", method: method)
            let query = await skein.get(
                "\(base)/resource", parameters: ["a b": ["ü", "1+1"], "c": ""], auth: .oauth1(credentials)
            ).dispatch()
            #expect(query.statusCode == 200, "\(method) \(query.request.headers)")
            let form = await skein.post("\(base)/resource?x=y", body: .form(["f": "a b&c"]), auth: .oauth1(credentials))
                .dispatch()
            #expect(form.statusCode == 200, "\(method) \(form.request.headers)")
            var wrong = credentials
            wrong.clientKey = "anotherkey"
            #expect(await skein.get("\(base)/resource", auth: .oauth1(wrong)).dispatch().statusCode == 401)
        }
        let broken = OAuth1(clientKey: "weaverkey", method: .rsaSHA1(privateKey: "no key"))
        #expect(await skein.get("\(base)/resource", auth: .oauth1(broken)).dispatch().statusCode == 706)
    }

    @Test("OAuth 2.0: every grant yields a token")
    func grants() async throws {
        let base = "\(try await services())/oauth2"
        let shown = Mutex("")
        let device = OAuth2.Grant.deviceCode(endpoint: "\(base)/device") { code in
            shown.withLock { $0 = code.userCode }
        }
        for (grant, authentication) in [
            (OAuth2.Grant.clientCredentials, OAuth2.ClientAuthentication.basic), (.clientCredentials, .form),
            (.password(user: "user", password: "pass word"), .basic), (.refreshToken("kept-refresh"), .basic),
            (.authorizationCode("the-code", redirectURL: "http://here/", codeVerifier: nil), .form),
            (device, .basic),
        ] {
            let client = OAuth2(
                endpoint: "\(base)/token/3600", clientID: "weaver", clientSecret: "sécret", grant: grant,
                authentication: authentication)
            let response = await SkeinClient().get("\(base)/resource", auth: .oauth2(client)).dispatch()
            #expect(response.statusCode == 200, "\(grant): \(response.reportLine)")
        }
        #expect(shown.withLock { $0 } == "WEAV-ER")
        let wrong = OAuth2(endpoint: "\(base)/token/3600", clientID: "weaver", clientSecret: "wrong")
        let refused = await SkeinClient().get("\(base)/resource", auth: .oauth2(wrong)).dispatch()
        #expect(
            refused.statusCode == 706 && refused.failure?.message.contains("invalid_client") == true,
            "\(refused.reportLine)")
    }

    @Test(
        "a hundred callers fetch one token; one that expires or is revoked is renewed, also with one place in the session"
    )
    func tokens() async throws {
        let base = "\(try await services())/oauth2"
        let skein = SkeinClient(concurrency: 1)
        func asked() async throws -> Int {
            Int(try await skein.get("\(try await services())/count/tokens").dispatch().text()) ?? 0
        }
        let kept = Tally()
        let client = OAuth2(
            endpoint: "\(base)/token/3600", clientID: "weaver", clientSecret: "sécret",
            grant: .password(user: "user", password: "pass word")
        ) { _ in kept.add() }
        let before = try await asked()
        let group = CorequestGroup((0..<100).map { _ in skein.get("\(base)/resource", auth: .oauth2(client)) })
        for response in await group.dispatch() { #expect(response.statusCode == 200, "\(response.reportLine)") }
        #expect(try await asked() == before + 1)
        try await skein.post("\(base)/revoke").commit()
        #expect(await skein.get("\(base)/resource", auth: .oauth2(client)).dispatch().statusCode == 200)
        #expect(try await asked() == before + 2)
        #expect(kept.count == 2)
        let brief = OAuth2(endpoint: "\(base)/token/5", clientID: "weaver", clientSecret: "sécret")
        for _ in 0..<3 {
            #expect(await skein.get("\(base)/resource", auth: .oauth2(brief)).dispatch().statusCode == 200)
        }
        #expect(try await asked() == before + 5)  // five seconds are over before they begin
    }

    @Test("a custom scheme, and a failing one; no secrets in messages")
    func custom() async throws {
        struct Token: HTTPAuthenticator {
            func authorize(
                _ request: HTTPRequest, after answer: HTTPResponse?, using service: HTTPService
            ) async throws -> HTTPRequest? {
                guard answer == nil else { throw PeerError("nothing else is known") }
                let text = try await service.send(HTTPRequest(.get, try HTTPURL("\(request.url.origin)/count/none")))
                    .text()
                var request = request
                request.headers["Authorization"] = "Own \(text)"
                return request
            }
        }
        let base = try await services()
        let response = await SkeinClient().get("\(base)/echo", auth: .custom(Token())).dispatch()
        #expect(try response.json()["headers"]?["Authorization"] == .string("Own 0"), "\(response.reportLine)")
        let failed = await SkeinClient().get("\(base)/digest/x", auth: .custom(Token())).dispatch()
        #expect(failed.statusCode == 706 && failed.failure?.message.contains("nothing else is known") == true)
        for auth in [HTTPAuth.basic("weaver", "secret"), .bearer("secret"), .digest("weaver", "secret")] {
            #expect(!"\(auth)".contains("secret"))
        }
    }
}
