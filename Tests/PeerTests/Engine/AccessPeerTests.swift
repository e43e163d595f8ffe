import Foundation
import PeerSupport
import SkeinEngine
import Testing

/// Access control: passwords, tokens, sessions, cross-site requests, with third-party clients.
@Suite("Access", .serialized, .inTurn, .timeLimit(.minutes(5)))
struct AccessPeerTests {
    private static func engine() throws -> Engine {
        let key = try SigningKey(Array("a secret of more than thirty-two bytes".utf8))
        var router = Router()
        router.group(
            "/basic",
            BasicAuthentication(realm: "cloth") { user, password in
                user == "weaver" && constantTimeEqual(password, "söcret")
            }
        ) { $0.get("") { .text("hello \($0.user ?? "")") } }
        router.group("/digest", DigestAuthentication(realm: "cloth") { $0 == "weaver" ? "secret" : nil }) {
            $0.get("/<path:rest>") { .text("hello \($0.user ?? "")") }
        }
        router.group("/bearer", BearerAuthentication(realm: "cloth") { token, _ in token == "abc" ? "ada" : nil }) {
            $0.get("") { .text("hello \($0.user ?? "")") }
        }
        for (name, sessions) in [("stored", Sessions()), ("sealed", Sessions(sealedWith: key))] {
            router.group("/\(name)", sessions) { routes in
                routes.get("") { request in
                    let count = (request.session?["count"].flatMap { Int($0) } ?? 0) + 1
                    request.session?["count"] = String(count)
                    return .text("\(count)")
                }
                routes.get("/renew") { request in
                    request.session?.renew()
                    return .text("")
                }
                routes.get("/lost") { request in
                    request.session?["count"] = "40"
                    throw ServerError(404)
                }
                routes.get("/renew-and-fail") { request in
                    request.session?.renew()
                    throw ServerError(404)
                }
                routes.get("/end") { request in
                    request.session?.end()
                    return .text("")
                }
                routes.get("/token") { .text($0.formToken(key) ?? "") }
                routes.post("/form") { request in
                    let form = try await request.form()
                    try request.requireFormToken(form["token"], key)
                    return .text("done")
                }
            }
        }
        router.get("/signed") { request in
            var response = ServerResponse.text(request.signedCookie("who", key) ?? "nobody")
            response.setSignedCookie("who", "ada; lovelace", key, for: request)
            return response
        }
        router.get("/wrong-cookie") { request in
            var response = ServerResponse.text("")
            response.setCookie("a", "b; Domain=evil.test", for: request)
            return response
        }
        router.group("/guarded", SameSiteOnly(allowing: ["https://friend.test"])) {
            $0.on(nil, "") { _ in .text("changed") }
        }
        var cors = CORS("https://page.test")
        cors.allowsCredentials = true
        cors.exposed = ["X-Own"]
        router.group("/cors", cors) { routes in
            routes.on(nil, "") { request in
                if request.method == .delete { throw ServerError(409, "not now") }
                return .text("data")
            }
        }
        var engine = Engine()
        engine.mount("/", router)
        return engine
    }

