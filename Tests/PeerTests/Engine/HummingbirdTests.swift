import NIOCore
#if Hummingbird
    import Hummingbird
    import PeerSupport
    import SkeinEngine
    import SkeinHummingbird
    import Testing

    /// An unchanged Hummingbird router in an engine, with curl as its client.
    @Suite("Hummingbird", .serialized, .inTurn, .timeLimit(.minutes(3)))
    struct HummingbirdTests {
        private static func engine() -> Engine {
            let router = Hummingbird.Router(options: [.autoGenerateHeadEndpoints])
            router.addMiddleware { LogRequestsMiddleware(.trace) }
            router.get("/hello/{name}") { request, context in
                "hello \(try context.parameters.require("name")) \(request.uri.queryParameters["a"] ?? "-")"
            }
            router.post("/echo") { request, _ in
                Hummingbird.Response(
                    status: .created, headers: [.contentType: "x/y"], body: .init(asyncSequence: request.body))
            }
            router.get("/large") { _, _ in
                Hummingbird.Response(
                    status: .ok,
                    body: .init { writer in
                        for _ in 0..<100 { try await writer.write(ByteBuffer(repeating: 0x61, count: 100_000)) }
                        try await writer.finish(nil)
                    })
            }
            router.get("/refused") { _, _ -> String in throw HTTPError(.forbidden, message: "not for you") }
            var engine = Engine()
            engine.mount("/old", HummingbirdApp(router, logger: .silent))
            engine.mount("/old") { .text("next \($0.localPath)") }
            return engine
        }

        @Test(
            "routes, content both ways, errors, what it does not serve",
            arguments: ["--http1.1", "--http2-prior-knowledge"])
        func served(version: String) async throws {
            try await serving(Self.engine()) { (port, _) async throws in
                let base = "http://127.0.0.1:\(port)/old"
                #expect(try await curl(version, "\(base)/hello/ada?a=b") == "hello ada b")
                #expect(
                    try await curl(version, "-d", "content", "-w", " %{http_code} %{content_type}", "\(base)/echo")
                        == "content 201 x/y")
                let file = try TestFolder.write(String(repeating: "x", count: 1_000_000), as: "large")
                #expect(
                    try await curl(
                        version, "-T", file, "-X", "POST", "-o", "/dev/null", "-w", "%{size_download}", "\(base)/echo")
                        == "1000000")
                #expect(
                    try await curl(version, "-o", "/dev/null", "-w", "%{size_download}", "\(base)/large") == "10000000")
                #expect(try await curl(version, "-w", " %{http_code}", "\(base)/refused").hasSuffix(" 403"))
                #expect(try await curl(version, "\(base)/nothing") == "next /nothing")
                #expect(try await curl(version, "-I", "\(base)/hello/ada").contains("200"))
            }
        }
    }
#endif
