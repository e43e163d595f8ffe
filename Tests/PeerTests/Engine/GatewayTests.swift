import Foundation
import PeerSupport
import SkeinCore
import SkeinEngine
import SkeinHTTP
import Synchronization
import Testing

/// The gateway between curl and Flask, with an OIDC provider, and with tokens of authlib, joserfc and jwcrypto.
@Suite("Gateway", .serialized, .inTurn, .timeLimit(.minutes(3)))
struct GatewayTests {
    /// A program that reports the request that the back end received.
    private static let echo = """
        from flask import Flask, jsonify, request
        app = Flask("echo")
        @app.route("/me/<age>")
        def me(age):
            return request.headers.get("X-Forwarded-User", "-"), 200, {"Cache-Control": age}
        @app.route("/", defaults={"path": ""}, methods=["GET", "POST", "OPTIONS"])
        @app.route("/<path:path>", methods=["GET", "POST", "OPTIONS"])
        def echo(path):
            return jsonify({name: value for name, value in request.headers.items()})
        """

    private func flask() async throws -> (PeerProcess, Int) {
        let folder = TestFolder.path("gateway")
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        try Self.echo.write(toFile: "\(folder)/echo_app.py", atomically: true, encoding: .utf8)
        let port = try await Ports.free()
        let process = try PeerProcess(
            Peers.python("gunicorn"), ["-b", "127.0.0.1:\(port)", "--chdir", folder, "echo_app:app"],
            log: TestFolder.path("gateway.log"))
        try await Ports.untilOpen(port)
        return (process, port)
    }

    private func curl(_ url: String, _ arguments: [String]) async throws -> (status: String, text: String) {
        let run = try await runToEnd("curl", ["-sS", "--max-time", "20", "-i", url] + arguments)
        let status = run.output.split(separator: " ").dropFirst().first.map(String.init) ?? ""
        return (status, run.output)
    }

