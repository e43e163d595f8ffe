import Testing

@testable import SkeinEngine

/// Routes and mounts, without sockets.
@Suite("Router")
struct RouterTests {
    private static func text(_ name: String) -> @Sendable (ServerRequest) async throws -> ServerResponse {
        { request in
            let names = request.scope.route?.names ?? []
            let values = names.map { "\($0)=\(request.parameter($0) ?? "nil")" }
            return .text(([name] + values).joined(separator: " "))
        }
    }

    private static func router() -> Router {
        var router = Router()
        router.get("/", text("root"))
        router.get("/posts", text("posts"))
        router.post("/posts", text("new"))
        router.get("/posts/<int:id>", name: "post", text("int"))
        router.get("/posts/<uuid:id>", text("uuid"))
        router.get("/posts/<float:x>", text("float"))
        router.get("/posts/<slug>", name: "slug", text("slug"))
        router.get("/posts/new", text("literal"))
        router.get("/posts/<int:id>/comments/<int:comment>", text("comment"))
        router.get("/a/<b>/<c>/<d>/<e>/<f>", text("many"))
        router.get("/any/*/end", text("any"))
        router.get("/files/<path:name>", name: "file", text("file"))
        router.get("/rest/**", text("rest"))
        router.on(nil, "/all", handler: text("all"))
        router.get("/späße", text("umlaut"))
        router.get("/back/<int:n>/x", text("int way"))
        router.get("/back/<s>/y", text("string way"))
        router.group(
            "/admin",
            ClosureMiddleware { request, next in
                var response = try await next.respond(to: request)
                response.headers.add("X-Layer", "admin")
                return response
            }
        ) { admin in
            admin.get("/users", text("users"))
            admin.group("/deep") { $0.get("/er", text("deeper")) }
        }
        return router
    }

    @Test(
        "a path leads to its route",
        arguments: [
            ("/", "root"), ("/posts", "posts"), ("/posts/5", "int id=5"), ("/posts/-5", "int id=-5"),
            ("/posts/+5", "slug slug=+5"), ("/posts/1.5", "float x=1.5"), ("/posts/new", "literal"),
            ("/posts/old", "slug slug=old"),
            ("/posts/99999999999999999999", "float x=99999999999999999999"),
            ("/posts/6ba7b810-9dad-11d1-80b4-00c04fd430c8", "uuid id=6ba7b810-9dad-11d1-80b4-00c04fd430c8"),
            ("/posts/5/comments/6", "comment id=5 comment=6"), ("/a/1/2/3/4/5", "many b=1 c=2 d=3 e=4 f=5"),
            ("/any/thing/end", "any"), ("/files/a/b.txt", "file name=a/b.txt"), ("/files/", "file name="),
            ("/rest/", "rest ="), ("/rest/x/y", "rest =x/y"), ("/all", "all"), ("/posts/a%20b", "slug slug=a b"),
            ("/posts/a%2Fb", "slug slug=a/b"), ("/p%6Fsts/%35", "int id=5"), ("/sp%C3%A4%c3%9fe", "umlaut"),
            ("/back/5/x", "int way n=5"), ("/back/5/y", "string way s=5"), ("/admin/users", "users"),
            ("/admin/deep/er", "deeper"), ("/posts?x=/y", "posts"), ("/posts/%E4", "slug slug=nil"),
        ])
    func found(path: String, text: String) async throws {
        let client = try await TestClient.inMemory(Self.router())
        // In a test without sockets, the path is given as it would be sent.
        let response = try await client.get(path)
        #expect(response.status == .ok && response.text == text)
        await client.stop()
    }

    @Test(
        "a path without a route is 404",
        arguments: [
            "/nothing", "/posts/", "/posts//", "/posts/5/", "//posts", "/files", "/any//end", "/admin",
            "/posts/5/comments/x",
        ])
    func missing(path: String) async throws {
        let client = try await TestClient.inMemory(Self.router())
        #expect(try await client.get(path).status == .notFound)
        await client.stop()
    }

    @Test("HEAD is handled like GET, OPTIONS returns the methods, other methods get 405")
    func methods() async throws {
        let client = try await TestClient.inMemory(Self.router())
        let head = try await client.send(.head, "/posts")
        #expect(head.status == .ok && head.text.isEmpty)
        let options = try await client.send(.options, "/posts")
        #expect(options.status == .noContent && options.headers["Allow"] == "GET, HEAD, OPTIONS, POST")
        let put = try await client.send(.put, "/posts")
        #expect(put.status == .methodNotAllowed && put.headers["Allow"] == "GET, HEAD, OPTIONS, POST")
        #expect(try await client.send("BREW", "/all").text == "all")
        #expect(try await client.get("/admin/users").headers["X-Layer"] == "admin")
        await client.stop()
    }

    @Test(
        "routes that are none keep the server from starting",
        arguments: [
            "posts", "/<", "/<int:>", "/<int:a:b>", "/<strange:x>", "/**/x", "/<path:x>/y", "/<x>/<x>", "/a/../b",
        ])
    func malformed(route: String) async {
        var router = Router()
        router.get(route) { _ in .text("") }
        let finished = router
        await #expect(throws: SkeinError.self) { try await finished.bootstrap(at: MountPoint.root) }
    }

