import Foundation
import NIOCore
import PeerSupport
import Skein
import SkeinEngine
import Testing

/// Requests that a client and a back end could interpret differently, and fields that a client sets itself.
@Suite("Proxy: two parsers", .serialized, .inTurn, .timeLimit(.minutes(5)))
struct ProxyTrustTests {
    /// A back end that counts requests and records their paths, and reports them at `/seen`, which is not counted.
    private static let app = """
        import json, sys
        seen = []
        def application(environ, start_response):
            path = environ.get("RAW_URI") or environ.get("REQUEST_URI") or environ["PATH_INFO"]
            if path.startswith("/seen"):
                content = json.dumps(seen).encode()
                seen.clear()
            else:
                seen.append(path)
                environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
                names = sorted(name for name in environ if name.startswith("HTTP_"))
                content = json.dumps({name: environ[name] for name in names}).encode()
            start_response("200 OK", [("Content-Type", "application/json"), ("X-Back", "yes"), ("Content-Length", str(len(content)))])
            return [content]
        if __name__ == "__main__":
            from werkzeug.serving import run_simple
            run_simple("127.0.0.1", int(sys.argv[1]), application, threaded=True)
        """

    private static let asgi = """
        import json
        seen = []
        async def app(scope, receive, send):
            if scope["type"] != "http":
                return
            path = scope["raw_path"].decode()
            while (await receive()).get("more_body"):
                pass
            if path.startswith("/seen"):
                content = json.dumps(seen).encode()
                seen.clear()
            else:
                seen.append(path)
                content = b"{}"
            await send({"type": "http.response.start", "status": 200, "headers": [(b"x-back", b"yes"), (b"content-length", str(len(content)).encode())]})
            await send({"type": "http.response.body", "body": content})
        """

    private static func backEnds() async throws -> [(name: String, port: Int, process: PeerProcess)] {
        let folder = TestFolder.path("trust")
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        try app.write(toFile: "\(folder)/counting.py", atomically: true, encoding: .utf8)
        try asgi.write(toFile: "\(folder)/counting_asgi.py", atomically: true, encoding: .utf8)
        let environment = ["PYTHONPATH": folder, "PYTHONDONTWRITEBYTECODE": "1"]
        var started: [(name: String, port: Int, process: PeerProcess)] = []
        for (name, program, arguments) in [
            (
                "gunicorn", "gunicorn",
                ["-k", "gthread", "--threads", "8", "-b", "127.0.0.1:PORT", "counting:application"]
            ),
            ("hypercorn", "hypercorn", ["-b", "127.0.0.1:PORT", "counting_asgi:app"]),
            ("werkzeug", "python3", ["\(folder)/counting.py", "PORT"]),
        ] {
            let port = try await Ports.free()
            let process = try PeerProcess(
                Peers.python(program), arguments.map { $0.replacing("PORT", with: "\(port)") },
                environment: environment,
                log: TestFolder.path("trust-\(name).log"))
            try await Ports.untilOpen(port)
            started.append((name, port, process))
        }
        return started
    }

    /// Requests that parsers have interpreted in more than one way.
    static let smuggling: [String] = {
        let codings = [
            "Transfer-Encoding: chunked", "Transfer-Encoding : chunked", "Transfer-Encoding:\tchunked",
            "Transfer-Encoding: xchunked", "Transfer-Encoding: chunked, identity",
            "Transfer-Encoding: identity, chunked",
            "Transfer-Encoding: CHUNKED", " Transfer-Encoding: chunked", "X: y\nTransfer-Encoding: chunked",
            "Transfer-Encoding: \u{0B}chunked", "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity",
            "Transfer_Encoding: chunked", "Transfer-Encoding: \"chunked\"", "Transfer-Encoding: chunked;q=1",
            "Transfer-Encoding:\r\n chunked", "X: \rTransfer-Encoding: chunked", "Transfer-Encoding: chunked\u{00}",
            "Connection: Transfer-Encoding\r\nTransfer-Encoding: chunked",
        ]
        let lengths = [
            "", "Content-Length: 4\r\n", "Content-Length: 0\r\n", "Content-Length: +4\r\n", "Content-Length: 4, 4\r\n",
            "Content-Length: 4\r\nContent-Length: 5\r\n", "Content-Length: 0x4\r\n", "Content_Length: 4\r\n",
            "Content-Length : 4\r\n", "Connection: Content-Length\r\nContent-Length: 4\r\n",
        ]
        let second = "GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"
        var inputs: [String] = []
        for coding in codings {
            for length in lengths {
                inputs.append("POST /first HTTP/1.1\r\nHost: a\r\n\(length)\(coding)\r\n\r\n0\r\n\r\n\(second)")
            }
        }
        for chunk in [
            "0x1\r\nx\r\n0", "1;a=b\r\nx\r\n0", "1\nx\n0", "-1\r\nx\r\n0", "1 \r\nx\r\n0",
            "00000000000000001\r\nx\r\n0", "1\r\nxy\r\n0",
        ] {
            inputs.append(
                "POST /first HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n\(chunk)\r\n\r\n\(second)")
        }
        for line in [
            "GET /first HTTP/1.1 \r\n", "GET  /first HTTP/1.1\r\n", "GET\t/first HTTP/1.1\r\n",
            "GET /first HTTP/1.0\r\nTransfer-Encoding: chunked\r\n",
            "GET /fir st HTTP/1.1\r\n", "GET /first HTTP/2.0\r\n", "GET /first\r\n", "GET /first#x HTTP/1.1\r\n",
            "GET /a/../first HTTP/1.1\r\n",
            "GET /first%00 HTTP/1.1\r\n", "GET /first%2 HTTP/1.1\r\n", "GET http://b/first HTTP/1.1\r\n",
            "GET //b/first HTTP/1.1\r\n",
            "CONNECT /first HTTP/1.1\r\n", "TRACE /first HTTP/1.1\r\n", "GET /first HTTP/1.1\r\nHost: b\r\n",
            "GET /first HTTP/1.1\r\nHost : b\r\n",
            "GE\u{00}T /first HTTP/1.1\r\n", "GET /first?a#b HTTP/1.1\r\n",
        ] {
            inputs.append("\(line)Host: a\r\n\r\n\(second)")
        }
        return inputs
    }()