    @Test("tokens, keys and passwords in front of Flask; roles by alias and mount; forged identities are removed")
    func credentials() async throws {
        let (process, back) = try await flask()
        let secret = try TokenKey(secret: Array(repeating: 7, count: 32))
        let (key, hash) = APIKey.make()
        var engine = Engine()
        engine.middleware = [
            CORS("https://shop.example.org"),
            Gateway(
                TokenAuthentication(
                    realm: "shop", TokenVerifier(keys: [secret]), claims: TokenClaims(roles: "realm.roles")),
                APIKeyAuthentication([try APIKey("robot", sha256: hash, roles: ["machine"])], parameter: "key"),
                BasicAuthentication(realm: "shop") { user, password in
                    constantTimeEqual(password, "secret")
                        ? Identity(user: user, roles: ["user"], proof: .password) : nil
                }, policy: .anyone),
        ]
        var options = UpstreamConfiguration()
        options.identity = IdentityFields()
        options.forwardsCredentials = false
        options.allowsUnderscores = true
        engine.alias("@admin", try .http("127.0.0.1:\(back)"), access: .role("admin"))
        engine.mount("/admin", .upstream("@admin", options))
        engine.mount(
            "/machines", access: .role("machine") && .source("127.0.0.0/8"),
            .upstream("http://127.0.0.1:\(back)", options))
        engine.mount("/elsewhere", access: .source("10.0.0.0/8"), .upstream("http://127.0.0.1:\(back)", options))
        engine.mount("/open", .upstream("http://127.0.0.1:\(back)", options))
        func token(_ roles: JSONValue) throws -> [String] {
            let exp: JSONValue = 10_000_000_000
            return [
                "-H", "Authorization: Bearer \(try secret.sign(["sub": "ada", "realm": ["roles": roles], "exp": exp]))",
            ]
        }
        try await serving(engine) { (port, _) async throws in
            let url = "http://127.0.0.1:\(port)"
            let forged = [
                "-H", "X-Forwarded-User: root", "-H", "X-Forwarded-Roles: admin", "-H", "X_Forwarded_User: root", "-H",
                "X_Forwarded-User: root",
            ]
            for (path, arguments, status) in [
                ("/admin/x", [], "401"), ("/admin/x", try token(["admin"]), "200"),
                ("/admin/x", try token(["user"]), "403"),
                ("/admin/x", ["-u", "bob:secret"], "403"), ("/admin/x", ["-u", "bob:wrong"], "401"),
                ("/admin/x", ["-H", "Authorization: Bearer x.y.z"], "401"), ("/open/x", ["-u", "bob:wrong"], "401"),
                ("/admin/x", forged, "401"), ("/machines/x", ["-H", "X-API-Key: \(key)"], "200"),
                ("/machines/x?key=\(key)", [], "200"), ("/machines/x", ["-H", "X-API-Key: \(key)x"], "401"),
                ("/machines/x", try token(["admin"]), "403"), ("/elsewhere/x", try token(["admin"]), "403"),
                ("/elsewhere/x", [], "403"), ("/open/x", [], "200"), ("/open/x", ["-u", "bob:secret"], "200"),
            ] {
                let answer = try await curl(url + path, arguments)
                #expect(answer.status == status, "\(path) \(arguments)\n\(answer.text)")
                if status == "401" {
                    #expect(answer.text.lowercased().contains("www-authenticate: "), "\(answer.text)")
                }
            }
            // Other spellings of a protected path.
            for path in [
                "/admin%2Fx", "//admin/x", "/open%2F..%2Fadmin/x", "/open/..%2Fadmin/x", "/open/..%5Cadmin/x",
                "/%61dmin/x", "/admin%5Cx", "/open//x", "/open/a%2Fb",
            ] {
                let status = try await curl(url + path, ["--path-as-is"]).status
                #expect(
                    path == "/%61dmin/x"
                        ? status == "401"
                        : ["/open//x", "/open/a%2Fb"].contains(path)
                            ? status == "200" : ["400", "404"].contains(status),
                    "\(path): \(status)")
            }
            let bare = try await curl("\(url)/admin/x", []).text
            #expect(
                bare.contains("Bearer realm=\"shop\"") && bare.contains("Basic realm=\"shop\"")
                    && bare.contains("APIKey"))
            let admin = try await curl("\(url)/admin/x", try token(["admin", "a,b"]) + forged).text
            #expect(
                admin.contains(#""X-Forwarded-User":"ada""#) && admin.contains(#""X-Forwarded-Roles":"a%2Cb,admin""#),
                "\(admin)")
            #expect(!admin.contains("root") && !admin.contains("Bearer"))
            let machine = try await curl("\(url)/machines/x", ["-H", "X-API-Key: \(key)"]).text
            #expect(machine.contains(#""X-Forwarded-User":"robot""#) && !machine.contains(key), "\(machine)")
            let open = try await curl("\(url)/open/x", forged).text
            #expect(!open.contains("root") && !open.contains("Forwarded-Roles"), "\(open)")
            // A browser sends a preflight request without credentials.
            let preflight = try await curl(
                "\(url)/admin/x",
                ["-X", "OPTIONS", "-H", "Origin: https://shop.example.org", "-H", "Access-Control-Request-Method: GET"])
            #expect(
                preflight.status == "204" && preflight.text.contains("Access-Control-Allow-Origin"), "\(preflight.text)"
            )
        }
        await process.stop()
    }

    @Test(
        "a shared cache behind a gateway gives nobody another one's page, although no field of the request says who asks"
    )
    func cachedIdentities() async throws {
        let (process, back) = try await flask()
        var options = UpstreamConfiguration()
        options.identity = IdentityFields()
        options.forwardsCredentials = false
        options.cache = .memory(isShared: true)
        var engine = Engine()
        engine.middleware = [
            Gateway(BasicAuthentication(realm: "x", verify: { _, password in password == "secret" }), policy: .anyone)
        ]
        engine.mount("/", .upstream("http://127.0.0.1:\(back)", options))
        try await serving(engine) { (port, _) async throws in
            func page(_ age: String, _ user: String?) async throws -> String {
                let credentials = user.map { ["-u", "\($0):secret"] } ?? []
                return try await runToEnd("curl", ["-sS", "http://127.0.0.1:\(port)/me/\(age)"] + credentials).output
            }
            for age in ["max-age=60", "private", "no-store"] {
                for user in ["ada", "bob", nil] { #expect(try await page(age, user) == user ?? "-", "\(age)") }
            }
            // A response that its server marks as public is for all clients.
            for user in ["ada", "bob", nil] { #expect(try await page("public,max-age=60", user) == "ada") }
        }
        await process.stop()
    }

    @Test("an OIDC provider's tokens, by its key set; unknown keys, and an unreachable provider")
    func provider() async throws {
        let port = try await Ports.free()
        func start() async throws -> PeerProcess {
            let process = try PeerProcess(
                Peers.python("oidc-provider-mock"), ["--port", "\(port)"], log: TestFolder.path("oidc.log"))
            try await Ports.untilOpen(port)
            return process
        }
        let provider = try await start()
        let script = """
            import httpx, sys
            base = sys.argv[1]
            with httpx.Client() as client:
                params = {"client_id": "shop", "redirect_uri": "http://x.example/back", "response_type": "code", "scope": "openid"}
                back = client.post(base + "/oauth2/authorize", params=params, data={"sub": "ada"})
                code = httpx.URL(back.headers["location"]).params["code"]
                data = {"grant_type": "authorization_code", "code": code, "redirect_uri": params["redirect_uri"]}
                print(client.post(base + "/oauth2/token", data=data, auth=("shop", "secret")).json()["id_token"], end="")
            """
        let issued = try await runToEnd(Peers.python(), ["-c", script, "http://localhost:\(port)"])
        let token = issued.output
        #expect(token.split(separator: ".").count == 3, "\(issued)")
        let verifier = TokenVerifier(keys: [], issuers: ["http://localhost:\(port)"], audiences: ["shop"])
        func engine() throws -> Engine {
            var engine = Engine()
            let keys = try RemoteKeySet("http://localhost:\(port)/jwks")
            engine.middleware = [Gateway(TokenAuthentication(realm: "shop", verifier, keysFrom: keys))]
            engine.get("/") { "hello \($0.identity?.user ?? "")" }
            return engine
        }
        let bearer = ["-H", "Authorization: Bearer \(token)"]
        let stranger = try TokenKey(secret: Array(repeating: 1, count: 32), id: "nobody").sign([
            "sub": "eve", "exp": 1e10,
        ])
        try await serving(engine()) { (server, _) async throws in
            let url = "http://127.0.0.1:\(server)/"
            #expect(try await curl(url, bearer).text.hasSuffix("hello ada"))
            #expect(try await curl(url, ["-H", "Authorization: Bearer \(stranger)"]).status == "401")
            #expect(try await curl(url, []).status == "401")
            await provider.stop(SIGKILL)
            #expect(try await curl(url, bearer).status == "200")
            #expect(try await curl(url, ["-H", "Authorization: Bearer \(stranger)"]).status == "401")
        }
        // An engine that has never obtained the keys reports that, and does not fetch them for each request.
        try await serving(engine()) { (server, _) async throws in
            for _ in 0..<3 { #expect(try await curl("http://127.0.0.1:\(server)/", bearer).status == "503") }
        }
        #expect(throws: SkeinError.self) { try RemoteKeySet("http://id.example.org/jwks") }
    }

    @Test(
        "ten thousand tokens with unknown keys, and an issuer that lies: one fetch in 30 s, and known keys go on working"
    )
    func unknownKeys() async throws {
        let asked = Mutex(0)
        // The key of RFC 7515, appendix A.3.
        let known = try TokenKey(
            jsonWebKey: [
                "kty": "EC", "crv": "P-256", "kid": "known", "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
                "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0", "d": "jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LI",
            ])
        // Signed with a symmetric key from the key set: anyone can fetch it, so it must not be used.
        let document = #"""
            {"keys":[{"kty":"EC","crv":"P-256","kid":"known","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
            "y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"},{"kty":"oct","kid":"open","k":"AwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwM"}]}
            """#
        var issuer = Engine()
        issuer.get("/jwks") { _ in
            let count = asked.withLock { count in
                count += 1
                return count
            }
            return count == 1
                ? ServerResponse(body: .text(document, contentType: "application/json")) : .text("not today")
        }
        try await serving(issuer) { (issuerPort, _) async throws in
            var engine = Engine()
            let keys = try RemoteKeySet("http://127.0.0.1:\(issuerPort)/jwks")
            engine.middleware = [Gateway(TokenAuthentication(realm: "x", TokenVerifier(keys: []), keysFrom: keys))]
            engine.get("/") { $0.user ?? "" }
            try await serving(engine) { (port, _) async throws in
                let client = SkeinClient()
                let good = try known.sign(["sub": "ada", "exp": 1e10])
                var group: [Corequest<HTTPResponse>] = []
                for number in 0..<10_000 {
                    let token = try TokenKey(secret: Array(repeating: 3, count: 32), id: "k\(number)").sign([
                        "sub": "eve", "exp": 1e10,
                    ])
                    group.append(client.get("http://127.0.0.1:\(port)/", headers: ["Authorization": "Bearer \(token)"]))
                    if number % 100 == 0 {
                        for request in group { #expect(await request.dispatch().statusCode == 401) }
                        group = []
                        let known = await client.get(
                            "http://127.0.0.1:\(port)/", headers: ["Authorization": "Bearer \(good)"]
                        ).dispatch()
                        #expect(try known.text() == "ada")
                    }
                }
                for request in group { #expect(await request.dispatch().statusCode == 401) }
                let open = try TokenKey(secret: Array(repeating: 3, count: 32), id: "open").sign([
                    "sub": "eve", "exp": 1e10,
                ])
                let refused = await client.get(
                    "http://127.0.0.1:\(port)/", headers: ["Authorization": "Bearer \(open)"]
                ).dispatch()
                #expect(refused.statusCode == 401)
                #expect(asked.withLock { $0 } == 1)
                await client.shutdown()
            }
        }
    }

    @Test("tokens of authlib, joserfc and jwcrypto are valid; authlib and jwcrypto accept ours")
    func issuers() async throws {
        let script = """
            import json, sys, time
            from authlib.jose import jwt as authlib_jwt, JsonWebKey
            from joserfc import jwt as joserfc_jwt, jwk as joserfc_jwk
            from jwcrypto import jwk, jwt
            claims = {"sub": "ada", "exp": int(time.time()) + 600}
            kinds = {"HS256": ("oct", 256), "HS512": ("oct", 512), "RS256": ("RSA", 2048), "PS384": ("RSA", 2048),
                     "ES256": ("EC", "P-256"), "ES384": ("EC", "P-384"), "ES512": ("EC", "P-521"), "EdDSA": ("OKP", "Ed25519")}
            out = []
            for name, (kind, size) in kinds.items():
                key = jwk.JWK.generate(kty=kind, kid="k", **({"size": size} if isinstance(size, int) else {"crv": size}))
                private, public = json.loads(key.export()), json.loads(key.export() if kind == "oct" else key.export_public())
                token = jwt.JWT(header={"alg": name, "kid": "k"}, claims=claims)
                token.make_signed_token(key)
                tokens = [token.serialize(), joserfc_jwt.encode({"alg": name, "kid": "k"}, claims, joserfc_jwk.import_key(private), algorithms=[name]),
                          authlib_jwt.encode({"alg": name, "kid": "k"}, claims, JsonWebKey.import_key(private)).decode()]
                out.append({"alg": name, "private": private, "public": public, "tokens": tokens})
            print(json.dumps(out))
            """
        let items = try #require(try await PeerTests.python(script, "").elements)
        #expect(items.count == 8)
        var ours: [JSONValue] = []
        for item in items {
            let name = item["alg"]?.string ?? ""
            let algorithm = try #require(TokenAlgorithm(rawValue: name))
            let verifier = TokenVerifier(keys: [try TokenKey(jsonWebKey: try #require(item["public"]))])
            for token in item["tokens"]?.elements ?? [] {
                #expect(try verifier.verify(token.string ?? "").subject == "ada", "\(name)")
            }
            let own = try TokenKey(jsonWebKey: try #require(item["private"])).sign(
                ["sub": "bob", "exp": 1e10], algorithm)
            ours.append(["alg": .string(name), "key": item["public"] ?? .null, "token": .string(own)])
        }
        let file = try TestFolder.write(JSONValue.array(ours).json, as: "ours")
        let check = """
            import json, sys
            from authlib.jose import JsonWebToken, JsonWebKey
            from jwcrypto import jwk, jwt
            names = []
            for item in json.load(open(sys.argv[1])):
                claims = JsonWebToken([item["alg"]]).decode(item["token"], JsonWebKey.import_key(item["key"]))
                other = json.loads(jwt.JWT(jwt=item["token"], key=jwk.JWK(**item["key"]), algs=[item["alg"]]).claims)
                names += [claims["sub"], other["sub"]]
            print(json.dumps(names))
            """
        #expect(try await PeerTests.python(check, file) == .array(Array(repeating: "bob", count: 16)))
    }

    @Test("opaque tokens: introspection is cached, and without the issuer access is refused")
    func introspection() async throws {
        // RFC 7662 by Flask: one token is active, with an audience.
        let script = """
            import sys
            from flask import Flask, jsonify, request
            app = Flask("issuer")
            asked = []
            @app.post("/introspect")
            def introspect():
                asked.append(request.form["token"])
                if request.authorization.username != "gate" or request.authorization.password != "s:1": return "", 401
                if request.form["token"] == "broken": return "{", 200
                if not request.form["token"].startswith("good"): return jsonify(active=False)
                return jsonify(active=True, sub="ada", scope="read write", aud="shop" if request.form["token"] == "good" else "other")
            @app.get("/asked")
            def count(): return str(len(asked))
            app.run(port=int(sys.argv[1]))
            """
        let back = try await Ports.free()
        let process = try PeerProcess(
            Peers.python(), ["-c", script, "\(back)"], log: TestFolder.path("introspect.log"))
        try await Ports.untilOpen(back)
        var engine = Engine()
        engine.middleware = [
            Gateway(
                try TokenIntrospection(
                    realm: "shop", endpoint: "http://127.0.0.1:\(back)/introspect", client: "gate", secret: "s:1",
                    audiences: ["shop"]),
                policy: .role("write"))
        ]
        engine.get("/") { $0.user ?? "" }
        try await serving(engine) { (port, _) async throws in
            func ask(_ token: String) async throws -> (status: String, text: String) {
                try await curl("http://127.0.0.1:\(port)/", ["-H", "Authorization: Bearer \(token)"])
            }
            for _ in 0..<3 { #expect(try await ask("good").text.hasSuffix("ada")) }
            for _ in 0..<2 { #expect(try await ask("bad").status == "401") }
            #expect(try await ask("good-elsewhere").status == "401")
            #expect(try await runToEnd("curl", ["-s", "http://127.0.0.1:\(back)/asked"]).output == "3")
            #expect(try await ask("broken").status == "503")
            await process.stop(SIGKILL)
            #expect(try await ask("good").status == "200")
            #expect(try await ask("new").status == "503")
        }
    }

    @Test("limits: curl and Flask see the remaining quota, and 429")
    func limits() async throws {
        let (process, back) = try await flask()
        struct Away: RateStore {
            func take(_ subject: String, _ rule: RateRule, at now: Double) async throws -> RateDecision {
                throw CancellationError()
            }
        }
        var engine = Engine()
        let upstream = UpstreamApp("http://127.0.0.1:\(back)")
        engine.mount("/limited", upstream.inside(RateLimit(5, per: .seconds(60), name: "few")))
        engine.mount("/window", upstream.inside(RateLimit(2, per: .seconds(1), .slidingWindow, by: .all)))
        engine.mount("/open", upstream.inside(RateLimit(1, per: .seconds(60), store: Away())))
        engine.mount(
            "/closed", upstream.inside(RateLimit(1, per: .seconds(60), store: Away(), whenUnavailable: .closed)))
        try await serving(engine) { (port, _) async throws in
            let url = "http://127.0.0.1:\(port)"
            var statuses: [String] = []
            for _ in 0..<7 { statuses.append(try await curl("\(url)/limited/x", []).status) }
            #expect(statuses == ["200", "200", "200", "200", "200", "429", "429"])
            let refused = try await curl("\(url)/limited/x", []).text
            #expect(
                refused.contains("RateLimit-Policy: \"few\";q=5;w=60") && refused.contains("RateLimit: \"few\";r=0;t="))
            let after =
                refused.split(separator: "\r\n").first { $0.hasPrefix("Retry-After: ") }.flatMap {
                    Int($0.dropFirst(13))
                } ?? 0
            #expect((1...12).contains(after), "\(refused)")
            var passed = 0
            for _ in 0..<10 { if try await curl("\(url)/window/x", []).status == "200" { passed += 1 } }
            #expect((2...6).contains(passed))
            for _ in 0..<3 { #expect(try await curl("\(url)/open/x", []).status == "200") }
            #expect(try await curl("\(url)/closed/x", []).status == "503")
        }
        await process.stop()
    }
}
