import NIOCore
import PeerSupport
import Skein
import Testing

/// Failures below HTTP: each has its code and its message, and the client continues to work.
@Suite("Failures", .serialized, .inTurn, .timeLimit(.minutes(5)))
struct FailureTests {
    private static let ok = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

    /// A server that violates HTTP, and the resulting code; shown by its name.
    struct Misbehaviour: CustomTestStringConvertible {
        let testDescription: String
        let steps: [ScriptedServer.Step]
        let code: Int
    }

    /// A session whose limits are short enough to be reached.
    private func session() -> SkeinClient {
        var configuration = SkeinClient.Configuration()
        configuration.threads = 1  // of its own: time counts here
        configuration.http.timeout = .seconds(3)
        configuration.http.maximumBodySize = 1000
        return SkeinClient(configuration)
    }

    @Test(
        "a server that misbehaves",
        arguments: [
            ("a reset in the middle", [.send("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nabc"), .reset], 700),
            ("a silent peer", [], 702),
            ("a peer that falls silent in the head", [.send("HTTP/1.1 200 OK\r\nX: ")], 702),
            ("a peer that falls silent in the body", [.send("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nab")], 702),
            ("a truncated body", [.send("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nabc"), .close], 707),
            (
                "a truncated chunk", [.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nabc"), .close],
                707
            ),
            (
                "a malformed chunk", [.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-9\r\nabc"), .wait],
                707
            ),
            ("no answer", [.close], 708),
            ("garbage instead of a status line", [.send("ceci n'est pas HTTP"), .wait], 715),
            ("a head cut short", [.send("HTTP/1.1 200 OK\r\nX: y\r\n"), .close], 707),
            (
                "a head that never ends",
                [.send("HTTP/1.1 200 OK\r\n" + String(repeating: "X: y\r\n", count: 9000)), .wait], 715
            ),
            (
                "two lengths", [.send("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab"), .wait],
                715
            ),
            ("a 101 that nobody asked for", [.send("HTTP/1.1 101 Switching Protocols\r\n\r\n"), .wait], 716),
            (
                "a body announced larger than the limit",
                [.send("HTTP/1.1 200 OK\r\nContent-Length: 1001\r\n\r\n"), .wait], 719
            ),
            (
                "a body that grows larger than the limit",
                [.send("HTTP/1.1 200 OK\r\n\r\n" + String(repeating: "x", count: 2000)), .wait], 719
            ),
        ].map(Misbehaviour.init))
    func misbehaving(server: Misbehaviour) async throws {
        let code = server.code
        let bad = try await ScriptedServer.start { _ in server.steps }
        let good = try await ScriptedServer.start { _ in [.send(Self.ok), .wait, .send(Self.ok)] }
        let skein = session()
        let response = await skein.get("http://127.0.0.1:\(bad.port)/").dispatch()
        #expect(response.statusCode == code, "\(response.reportLine)")
        #expect(response.reportLine.hasPrefix("REQID 0. \(code) "))
        #expect(response.failure?.message.isEmpty == false)
        // The client continues to work.
        #expect(await skein.get("http://127.0.0.1:\(good.port)/", timeout: .seconds(20)).dispatch().statusCode == 200)
        let summary = await skein.fetchAll()
        #expect(summary.failures == 1)
        await bad.stop()
        await good.stop()
    }

    @Test("an unknown host, a refused port, a malformed URL, an invalid header")
    func neverSent() async throws {
        let skein = session()
        #expect(await skein.get("http://no-such-host.invalid/", timeout: .seconds(20)).dispatch().statusCode == 704)
        #expect(await skein.get("http://127.0.0.1:1/").dispatch().statusCode == 714)
        #expect(await skein.get("http+unix://%2Fno%2Fsuch.sock/").dispatch().statusCode == 714)
        #expect(await skein.get("htp:/").dispatch().statusCode == 701)
        #expect(await skein.get("http://127.0.0.1:1/", headers: ["X": "a\r\nY: b"]).dispatch().statusCode == 714)
        let server = try await ScriptedServer.start { _ in [.send(Self.ok), .wait, .send(Self.ok)] }
        let url = "http://127.0.0.1:\(server.port)/"
        let refused = await skein.get(url, headers: ["X": "a\r\nY: b"]).dispatch()
        #expect(refused.statusCode == 701)
        #expect(refused.failure?.message.contains("\"X\"") == true)
        #expect(await skein.request(.connect, url).dispatch().statusCode == 701)
        #expect(await skein.get(url, timeout: .seconds(20)).dispatch().statusCode == 200)
        await server.stop()
    }

    @Test("an idempotent request on a dead connection is sent once more, and only once")
    func replay() async throws {
        let server = try await ScriptedServer.start { number in
            number == 0 ? [.send(Self.ok), .wait, .close] : [.send(Self.ok), .wait, .send(Self.ok)]
        }
        let skein = SkeinClient(concurrency: 1)
        let url = "http://127.0.0.1:\(server.port)/"
        #expect(await skein.get(url).dispatch().statusCode == 200)
        #expect(await skein.get(url).dispatch().statusCode == 200)
        #expect(server.connectionCount == 2)
        await server.stop()

        let hopeless = try await ScriptedServer.start { number in
            number == 0 ? [.send(Self.ok), .wait, .close] : [.close]
        }
        let again = "http://127.0.0.1:\(hopeless.port)/"
        #expect(await skein.get(again).dispatch().statusCode == 200)
        #expect(await skein.get(again).dispatch().statusCode == 708)
        #expect(hopeless.connectionCount == 2)
        await hopeless.stop()
    }

    @Test("a request that is not idempotent is never sent twice")
    func noReplay() async throws {
        let server = try await ScriptedServer.start { number in
            number == 0 ? [.send(Self.ok), .wait, .close] : [.send(Self.ok)]
        }
        let skein = SkeinClient(concurrency: 1)
        let url = "http://127.0.0.1:\(server.port)/"
        #expect(await skein.post(url, body: .text("a")).dispatch().statusCode == 200)
        #expect(await skein.post(url, body: .text("b")).dispatch().statusCode == 708)
        #expect(server.connectionCount == 1)
        await server.stop()
    }

    @Test("unsolicited bytes after a response close the connection before the next request")
    func responseSplitting() async throws {
        let server = try await ScriptedServer.start { _ in
            [.send(Self.ok + "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil"), .wait]
        }
        let skein = SkeinClient(concurrency: 1)
        let url = "http://127.0.0.1:\(server.port)/"
        for _ in 0..<3 { #expect(String(buffer: await skein.get(url).dispatch().content) == "ok") }
        #expect(server.connectionCount == 3)
        await server.stop()
    }

    @Test("an upload to a peer that does not read ends at the timeout, without buffering its source")
    func stuckUpload() async throws {
        let server = try await ScriptedServer.start { _ in [.stopReading] }
        let skein = session()
        let piece = ByteBuffer(repeating: 0x61, count: 64 << 10)
        let made = Tally()
        let pieces = AsyncStream(unfolding: { () -> ByteBuffer? in
            made.add()
            return piece
        })
        let response = await skein.post("http://127.0.0.1:\(server.port)/", body: .stream(pieces)).dispatch()
        #expect(response.statusCode == 702)
        // As much as the sockets hold, and no more.
        #expect((1...500).contains(made.count))
        await server.stop()
    }
}