    @Test("two hundred ambiguous inputs: the proxy refuses, or the back end sees the same number of requests")
    func smuggling() async throws {
        #expect(Self.smuggling.count >= 200)
        for back in try await Self.backEnds() {
            var engine = Engine()
            engine.mount("/", .upstream("http://127.0.0.1:\(back.port)"))
            try await serving(engine) { port, _ in
                let skein = SkeinClient()
                var passed = 0
                for (number, input) in Self.smuggling.enumerated() {
                    let client = try await RawClient.connect(port)
                    try? await client.send(input.replacing("/first", with: "/first-\(number)-"))
                    try? await client.finishSending()
                    let all = await client.readToEnd()
                    let fromBack = all.lowercased().components(separatedBy: "x-back: yes").count - 1
                    let seen = try await skein.get("http://127.0.0.1:\(back.port)/seen").fetch()
                    let paths = try JSONDecoder().decode([String].self, from: Data(seen.readableBytesView))
                    let first = paths.filter { $0.contains("/first-\(number)-") }.count
                    let second = paths.filter { $0.contains("smuggled") }.count
                    // A request whose content is found to be malformed was refused after its back end had received its
                    // head.
                    let isRefused = all.contains("HTTP/1.1 400") && first == 1 && second == 0 && fromBack == 0
                    #expect(
                        first + second == fromBack || isRefused,
                        "\(back.name) \(input.debugDescription)\n\(all)\n\(paths)")
                    // What the proxy treats as content is content for the back end, too.
                    let responses = all.components(separatedBy: "HTTP/1.1 ").count - 1
                    #expect(second == 0 || responses == 2, "\(back.name) \(input.debugDescription)\n\(all)\n\(paths)")
                    passed += fromBack
                }
                await skein.shutdown()
                #expect(passed > 10, "\(back.name) has answered \(passed)")
            }
            await back.process.stop()
        }
    }

    @Test("a client's forwarding fields do not reach the back end, except from a trusted proxy")
    func spoofing() async throws {
        let back = try await Self.backEnds()
        let lies = [
            "X-Forwarded-For: 1.2.3.4", "X-Forwarded-Proto: https", "X-Forwarded-Host: evil", "X-Forwarded-Port: 1",
            "X-Forwarded-Prefix: /x", "Forwarded: for=1.2.3.4", "X-Real-IP: 1.2.3.4", "X_Forwarded_For: 1.2.3.4",
            "X-Forwarded_For: 1.2.3.4", "Proxy: http://evil", "Connection: X-Forwarded-For, X-Own, close", "X-Own: 1",
            "Keep-Alive: 1", "Proxy-Authorization: Basic eA==", "TE: gzip", "X-Kept: 1", "Via: 1.0 fred",
        ]
        let arguments = lies.flatMap { ["-H", $0] }
        func fields(_ port: Int) async throws -> [String: String] {
            let run = try await runToEnd("curl", ["-sS", "http://127.0.0.1:\(port)/x"] + arguments)
            return try JSONDecoder().decode([String: String].self, from: Data(run.output.utf8))
        }
        var engine = Engine()
        engine.mount("/", .upstream("http://127.0.0.1:\(back[0].port)"))
        try await serving(engine) { port, _ in
            var sent = try await fields(port)
            let via = sent.removeValue(forKey: "HTTP_VIA") ?? ""
            #expect(via.contains("1.1 skein"), "\(via)")
            sent["HTTP_USER_AGENT"] = nil
            #expect(
                sent == [
                    "HTTP_ACCEPT": "*/*", "HTTP_HOST": "127.0.0.1:\(port)", "HTTP_X_FORWARDED_FOR": "127.0.0.1",
                    "HTTP_X_FORWARDED_PROTO": "http", "HTTP_X_FORWARDED_HOST": "127.0.0.1:\(port)", "HTTP_X_KEPT": "1",
                ])
        }
        engine.configuration.trustedProxies = ["127.0.0.1"]
        try await serving(engine) { port, _ in
            let sent = try await fields(port)
            #expect(
                sent["HTTP_X_FORWARDED_FOR"] == "1.2.3.4, 127.0.0.1" || sent["HTTP_X_FORWARDED_FOR"] == "127.0.0.1",
                "\(sent)")
            #expect(sent["HTTP_X_FORWARDED_PROTO"] == "https" && sent["HTTP_X_FORWARDED_HOST"] == "evil")
            #expect(sent["HTTP_FORWARDED"] == nil)
        }
        for peer in back { await peer.process.stop() }
    }
}
