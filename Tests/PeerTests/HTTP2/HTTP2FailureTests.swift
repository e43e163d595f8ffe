import NIOCore
import PeerSupport
import Skein
import Testing

/// The client's HTTP/2 against a server that violates the protocol: the code and the message for each.
@Suite("HTTP/2 client, failures", .serialized, .inTurn, .timeLimit(.minutes(5)))
struct HTTP2FailureTests {
    private static func bytes(_ write: (inout Frames) -> Void) -> ByteBuffer {
        var frames = Frames()
        frames.settings()
        write(&frames)
        return frames.take()
    }

    private func response(
        _ script: [[ScriptedServer.Step]], _ change: (inout SkeinClient.Configuration) -> Void = { _ in }
    ) async throws -> (HTTPResponse, Int) {
        let server = try await ScriptedServer.start { script[min($0, script.count - 1)] }
        var configuration = SkeinClient.Configuration()
        configuration.logger = .silent
        configuration.http.http2.use = .priorKnowledge
        change(&configuration)
        let skein = SkeinClient(configuration)
        let response = await skein.get("http://127.0.0.1:\(server.port)/").dispatch()
        await server.stop()
        return (response, server.connectionCount)
    }

    private static let answer = bytes { $0.headers(1, [(":status", "200")]) }

    @Test("a stream that the server resets is 721")
    func reset() async throws {
        let (response, _) = try await response([[.sendBytes(Self.bytes { $0.reset(1, 2) }), .wait]])
        #expect(response.statusCode == 721)
        #expect(response.failure?.message.contains("INTERNAL_ERROR") == true)
    }

    @Test("a refused stream is retried a limited number of times")
    func refused() async throws {
        let (once, count) = try await response([
            [
                .sendBytes(
                    Self.bytes {
                        $0.reset(1, 7); $0.headers(3, [(":status", "200")])
                    }), .wait,
            ]
        ])
        #expect(once.statusCode == 200)
        #expect(count == 1)
        let (never, _) = try await response([
            [.sendBytes(Self.bytes { for id in [1, 3, 5, 7, 9] as [UInt32] { $0.reset(id, 7) } }), .wait]
        ])
        #expect(never.statusCode == 721)
    }

    @Test("a request that requires HTTP/1.1 is sent in HTTP/1.1")
    func oldVersionRequired() async throws {
        let (response, count) = try await response([
            [.sendBytes(Self.bytes { $0.reset(1, 13) }), .wait],
            [.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")],
        ])
        #expect(response.statusCode == 200 && response.version == .http1_1, "\(response.reportLine)")
        #expect(count == 2)
    }

    @Test("after a GOAWAY, an unprocessed request is sent again on a new connection")
    func goAway() async throws {
        let (response, count) = try await response([
            [.sendBytes(Self.bytes { $0.goAway(0) }), .close], [.sendBytes(Self.answer), .wait],
        ])
        #expect(response.statusCode == 200)
        #expect(count == 2)
    }

    @Test("a server without HTTP/2, with violations, or that closes, is 720")
    func connection() async throws {
        for (script, words) in [
            ([.send("HTTP/1.1 400 Bad Request\r\n\r\n"), .close], "SETTINGS"),
            ([.sendBytes(Self.bytes { $0.data(0, 1) }), .wait], "DATA on stream 0"),
            ([.sendBytes(Self.bytes { _ in }), .close], "closed the connection"),
        ] as [([ScriptedServer.Step], String)] {
            let (response, _) = try await response([script])
            #expect(response.statusCode == 720)
            #expect(response.failure?.message.contains(words) == true, "\(response.reportLine)")
        }
    }

    @Test("a malformed response fails its own request")
    func malformed() async throws {
        let (response, _) = try await response([[.sendBytes(Self.bytes { $0.headers(1, [("X-Upper", "a")]) }), .wait]])
        #expect(response.statusCode == 715)
        let (short, _) = try await self.response([
            [
                .sendBytes(
                    Self.bytes {
                        $0.headers(1, [(":status", "200"), ("content-length", "9")], flags: Frames.endHeaders)
                        $0.data(1, 3, flags: Frames.end)
                    }), .wait,
            ]
        ])
        #expect(short.statusCode == 707)
    }

    @Test("a silent server is checked by a PING, and disconnected without a response")
    func silence() async throws {
        let (response, _) = try await response([[.sendBytes(Self.bytes { _ in }), .wait]]) {
            $0.http.http2.pingInterval = .milliseconds(200)
            $0.http.http2.pingTimeout = .milliseconds(200)
        }
        #expect(response.statusCode == 720)
        #expect(response.failure?.message.contains("PING") == true)
    }

    @Test("an invalid request is refused before anything is written")
    func unsendable() async throws {
        var configuration = SkeinClient.Configuration()
        configuration.http.http2.use = .priorKnowledge
        let skein = SkeinClient(configuration)
        let port = try await Peers.shared.nginxHTTP2Ports().many
        let response = await skein.get("http://127.0.0.1:\(port)/hello", headers: ["X": "a\nb"]).dispatch()
        #expect(response.statusCode == 701)
        #expect(
            try await skein.get("http://127.0.0.1:\(port)/hello", headers: ["Connection": "close"]).fetch()
                .readableBytes == 11)
        #expect(await skein.get("http://127.0.0.1:1/").dispatch().statusCode == 714)
    }
}
