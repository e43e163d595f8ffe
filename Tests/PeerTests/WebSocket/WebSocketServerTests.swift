import Foundation
import NIOCore
import PeerSupport
import Skein
import SkeinEngine
import Testing

/// The server's WebSockets with Python's client, a browser, and clients that violate the protocol.
@Suite("WebSocket server", .serialized, .inTurn, .timeLimit(.minutes(5)))
struct WebSocketServerTests {
    private static let page = """
        <!doctype html><title>sockets</title><pre id=log></pre><script>
        const socket = new WebSocket(location.href.replace(/^http/, "ws") + "echo", ["x", "echo.v1"]);
        socket.binaryType = "arraybuffer";
        const say = text => document.getElementById("log").append(text + "\\n");
        let count = 0;
        socket.onopen = () => { say(`open ${socket.protocol} ${socket.extensions.split(";")[0]}`); socket.send("hello"); };
        socket.onmessage = ({data}) => {
          if (count++ == 0) { say(data); socket.send(new Uint8Array(300000)); }
          else if (count == 2) { say(data.byteLength); socket.send("ä€😀".repeat(1000)); }
          else { say(data == "ä€😀".repeat(1000)); socket.close(4000, "done"); }
        };
        socket.onclose = event => {
          say(`closed ${event.code} ${event.reason} ${event.wasClean}`);
          fetch("report", {method: "POST", body: document.getElementById("log").innerText});
        };
        </script>
        """

    private static func serving(
        _ change: (inout ServerConfiguration) -> Void = { _ in },
        reports: AsyncStream<String>.Continuation? = nil, test: (Int, HTTPServer) async throws -> Void
    ) async throws {
        var configuration = ServerConfiguration(addresses: [.tcp("127.0.0.1", port: 0)], threads: 2)
        configuration.logger = .silent
        change(&configuration)
        let server = HTTPServer(configuration) { request in
            var options = WebSocketConfiguration()
            options.subprotocols = ["echo.v1"]
            options.pingInterval = .seconds(1)
            switch request.path {
            case "/": return ServerResponse(body: .text(Self.page, contentType: "text/html; charset=utf-8"))
            case "/report":
                reports?.yield(String(buffer: try await request.body.collect()))
                return ServerResponse(.noContent)
            case "/version": return .text("\(request.version)")
            case "/echo":
                reports?.yield("\(request.version)")
                return try request.webSocket(options) { socket in
                    for try await message in socket { try await socket.send(message) }
                }
            case "/handled": return try request.webSocket(options, handler: Echo())
            case "/bye": return try request.webSocket { await $0.close(.policyViolation, "bye") }
            case "/fail": return try request.webSocket { _ in throw CocoaError(.fileNoSuchFile) }
            case "/large":
                return try request.webSocket { try await $0.send(.binary(ByteBuffer(repeating: 1, count: 900_000))) }
            case "/fragments":
                return try request.webSocket { socket in
                    try await socket.send(.text, fragments: ["a", "b", "", "c"].map { ByteBuffer(string: $0) }.async)
                }
            default: throw ServerError(.notFound)
            }
        }
        let port: Int
        switch try await server.start().first {
        case .tcp(_, let chosen)?, .tls(_, let chosen)?: port = chosen
        default: throw PeerError("no port")
        }
        do {
            try await test(port, server)
        } catch {
            await server.stop()
            throw error
        }
        await server.stop()
        #expect(server.connectionCount == 0)
    }

    private struct Echo: WebSocketHandler {
        func onMessage(_ message: WebSocketMessage, _ socket: WebSocket) { socket.trySend(message) }
    }