    @Test("Python's requests: Basic, Digest, Bearer, sessions of both kinds, forms")
    func requests() async throws {
        try await serving(try Self.engine()) { (port, _) async throws in
            let found = try await python(
                """
                import json, sys, requests
                from requests.auth import HTTPDigestAuth
                base = sys.argv[1]
                out = {}
                out["basic"] = [requests.get(base + "/basic").status_code,
                                requests.get(base + "/basic", auth=("weaver".encode(), "söcret".encode())).text,
                                requests.get(base + "/basic", auth=("weaver", "wrong")).headers["WWW-Authenticate"]]
                digest = HTTPDigestAuth("weaver", "secret")
                session = requests.Session()
                out["digest"] = [session.get(base + f"/digest/a?b={i}", auth=digest).text for i in range(3)]
                out["digest wrong"] = [requests.get(base + "/digest/a", auth=HTTPDigestAuth(u, p)).status_code
                                       for u, p in (("weaver", "wrong"), ("other", "secret"))]
                used = session.get(base + "/digest/a?b=9", auth=digest).request.headers["Authorization"]
                again = requests.get(base + "/digest/a?b=9", headers={"Authorization": used})
                moved = requests.get(base + "/digest/b", headers={"Authorization": used})
                out["digest replayed"] = [again.status_code, "stale=true" in again.headers["WWW-Authenticate"], moved.status_code]
                out["bearer"] = [requests.get(base + "/bearer").status_code,
                                 requests.get(base + "/bearer", headers={"Authorization": "bearer abc"}).text,
                                 requests.get(base + "/bearer", headers={"Authorization": "Bearer x"}).headers["WWW-Authenticate"]]
                for kind in ("stored", "sealed"):
                    s = requests.Session()
                    counts = [s.get(f"{base}/{kind}").text for _ in range(3)]
                    cookie = s.cookies["session"]
                    flags = requests.get(f"{base}/{kind}").headers["Set-Cookie"]
                    changed = requests.get(f"{base}/{kind}", cookies={"session": ("y" if cookie[0] == "x" else "x") + cookie[1:]}).text
                    s.get(f"{base}/{kind}/renew")
                    renewed = [s.cookies["session"] != cookie, s.get(f"{base}/{kind}").text]
                    lost = [s.get(f"{base}/{kind}/renew-and-fail").status_code, s.get(f"{base}/{kind}").text,
                            s.get(f"{base}/{kind}/lost").status_code, s.get(f"{base}/{kind}").text]
                    if lost != ([404, "5", 404, "41"] if kind == "stored" else [404, "5", 404, "6"]): raise Exception(lost)
                    old = requests.get(f"{base}/{kind}", cookies={"session": cookie}).text
                    s.get(f"{base}/{kind}/end")
                    ended = s.get(f"{base}/{kind}").text
                    token = s.get(f"{base}/{kind}/token").text
                    form = [s.post(f"{base}/{kind}/form", data={"token": token}).text,
                            s.post(f"{base}/{kind}/form", data={"token": token + "x"}).status_code,
                            s.post(f"{base}/{kind}/form").status_code,
                            requests.post(f"{base}/{kind}/form", data={"token": token}).status_code]
                    out[kind] = [counts, "HttpOnly; SameSite=Lax" in flags and "Max-Age=1209600" in flags, changed, renewed, old, ended, form]
                s = requests.Session()
                out["signed"] = [s.get(base + "/signed").text, s.get(base + "/signed").text,
                                 requests.get(base + "/signed", cookies={"who": s.cookies["who"][:-1]}).text]
                out["wrong cookie"] = requests.get(base + "/wrong-cookie").status_code
                out["many cookies"] = requests.get(base + "/stored", headers={"Cookie": "session=" + "x" * 9000}).text
                print(json.dumps(out))
                """, "http://127.0.0.1:\(port)")
            func json(_ text: String) throws -> JSONValue {
                try JSONDecoder().decode(JSONValue.self, from: Data(text.utf8))
            }
            #expect(try found["basic"] == json(#"[401, "hello weaver", "Basic realm=\"cloth\", charset=\"UTF-8\""]"#))
            #expect(try found["digest"] == json(#"["hello weaver", "hello weaver", "hello weaver"]"#))
            #expect(try found["digest wrong"] == json("[401, 401]"))
            #expect(try found["digest replayed"] == json("[401, true, 401]"))
            #expect(
                try found["bearer"]
                    == json(#"[401, "hello ada", "Bearer realm=\"cloth\", error=\"invalid_token\""]"#))
            let form = #"["done", 403, 415, 403]"#
            #expect(try found["stored"] == json(#"[["1", "2", "3"], true, "1", [true, "4"], "1", "1", \#(form)]"#))
            // A value sealed in a cookie cannot be revoked for a client that kept the old one.
            #expect(try found["sealed"] == json(#"[["1", "2", "3"], true, "1", [true, "4"], "4", "1", \#(form)]"#))
            #expect(try found["signed"] == json(#"["nobody", "ada; lovelace", "nobody"]"#))
            #expect(found["wrong cookie"]?.integer == 500 && found["many cookies"]?.string == "1")
        }
    }

    @Test(
        "what pages of other sites make browsers ask for",
        arguments: [
            (["-X", "POST"], "200"), (["-X", "POST", "-H", "Origin: http://HOST"], "200"),
            (["-X", "POST", "-H", "Origin: http://evil.test"], "403"), (["-X", "POST", "-H", "Origin: null"], "403"),
            (["-X", "POST", "-H", "Sec-Fetch-Site: cross-site"], "403"),
            (["-X", "POST", "-H", "Sec-Fetch-Site: same-site"], "403"),
            (["-X", "POST", "-H", "Sec-Fetch-Site: same-origin"], "200"),
            (["-X", "POST", "-H", "Origin: https://friend.test", "-H", "Sec-Fetch-Site: cross-site"], "200"),
            (["-H", "Origin: http://evil.test", "-H", "Sec-Fetch-Site: cross-site"], "200"),
        ] as [([String], String)])
    func otherSites(arguments: [String], code: String) async throws {
        try await serving(try Self.engine()) { (port, _) async throws in
            let arguments = arguments.map { $0.replacing("HOST", with: "127.0.0.1:\(port)") }
            let got = try await runToEnd(
                "curl",
                ["-sS", "-o", "/dev/null", "-w", "%{http_code}"] + arguments + ["http://127.0.0.1:\(port)/guarded"])
            #expect(got.output == code)
        }
    }

    @Test("CORS: preflight requests, responses, errors too")
    func cors() async throws {
        try await serving(try Self.engine()) { (port, _) async throws in
            let url = "http://127.0.0.1:\(port)/cors"
            let before = try await curl(
                "-i", "-X", "OPTIONS", "-H", "Origin: https://page.test", "-H", "Access-Control-Request-Method: PUT",
                url)
            #expect(
                before.hasPrefix("HTTP/1.1 204")
                    && before.contains("Access-Control-Allow-Methods: GET, HEAD, POST, PUT"))
            #expect(
                before.contains("Access-Control-Allow-Origin: https://page.test\r\n") && before.contains("Vary: Origin")
            )
            #expect(before.contains("Access-Control-Allow-Credentials: true"))
            let data = try await curl("-i", "-H", "Origin: https://page.test", url)
            #expect(data.contains("Access-Control-Expose-Headers: X-Own") && data.hasSuffix("data"))
            let refused = try await curl("-i", "-X", "DELETE", "-H", "Origin: https://page.test", url)
            #expect(refused.hasPrefix("HTTP/1.1 409") && refused.contains("Access-Control-Allow-Origin"))
            let stranger = try await curl("-i", "-H", "Origin: https://evil.test", url)
            #expect(!stranger.contains("Access-Control-Allow-Origin") && stranger.contains("Vary: Origin"))
        }
    }
}
