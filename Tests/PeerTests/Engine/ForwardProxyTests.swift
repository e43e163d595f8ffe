import Foundation
import NIOCore
import PeerSupport
import Skein
import SkeinEngine
import Testing

/// The forward proxy with curl, Python's requests and our own client.
@Suite("Forward proxy", .serialized, .inTurn, .timeLimit(.minutes(2)))
struct ForwardProxyTests {
    private func proxying(
        _ change: (inout ForwardProxyConfiguration) -> Void, _ test: (Int, HTTPServer) async throws -> Void
    ) async throws {
        var options = ForwardProxyConfiguration()
        change(&options)
        var engine = Engine()
        engine.get("/own") { _ in .text("own") }
        engine.forwardProxy = options
        try await serving(engine, test)
    }

    @Test("curl and Python fetch through it: http directly, other schemes through tunnels")
    func fetching() async throws {
        let nginx = try await Peers.shared.nginxPort()
        var secure = Engine()
        secure.get("/secure") { .text("secure \($0.version)") }
        let folder = try await Certificates.shared.folder()
        try await serving(secure.secured()) { tls, _ in
            try await proxying({
                $0.allowedAddresses = ["127.0.0.0/8"]
                $0.ports = [443, tls, nginx]
            }) { port, server in
                let proxy = "http://127.0.0.1:\(port)"
                let plain = try await curl("-x", proxy, "http://127.0.0.1:\(nginx)/hello")
                #expect(plain == "hello world")
                let big = try await curl(
                    "-x", proxy, "-o", "/dev/null", "-w", "%{size_download}", "http://127.0.0.1:\(nginx)/big")
                #expect(big == "8388608")
                let tunnelled = try await curl("-x", proxy, "-p", "http://127.0.0.1:\(nginx)/hello", "-v")
                #expect(tunnelled.contains("hello world") && tunnelled.contains("HTTP/1.1 200 OK"), "\(tunnelled)")
                let secure = try await curl(
                    "-x", proxy, "--cacert", "\(folder)/ca.pem", "https://localhost:\(tls)/secure")
                #expect(secure == "secure HTTP/2.0", "\(secure)")
                let own = try await curl("\(proxy)/own")
                #expect(own == "own")

                let found = try await python(
                    """
                    import json, sys, requests
                    session = requests.Session()
                    session.proxies = {"http": sys.argv[1], "https": sys.argv[1]}
                    print(json.dumps([
                        session.get(f"http://127.0.0.1:{sys.argv[2]}/hello").text,
                        session.get(f"https://localhost:{sys.argv[3]}/secure", verify=sys.argv[4] + "/ca.pem").text,
                        session.get(f"http://127.0.0.1:{sys.argv[2]}/hello").headers.get("Via"),
                    ]))
                    """, proxy, "\(nginx)", "\(tls)", folder)
                #expect(
                    found[0] == "hello world" && found[1] == "secure HTTP/1.1" && "\(found)".contains("1.1 skein"),
                    "\(found)")
                for _ in 0..<200 where server.connectionCount > 0 { try await Task.sleep(for: .milliseconds(20)) }
                #expect(server.connectionCount == 0)
            }
        }
    }

    @Test("forbidden targets are 403: private addresses, also by name; ports, hosts; unknown users get 407")
    func refusing() async throws {
        let nginx = try await Peers.shared.nginxPort()
        let closed = try await Ports.free()
        func status(_ arguments: String...) async throws -> String {
            try await runToEnd(
                "curl", ["-s", "--max-time", "20", "-o", "/dev/null", "-w", "%{http_code} %{http_connect}"] + arguments
            ).output
        }
        try await proxying({ $0.ports = [nginx] }) { port, _ in
            let proxy = "http://127.0.0.1:\(port)"
            for host in [
                "127.0.0.1", "localhost", "127.1", "0", "[::1]", "[::ffff:127.0.0.1]", "10.255.255.1",
                "169.254.169.254",
            ] {
                let plain = try await status("-g", "-x", proxy, "http://\(host):\(nginx)/hello")
                #expect(plain == "403 000", "\(host) \(plain)")
                let tunnel = try await status("-g", "-p", "-x", proxy, "http://\(host):\(nginx)/hello")
                #expect(tunnel == "000 403", "\(host) \(tunnel)")
            }
            let other = try await status("-p", "-x", proxy, "http://93.184.215.14:25/")
            #expect(other == "000 403")
        }
        try await proxying({
            $0.allowedAddresses = ["127.0.0.0/8"]
            $0.deniedAddresses = ["127.0.0.2"]
            $0.deniedHosts = ["*.example.org", "LOCALHOST"]
            $0.ports = [nginx]
            $0.authenticate = { $0 == "weaver" && constantTimeEqual($1, "secret") }
        }) { port, _ in
            let proxy = "http://weaver:secret@127.0.0.1:\(port)"
            #expect(try await status("-x", proxy, "http://127.0.0.1:\(nginx)/hello") == "200 000")
            #expect(try await status("-p", "-x", proxy, "http://127.0.0.1:\(nginx)/hello") == "200 200")
            #expect(try await status("-x", "http://127.0.0.1:\(port)", "http://127.0.0.1:\(nginx)/hello") == "407 000")
            #expect(
                try await status("-p", "-x", "http://weaver:x@127.0.0.1:\(port)", "http://127.0.0.1:\(nginx)/")
                    == "000 407")
            #expect(try await status("-x", proxy, "http://127.0.0.2:\(nginx)/hello") == "403 000")
            #expect(try await status("-x", proxy, "http://localhost:\(nginx)/hello") == "403 000")
            #expect(try await status("-x", proxy, "http://a.example.org/") == "403 000")
            #expect(try await status("-x", proxy, "http://127.0.0.1:\(closed)/") == "502 000")
            let client = try await RawClient.connect(port)
            try await client.send(
                "GET https://127.0.0.1:\(nginx)/ HTTP/1.1\r\nHost: a\r\nProxy-Authorization: Basic d2VhdmVyOnNlY3JldA==\r\nConnection: close\r\n\r\n"
            )
            let refused = await client.readToEnd()
            #expect(refused.hasPrefix("HTTP/1.1 400"), "\(refused)")
        }
        // A server that is not a proxy.
        try await serving(Engine()) { port, _ in
            let none = try await status("-p", "-x", "http://127.0.0.1:\(port)", "http://127.0.0.1:\(nginx)/")
            #expect(none == "000 405")
        }
    }

    @Test("a client's end and its first bytes pass a tunnel, also before it is open")
    func early() async throws {
        let echo = try PeerProcess(
            Peers.python(),
            [
                "-c",
                """
                import asyncio
                async def echo(reader, writer):
                    data = await reader.read(-1)
                    writer.write(data + b" after the end")
                    await writer.drain()
                    writer.close()
                async def main():
                    server = await asyncio.start_server(echo, "127.0.0.1", 0)
                    print("listening", server.sockets[0].getsockname()[1], flush=True)
                    await server.serve_forever()
                asyncio.run(main())
                """,
            ], log: TestFolder.path("tunnel-echo.log"))
        let back = Int(try await echo.untilPrinted("listening ")) ?? 0
        try await proxying({
            $0.allowedAddresses = ["127.0.0.0/8"]
            $0.ports = [back]
        }) { port, server in
            let client = try await RawClient.connect(port)
            try await client.send("CONNECT 127.0.0.1:\(back) HTTP/1.1\r\nHost: a\r\n\r\nearly")
            try await client.finishSending()
            let all = await client.readToEnd()
            #expect(all.hasSuffix("early after the end"), "\(all)")
            let refused = try await RawClient.connect(port)
            try await refused.send(
                "CONNECT 127.0.0.1:1 HTTP/1.1\r\nHost: a\r\n\r\nGET /own HTTP/1.1\r\nHost: a\r\n\r\n")
            let answer = await refused.readToEnd()
            #expect(answer.hasPrefix("HTTP/1.1 403") && !answer.contains("own"), "\(answer)")
            let mail = try await curl("-i", "-x", "http://127.0.0.1:\(port)", "http://127.0.0.1:25/")
            #expect(mail.hasPrefix("HTTP/1.1 403"), "\(mail)")
            for authority in ["x\",for=6.6.6.6;host=\"", "user@evil", "a,b", ""] {
                let liar = try await RawClient.connect(port)
                try await liar.send("GET http://\(authority)/own HTTP/1.1\r\nHost: a\r\n\r\n")
                let text = await liar.readToEnd()
                #expect(text.hasPrefix("HTTP/1.1 400"), "\(authority) \(text)")
            }
            for _ in 0..<200 where server.connectionCount > 0 { try await Task.sleep(for: .milliseconds(20)) }
            #expect(server.connectionCount == 0)
        }
        await echo.stop()
    }

    @Test("tunnels are limited by client, end with either side, and have an idle timeout")
    func tunnels() async throws {
        let echo = try await ScriptedServer.start { _ in [.send("hello"), .wait, .send("bye"), .close] }
        try await proxying({
            $0.allowedAddresses = ["127.0.0.0/8"]
            $0.ports = [echo.port]
            $0.maximumTunnelsPerClient = 2
            $0.tunnelTimeout = .milliseconds(400)
        }) { port, server in
            let request = "CONNECT 127.0.0.1:\(echo.port) HTTP/1.1\r\nHost: 127.0.0.1:\(echo.port)\r\n\r\n"
            let first = try await RawClient.connect(port)
            try await first.send(request + "early")
            try await first.untilReceived("hello")
            try await first.send("more")
            let all = await first.readToEnd()
            #expect(
                all.hasPrefix("HTTP/1.1 200 OK\r\n") && all.hasSuffix("\r\n\r\nhellobye")
                    && !all.contains("Content-Length"), "\(all)")

            let begun = ContinuousClock.now
            var silent: [RawClient] = []
            for _ in 0..<2 {
                let client = try await RawClient.connect(port)
                try await client.send(request)
                try await client.untilReceived("200 OK")
                silent.append(client)
            }
            let third = try await RawClient.connect(port)
            try await third.send(request)
            try await third.untilReceived("HTTP/1.1 429")
            await third.close()
            for client in silent { _ = await client.readToEnd() }
            #expect(ContinuousClock.now - begun < .seconds(5))
            for _ in 0..<200 where server.connectionCount > 0 { try await Task.sleep(for: .milliseconds(20)) }
            let again = try await RawClient.connect(port)
            try await again.send(request)
            try await again.untilReceived("200 OK")
            await again.close()
        }
        await echo.stop()
    }
}