    @Test("Python's client: messages, fragments, pings, closes, subprotocols", arguments: [[], ["--no-deflate"]])
    func python(flags: [String]) async throws {
        try await Self.serving { port, _ in
            let run = try await runToEnd(
                Peers.python(), ["\(Peers.scripts)/sockets.py", "try", "ws://127.0.0.1:\(port)"] + flags)
            let found = try JSONDecoder().decode(JSONValue.self, from: Data(run.output.utf8))
            #expect(found["echo"]?.string == "all", "\(run.errors)")
            #expect(found["subprotocol"]?.string == "echo.v1")
            #expect(found["extensions"]?[0]?.string == (flags.isEmpty ? "permessage-deflate" : nil))
            #expect(found["close"] == .array([.integer(1000), .string("")]))
            #expect(found["/bye closed"] == .array([.integer(1008), .string("bye")]))
            #expect(found["/fail closed"]?[0]?.integer == 1011)
            #expect(found["/fragments"]?.string == "abc" && found["/fragments closed"]?[0]?.integer == 1000)
            #expect(found["/large"]?.integer == 900_000)
        }
    }

    @Test("a browser: over HTTP/1.1, and over a stream of HTTP/2")
    func browser() async throws {
        let expected = "open echo.v1 permessage-deflate\nhello\n300000\ntrue\nclosed 4000 done true"
        let folder = try await Certificates.shared.folder()
        func visit(_ url: String, _ version: String, _ reports: AsyncStream<String>) async throws {
            let flags = [
                "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--ignore-certificate-errors",
                "--user-data-dir=\(TestFolder.path("chromium"))",
            ]
            let browser = try PeerProcess("chromium", flags + [url], log: TestFolder.path("chromium.log"))
            var walk = reports.makeAsyncIterator()
            #expect(await walk.next() == version)
            #expect(await walk.next()?.trimmingCharacters(in: .whitespacesAndNewlines) == expected)
            await browser.stop()
        }
        let (plain, toPlain) = AsyncStream.makeStream(of: String.self)
        try await Self.serving(reports: toPlain) { port, _ in
            try await visit("http://127.0.0.1:\(port)/", "HTTP/1.1", plain)
        }
        func secure(_ configuration: inout ServerConfiguration) {
            configuration.addresses = [.tls("127.0.0.1", port: 0)]
            configuration.tls = ServerTLSConfiguration(certificates: [
                .init(certificateFile: "\(folder)/good.pem", keyFile: "\(folder)/good.pem")
            ])
        }
        let (encrypted, toEncrypted) = AsyncStream.makeStream(of: String.self)
        try await Self.serving(secure, reports: toEncrypted) { port, server in
            try await visit("https://localhost:\(port)/", "HTTP/2.0", encrypted)
        }
    }