    @Test("an app knows its mount, and builds paths with it")
    func mounts() async throws {
        var inner = Router()
        inner.get("/", name: "home") { .text("\($0.mount.path)|\($0.localPath)|\($0.url("/x"))") }
        inner.get("/posts/<int:id>/<path:rest>", name: "post") { request in
            .text(try request.url(to: "post", ["id": 7, "rest": "a b/c"]))
        }
        var outer = Router()
        outer.mount("/blog", app: inner)
        outer.get("/own") { .text("own \($0.mount.path)") }
        var engine = Engine()
        engine.mount("/v1", outer)
        engine.mount("/v2/", inner)
        engine.mount("/") { request in
            guard request.localPath != "/passed" else { throw NotServed() }
            return .text("root \(request.localPath)")
        }
        engine.mount("/") { _ in .text("second") }
        let client = try await TestClient.inMemory(engine)
        #expect(try await client.get("/v1/blog").text == "/v1/blog||/v1/blog/x")
        #expect(try await client.get("/v1/blog/").text == "/v1/blog|/|/v1/blog/x")
        #expect(try await client.get("/v1/blog/posts/1/z").text == "/v1/blog/posts/7/a%20b/c")
        #expect(try await client.get("/v1/own").text == "own /v1")
        #expect(try await client.get("/v2").text == "/v2||/v2/x")
        #expect(try await client.get("/v22").text == "root /v22")
        #expect(try await client.get("/passed").text == "second")
        // A longer mount is separate: requests that it does not serve are not passed to the shorter one.
        #expect(try await client.get("/v1/nothing").status == .notFound)
        await client.stop()
    }

    @Test("hosts: exact names before wildcards before all, and the longest path first")
    func hosts() async throws {
        var engine = Engine()
        engine.mount("/") { _ in .text("any") }
        engine.mount("/static") { _ in .text("static") }
        engine.mount("/", host: "www.site1.test") { _ in .text("site1") }
        engine.mount("/", host: "*.site1.test") { _ in .text("wild") }
        engine.mount("/", host: "*.deep.site1.test") { _ in .text("deep") }
        engine.mount("/api", host: "*.site1.test") { _ in .text("api") }
        let client = try await TestClient.inMemory(engine)
        func ask(_ host: String, _ path: String = "/") async throws -> String {
            try await client.get(path, headers: ["Host": host]).text
        }
        #expect(try await ask("other.test") == "any")
        #expect(try await ask("WWW.site1.TEST:8080") == "site1")
        #expect(try await ask("www.site1.test.") == "site1")
        #expect(try await ask("a.site1.test") == "wild")
        #expect(try await ask("site1.test") == "any")
        #expect(try await ask("evilsite1.test") == "any")
        #expect(try await ask("a.deep.site1.test") == "deep")
        #expect(try await ask("a.deep.site1.test", "/api/x") == "api")
        #expect(try await ask("www.site1.test", "/static/x") == "static")
        #expect(try await ask("www.site1.test", "/api") == "api")
        #expect(try await ask("[::1]:80") == "any")
        await client.stop()
    }

    @Test("an app can be prepared by bootstrap, and extended by mounts")
    func exported() async throws {
        struct Shop: App {
            let currency: String
            var extras = Router()

            func respond(to request: ServerRequest) async throws -> ServerResponse { throw NotServed() }

            func bootstrap(at mount: MountPoint) async throws -> any App {
                guard currency.count == 3 else { throw SkeinError(.exception, because: "a currency has three letters") }
                var router = extras
                router.get("/price") { [currency] in .text("5 \(currency) at \($0.mount.path)") }
                return try await router.bootstrap(at: mount)
            }
        }
        var shop = Shop(currency: "EUR")
        shop.extras.get("/terms") { _ in .text("terms") }
        var engine = Engine()
        engine.mount("/shop", shop)
        let client = try await TestClient.inMemory(engine)
        #expect(try await client.get("/shop/price").text == "5 EUR at /shop")
        #expect(try await client.get("/shop/terms").text == "terms")
        await client.stop()
        engine.mount("/wrong", Shop(currency: "E"))
        let finished = engine
        await #expect(throws: SkeinError.self) { try await TestClient.inMemory(finished) }
    }

    @Test("errors are pages for browsers, problems for programs, and custom pages of an app")
    func errors() async throws {
        var engine = Engine()
        engine.configuration.logger = .silent
        engine.mount("/") { request in
            if request.path == "/teapot" { throw ServerError(418, "<b> & \"tea\"") }
            struct Broken: Error {}
            throw Broken()
        }
        let client = try await TestClient.inMemory(engine)
        let problem = try await client.get("/teapot", headers: ["Accept": "application/json, text/html;q=0.5"])
        #expect(problem.headers["Content-Type"] == "application/problem+json")
        let said = try problem.json([String: JSONValue].self)
        #expect(said["status"] == .integer(418) && said["detail"] == .string("<b> & \"tea\""))
        let page = try await client.get("/teapot", headers: ["Accept": "text/html,*/*"])
        #expect(
            page.text.contains("&lt;b&gt; &amp; &quot;tea&quot;")
                && page.headers["Content-Type"] == "text/html; charset=utf-8")
        let broken = try await client.get("/broken")
        #expect(broken.status == .internalServerError && !broken.text.contains("Broken"))
        await client.stop()
        engine.errorPage = { _, error in error.status == 418 ? .text("no tea", status: error.status) : nil }
        let own = try await TestClient.inMemory(engine)
        #expect(try await own.get("/teapot").text == "no tea")
        #expect(try await own.get("/broken").status == .internalServerError)
        await own.stop()
    }
}