    private static let good = [
        "GET /echo HTTP/1.1", "Host: a", "Upgrade: websocket", "Connection: keep-alive, Upgrade",
        "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    ]

    @Test(
        "a handshake that is none is refused, and says how",
        arguments: [
            (0, "POST /echo HTTP/1.1", 400), (0, "GET /echo HTTP/1.0", 400), (2, "Upgrade: h2c", 426),
            (3, "Connection: close", 426), (4, "Sec-WebSocket-Version: 8", 426), (4, "X: y", 426), (5, "X: y", 400),
            (5, "Sec-WebSocket-Key: dGhl", 400), (5, "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZ!==", 400),
            (5, "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", 400),
        ])
    func refused(line: Int, text: String, status: Int) async throws {
        try await Self.serving { port, _ in
            var lines = Self.good
            lines[line] = text
            let client = try await RawClient.connect(port)
            try await client.send(lines.joined(separator: "\r\n") + "\r\n\r\n")
            try? await client.finishSending()
            let answer = await client.readToEnd()
            #expect(answer.hasPrefix("HTTP/1.1 \(status) "), "\(answer)")
            if line == 4 { #expect(answer.contains("Sec-WebSocket-Version: 13")) }
        }
    }

    @Test("frames in the same packet as the handshake; the response of the RFC")
    func eager() async throws {
        for path in ["/echo", "/handled"] {
            try await Self.serving { port, _ in
                let client = try await RawClient.connect(port)
                let head = Self.good.joined(separator: "\r\n").replacing("/echo", with: path) + "\r\n\r\n"
                var bytes = ByteBuffer(string: head)
                bytes.writeBytes([0x81, 0x85, 0x37, 0xFA, 0x21, 0x3D, 0x7F, 0x9F, 0x4D, 0x51, 0x58])
                bytes.writeBytes([0x88, 0x80, 1, 2, 3, 4])
                try await client.send(bytes)
                let answer = await client.bytesToEnd()
                let text = String(buffer: answer)
                #expect(text.hasPrefix("HTTP/1.1 101 Switching Protocols\r\n"), "\(text)")
                #expect(text.contains("Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"))
                let frames = Array(answer.readableBytesView.suffix(9))
                #expect(path == "/echo" || frames == [0x81, 5] + Array("Hello".utf8) + [0x88, 0], "\(frames)")
            }
        }
    }

    @Test(
        "what a client does wrong closes its socket with the code for it, and no other one",
        arguments: [
            ([0x81, 0x01, 0x41], 1002), ([0x83, 0x80, 0, 0, 0, 0], 1002), ([0x81, 0x81, 0, 0, 0, 0, 0xFF], 1007),
            ([0xC1, 0x81, 0, 0, 0, 0, 0x41], 1002), ([0x80, 0x81, 0, 0, 0, 0, 0x41], 1002),
            ([0x82, 0xFF, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0], 1009), ([0x88, 0x82, 0, 0, 0, 0, 3, 0xED], 1002),
            ([0x89, 0xFE, 0, 0x7E, 0, 0, 0, 0], 1002),
        ] as [([UInt8], Int)])
    func violations(bytes: [UInt8], code: Int) async throws {
        try await Self.serving { port, _ in
            let innocent = try await SkeinClient().webSocket("ws://127.0.0.1:\(port)/echo")
            let client = try await RawClient.connect(port)
            try await client.send(Self.good.joined(separator: "\r\n") + "\r\n\r\n")
            try await client.send(ByteBuffer(bytes: bytes))
            let answer = Array(await client.bytesToEnd().readableBytesView)
            let close = answer.firstRange(of: Array("\r\n\r\n".utf8)).map { Array(answer[$0.upperBound...]) } ?? []
            #expect(close.prefix(1) == [0x88] && close.count >= 4, "\(close)")
            #expect(close.count >= 4 && Int(close[2]) << 8 | Int(close[3]) == code)
            try await innocent.send("untouched")
            #expect(try await innocent.receive() == "untouched")
            await innocent.close()
        }
    }

    @Test("a stopping server closes its sockets, over HTTP/1.1 and HTTP/2, and cuts off a silent client")
    func shutdown() async throws {
        var sockets: [WebSocket] = []
        var configuration = SkeinClient.Configuration()
        configuration.http.http2.use = .priorKnowledge
        let multiplexed = SkeinClient(configuration)
        try await Self.serving({ $0.shutdownTimeout = .seconds(1) }) { port, server in
            var options = WebSocketConfiguration()
            options.usesHTTP2 = true
            sockets.append(try await SkeinClient().webSocket("ws://127.0.0.1:\(port)/echo"))
            sockets.append(try await multiplexed.webSocket("ws://127.0.0.1:\(port)/echo", configuration: options))
            #expect(try await multiplexed.get("http://127.0.0.1:\(port)/version").dispatch().text() == "HTTP/2.0")
            #expect(multiplexed.connectCount == 1)
            for socket in sockets {
                let large = WebSocketMessage.binary(ByteBuffer(repeating: 3, count: 3_000_000))
                try await socket.send(large)
                #expect(try await socket.receive() == large)
            }
            let mute = try await RawClient.connect(port)
            try await mute.send(Self.good.joined(separator: "\r\n") + "\r\n\r\n")
            try await mute.untilReceived("\r\n\r\n")
            #expect(server.connectionCount == 3)
        }
        for socket in sockets {
            #expect(try await socket.receive() == nil)
            #expect(socket.closing == WebSocketClosing(.goingAway, "the server stops"))
        }
    }

    @Test("a silent client is checked by pings, and cut off without a pong")
    func silence() async throws {
        let server = HTTPServer(ServerConfiguration(addresses: [.tcp("127.0.0.1", port: 0)], threads: 1)) { request in
            var options = WebSocketConfiguration()
            options.pingInterval = .milliseconds(200)
            options.pingTimeout = .milliseconds(200)
            return try request.webSocket(options) { socket in for try await _ in socket {} }
        }
        guard case .tcp(_, let port)? = try await server.start().first else { throw PeerError("no port") }
        let mute = try await RawClient.connect(port)
        try await mute.send(Self.good.joined(separator: "\r\n") + "\r\n\r\n")
        let answer = Array(await mute.bytesToEnd().readableBytesView)
        #expect(answer.suffix(2) == [0x89, 0])
        await server.stop()
    }

    @Test(
        "a message that is begun and does not come to its end is not waited for, whether its peer is silent or says a byte at times"
    )
    func unfinished() async throws {
        let server = HTTPServer(ServerConfiguration(addresses: [.tcp("127.0.0.1", port: 0)], threads: 1)) { request in
            var options = WebSocketConfiguration()
            options.pingInterval = nil
            options.messageTimeout = .seconds(1)
            return try request.webSocket(options) { socket in for try await _ in socket {} }
        }
        guard case .tcp(_, let port)? = try await server.start().first else { throw PeerError("no port") }
        for trickles in [false, true] {
            let client = try await RawClient.connect(port)
            try await client.send(Self.good.joined(separator: "\r\n") + "\r\n\r\n")
            try await client.untilReceived("\r\n\r\n")
            // A first fragment of one byte, with a zero mask, and more of them.
            try await client.send(ByteBuffer(bytes: [0x01, 0x81, 0, 0, 0, 0, 0x61]))
            for _ in 0..<3 where trickles {
                try await Task.sleep(for: .milliseconds(250))
                try await client.send(ByteBuffer(bytes: [0x00, 0x81, 0, 0, 0, 0, 0x61]))
            }
            let answer = Array(await client.bytesToEnd().readableBytesView)
            // A Close with 1008.
            #expect(answer.firstRange(of: [0x03, 0xF0]) != nil, "\(answer.count) bytes")
        }
        await server.stop()
    }

    @Test("an idle HTTP/2 connection with open streams is checked, and cut off without a response")
    func silentConnection() async throws {
        var configuration = ServerConfiguration(addresses: [.tcp("127.0.0.1", port: 0)], threads: 1)
        configuration.keepAliveTimeout = .seconds(1)
        configuration.bodyTimeout = .seconds(1)
        let server = HTTPServer(configuration) { request in
            var options = WebSocketConfiguration()
            options.pingInterval = nil
            return try request.webSocket(options) { socket in for try await _ in socket {} }
        }
        guard case .tcp(_, let port)? = try await server.start().first else { throw PeerError("no port") }
        let mute = try await RawClient.connect(port)
        var frames = Frames()
        frames.preface()
        frames.settings()
        frames.headers(
            1,
            [
                (":method", "CONNECT"), (":protocol", "websocket"), (":scheme", "http"), (":path", "/"),
                (":authority", "a"), ("sec-websocket-version", "13"),
            ], flags: Frames.endHeaders)
        try await mute.send(frames.take())
        let answer = Array(await mute.bytesToEnd().readableBytesView)
        #expect(answer.firstRange(of: [0, 0, 8, 6, 0, 0, 0, 0, 0]) != nil, "no PING in \(answer.count) bytes")
        // A client that replies stays connected.
        var session = SkeinClient.Configuration()
        session.http.http2.use = .priorKnowledge
        var options = WebSocketConfiguration()
        options.usesHTTP2 = true
        options.pingInterval = nil
        let socket = try await SkeinClient(session).webSocket("ws://127.0.0.1:\(port)/", configuration: options)
        try await Shard.standard.sleep(until: .after(.seconds(3)))
        #expect(socket.closing == nil)
        try await socket.send("still there")
        await socket.close()
        await server.stop()
    }
}

extension Array where Element: Sendable {
    /// The elements as they would come from another source.
    fileprivate var async: AsyncStream<Element> {
        AsyncStream { continuation in
            for element in self { continuation.yield(element) }
            continuation.finish()
        }
    }
}
