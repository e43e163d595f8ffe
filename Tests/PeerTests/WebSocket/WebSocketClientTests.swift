import Foundation
import NIOCore
import PeerSupport
import Skein
import SkeinEngine
import Synchronization
import Testing

/// The client's WebSockets with Python's servers.
@Suite("WebSocket client", .serialized, .inTurn, .timeLimit(.minutes(5)))
struct WebSocketClientTests {
    private struct Peer {
        let url: String
        let raw: String

        init(_ name: String, _ flags: [String], scheme: String = "ws", host: String = "127.0.0.1") async throws {
            let process = try PeerProcess(
                Peers.python(), ["\(Peers.scripts)/sockets.py", "serve"] + flags, log: TestFolder.path("\(name).log"))
            url = "\(scheme)://\(host):\(try await process.untilPrinted("listening "))"
            raw = "ws://127.0.0.1:\(try await process.untilPrinted("raw "))"
        }
    }

    private static let peer = Task { try await Peer("sockets", []) }
    private static let plainPeer = Task { try await Peer("sockets-plain", ["--no-deflate"]) }

    /// The address of Python's server.
    static func url() async throws -> String { try await peer.value.url }

    private let id = UUID().uuidString

    private func session(_ change: (inout HTTPConfiguration) -> Void = { _ in }) -> SkeinClient {
        var configuration = SkeinClient.Configuration()
        configuration.logger = .silent
        change(&configuration.http)
        return SkeinClient(configuration)
    }

    /// The value that the peer has recorded under a name, once it exists.
    private func noted(_ id: String) async throws -> JSONValue {
        for _ in 0..<200 {
            let answer = await SkeinClient().ws("\(try await Self.peer.value.url)/log?id=\(id)", "").dispatch()
            let value = try answer.decode(JSONValue.self)
            if value != .null { return value }
            try await Shard.standard.sleep(until: .after(.milliseconds(20)))
        }
        throw PeerError("nothing was noted")
    }

    @Test("messages of every kind and size are echoed, compressed and not")
    func echo() async throws {
        for (peer, isOn) in [(Self.peer, true), (Self.peer, false), (Self.plainPeer, true)] {
            var options = WebSocketConfiguration()
            if !isOn { options.compression = nil }
            let socket = try await session().webSocket(
                "\(try await peer.value.url)/echo?id=\(id)", configuration: options)
            let messages: [WebSocketMessage] = [
                "", "hello", .text(String(repeating: "ä€😀", count: 1000)), .binary([]),
                .binary((0..<1 << 20).map { UInt8(truncatingIfNeeded: $0) }),
                .text(String(repeating: "x", count: 1 << 20)),
            ]
            for message in messages {
                try await socket.send(message)
                #expect(try await socket.receive() == message)
            }
            // Many at a time, from another task.
            async let sending: Void = {
                for number in 0..<2000 { try await socket.send("message \(number)") }
            }()
            for number in 0..<2000 { #expect(try await socket.receive() == .text("message \(number)")) }
            try await sending
            try await socket.send(
                .text,
                fragments: AsyncStream { continuation in
                    for piece in ["Hel", "", "lo"] { continuation.yield(ByteBuffer(string: piece)) }
                    continuation.finish()
                })
            #expect(try await socket.receive() == "Hello")
            #expect(try await socket.ping() < .seconds(5))
            await socket.close(4001, "enough")
            #expect(try await socket.receive() == nil)
            #expect(socket.closing?.code == 4001)
            await #expect(throws: SkeinError.self) { try await socket.send("late") }
            #expect(try await noted(id) == .array([.integer(4001), .string("enough")]))
        }
    }

    @Test("headers, credentials and cookies are sent; a subprotocol is negotiated; redirects are followed")
    func handshake() async throws {
        let url = try await Self.peer.value.url
        var options = WebSocketConfiguration()
        options.subprotocols = ["chat.v1", "chat.v2"]
        let jar = CookieJar([Cookie("a", "b", domain: "127.0.0.1")])
        let skein = session { $0.cookies = jar }
        let socket = try await skein.webSocket(
            "\(url)/headers", configuration: options, headers: ["X-Thread": "wool"], auth: .basic("weaver", "secret"))
        #expect(await socket.subprotocol == "chat.v2")
        var walk = socket.makeAsyncIterator()
        let seen = try JSONDecoder().decode(JSONValue.self, from: Data((try await walk.next()?.text ?? "").utf8))
        #expect((seen["x-thread"] ?? seen["X-Thread"])?.string == "wool", "\(seen)")
        #expect("\(seen)".contains("Basic d2VhdmVyOnNlY3JldA==") && "\(seen)".contains("a=b"))
        #expect(try await walk.next() == nil)  // the server closes with 1000
        let moved = await skein.ws("\(url)/moved", "on we go").dispatch()
        #expect(moved.data == "on we go", "\(moved.reason)")
        let joined = await skein.ws("\(url)/fragments", "").dispatch()
        #expect(joined.data == "abc")
        await skein.fetchAll()
    }

    @Test("the short form: opcode and message; -1 when the server closes first; failures")
    func shortForm() async throws {
        let url = try await Self.peer.value.url
        let skein = session()
        let called = Mutex<Int?>(nil)
        let text = await skein.ws("\(url)/echo", "Hello", meta: ["k": 1]) { response in
            called.withLock { $0 = response.opcode }
        }.dispatch()
        #expect(text.statusCode == 200 && text.opcode == 1 && text.data == "Hello" && text.reason == "OK")
        #expect(text.meta["k"] as? Int == 1 && text.method == "WEBSOCKET")
        #expect(try await skein.ws("\(url)/echo", .binary([1, 2])).fetch() == .binary([1, 2]))
        #expect(try await skein.ws("\(url)/echo", #"{"a": [1]}"#).fetch([String: [Int]].self) == ["a": [1]])
        for code in [1000, 1011] {
            let closed = await skein.ws("\(url)/close?code=\(code)", "Hello").dispatch()
            #expect(closed.statusCode == 200 && closed.opcode == -1 && closed.data == nil && closed.failure == nil)
        }
        let forbidden = await skein.ws("\(url)/forbidden", "").dispatch()
        #expect(forbidden.statusCode == 403 && forbidden.outcome == .requestFailed)
        await #expect(throws: SkeinError.self) { try await skein.ws("\(url)/forbidden", "").commit() }
        let nginx = try await Peers.shared.nginxPort()
        #expect(await skein.ws("ws://127.0.0.1:\(nginx)/hello", "").dispatch().statusCode == 716)
        #expect(await skein.ws("ws://127.0.0.1:\(nginx)/none", "").dispatch().statusCode == 404)
        #expect(await skein.ws("ws://127.0.0.1:\(try await Ports.free())/", "").dispatch().statusCode == 714)
        #expect(await skein.ws("nonsense", "").dispatch().statusCode == 701)
        let mute = "\(try await Self.peer.value.raw)/mute"
        #expect(await skein.ws(mute, "").dispatch(timeout: .milliseconds(300)).statusCode == 702)
        let cancelled = skein.ws(mute, "")
        cancelled.cancel()
        #expect(await cancelled.dispatch().statusCode == 712)
        await skein.fetchAll()
        #expect(called.withLock { $0 } == 1)
    }

    @Test("a handler object receives opening, messages and the end")
    func handler() async throws {
        final class Talk: WebSocketHandler {
            let heard = Mutex<[String]>([])
            let (ended, end) = AsyncStream.makeStream(of: Void.self)

            func onOpen(_ socket: WebSocket) {
                heard.withLock { $0.append("open") }
                socket.trySend("one")
            }

            func onMessage(_ message: WebSocketMessage, _ socket: WebSocket) {
                heard.withLock { $0.append(message.text) }
                if message == "one" { socket.trySend("two") } else { Task { await socket.close() } }
            }

            func onClose(_ closing: WebSocketClosing, _ socket: WebSocket) {
                heard.withLock { $0.append("closed \(closing)") }
                end.finish()
            }
        }
        let talk = Talk()
        _ = try await session().webSocket("\(try await Self.peer.value.url)/echo", handler: talk)
        for await _ in talk.ended {}
        #expect(talk.heard.withLock { $0 } == ["open", "one", "two", "closed 1000"])
    }

    @Test("back-pressure for a consumer that does not read, without loss")
    func backPressure() async throws {
        let url = try await Self.plainPeer.value.url
        let socket = try await session().webSocket("\(url)/push?id=\(id)&count=3000&size=16000")
        var seen = -1
        // The peer has stopped when its number no longer changes.
        while true {
            let answer = await SkeinClient().ws("\(url)/log?id=\(id)", "").dispatch()
            let now = try answer.decode(Int.self)
            if now == seen, now > 0 { break }
            seen = now
            try await Shard.standard.sleep(until: .after(.milliseconds(200)))
        }
        #expect(seen < 2000, "48 MB fit nowhere")
        var count = 0
        for try await message in socket {
            #expect(message.text.hasPrefix("\(count) "))
            count += 1
        }
        #expect(count == 3000)
        #expect(socket.closing?.code == .normal)
    }

    @Test("a fragmented message is not interleaved with others, and waiting for its end can be cancelled")
    func fragments() async throws {
        let socket = try await session().webSocket("\(try await Self.peer.value.url)/echo")
        let (pieces, next) = AsyncStream.makeStream(of: ByteBuffer.self)
        let slow = Task { try await socket.send(.text, fragments: pieces) }
        next.yield(ByteBuffer(string: "a"))
        // Once the first fragment is sent, no other message can be sent.
        let probing = Task(executorPreference: socket.shard.executor) {
            while socket.trySend("x") { await Task.yield() }
        }
        await probing.value
        let patient = Task { try await socket.send("whole") }
        let impatient = Task { try await socket.send("never") }
        impatient.cancel()
        await #expect(throws: CancellationError.self) { try await impatient.value }
        next.yield(ByteBuffer(string: "b"))
        next.finish()
        try await slow.value
        try await patient.value
        var heard: [String] = []
        while heard.count < 2, let message = try await socket.receive() {
            if message != "x" { heard.append(message.text) }
        }
        #expect(heard == ["ab", "whole"])
        await socket.close()
    }

    @Test("a lost connection is reopened if enabled, else an error")
    func reconnect() async throws {
        let url = try await Self.peer.value.url
        let fragile = try await session().webSocket("\(url)/drop")
        try await fragile.send("one")
        #expect(try await fragile.receive() == "one")
        let error = await #expect(throws: SkeinError.self) { try await fragile.receive() }
        #expect([.connectionClosed, .socketError].contains(error?.code) && fragile.closing?.code == .abnormal)

        var options = WebSocketConfiguration()
        options.reconnect = .init()
        options.reconnect?.firstWait = .milliseconds(20)
        let skein = session()
        let socket = try await skein.webSocket("\(url)/drop", configuration: options)
        for number in 0..<5 {
            try await socket.send("\(number)")
            #expect(try await socket.receive() == .text("\(number)"))
            // Until the client notices the loss, a message may be written to the lost connection.
            while skein.connectCount < number + 2 { try await Shard.standard.sleep(until: .after(.milliseconds(1))) }
        }
        await socket.close()
        #expect(try await socket.receive() == nil)

        let server = HTTPServer(ServerConfiguration(addresses: [.tcp("127.0.0.1", port: 0)], threads: 1)) { request in
            try request.webSocket { socket in for try await _ in socket {} }
        }
        guard case .tcp(_, let port)? = try await server.start().first else { throw PeerError("no port") }
        options.reconnect?.maximumAttempts = 3
        let left = try await session().webSocket("ws://127.0.0.1:\(port)/", configuration: options)
        await server.stop()
        let refused = await #expect(throws: SkeinError.self) { try await left.receive() }
        #expect(refused?.code == .connectionFailed)
    }

    @Test("a peer that does not answer pings is disconnected")
    func silence() async throws {
        var options = WebSocketConfiguration()
        options.pingInterval = .milliseconds(200)
        options.pingTimeout = .milliseconds(300)
        let socket = try await session().webSocket("\(try await Self.peer.value.raw)/mute", configuration: options)
        let error = await #expect(throws: SkeinError.self) { try await socket.receive() }
        #expect(error?.code == .timeout)
        let patient = try await session().webSocket("\(try await Self.peer.value.url)/echo", configuration: options)
        try await Shard.standard.sleep(until: .after(.seconds(1)))
        try await patient.send("still there")
        #expect(try await patient.receive() == "still there")
    }

    @Test(
        "what a server does wrong closes the socket, and the server is told why",
        arguments: [
            ("83 00", 1002, 707), ("81 81 00000000 41", 1002, 707), ("81 01 ff", 1007, 709), ("88 01 03", 1002, 707),
            ("01 01 41 81 01 42", 1002, 707), ("c1 01 41", 1002, 707), ("82 7f 0000010000000000", 1009, 719),
            ("88 02 03ec", 1002, 707),
        ])
    func violations(bytes: String, code: Int, failure: Int) async throws {
        let hex = bytes.replacing(" ", with: "")
        var options = WebSocketConfiguration()
        options.compression = nil
        let name = "\(id)\(hex)"
        let socket = try await session().webSocket(
            "\(try await Self.peer.value.raw)/?id=\(name)&hex=\(hex)", configuration: options)
        let error = await #expect(throws: SkeinError.self) { try await socket.receive() }
        #expect(error?.code.rawValue == failure, "\(String(describing: error))")
        #expect(try await noted(name) == .integer(code))
    }

    @Test(
        "an answer to the handshake that is none is code 716",
        arguments: [
            "accept=nonsense", "field=Sec-WebSocket-Protocol:%20chat", "field=Sec-WebSocket-Extensions:%20x-unknown",
            "field=Sec-WebSocket-Extensions:%20permessage-deflate;%20server_max_window_bits=16",
            "field=Sec-WebSocket-Extensions:%20permessage-deflate;%20client_max_window_bits",
            "field=Sec-WebSocket-Extensions:%20permessage-deflate,%20permessage-deflate",
            "field=Sec-WebSocket-Extensions:%20permessage-deflate;%20unheard_of",
        ])
    func wrongAnswers(query: String) async throws {
        let raw = try await Self.peer.value.raw
        let error = await #expect(throws: SkeinError.self) { try await session().webSocket("\(raw)/?\(query)") }
        #expect(error?.code == .protocolSwitchingFailed, "\(String(describing: error))")
    }

    @Test("over TLS, through proxies, and as streams of one HTTP/2 connection")
    func ways() async throws {
        let folder = try await Certificates.shared.folder()
        let secure = try await Peer("sockets-tls", ["--tls", "\(folder)/good.pem"], scheme: "wss", host: "localhost")
        let skein = session { $0.tls.roots = .file("\(folder)/ca.pem") }
        #expect(await skein.ws("\(secure.url)/echo", "over TLS").dispatch().data == "over TLS")
        let distrustful = await session().ws("\(secure.url)/echo", "").dispatch()
        #expect(distrustful.statusCode == 713)

        let hypercorn = "ws://127.0.0.1:\(try await Peers.shared.hypercornPort())/"
        #expect(await session().ws(hypercorn, "a").dispatch().data == "1.1 a")
        var options = WebSocketConfiguration()
        options.usesHTTP2 = true
        let multiplexed = session { $0.http2.use = .priorKnowledge }
        var sockets: [WebSocket] = []
        for _ in 0..<20 { sockets.append(try await multiplexed.webSocket(hypercorn, configuration: options)) }
        for (number, socket) in sockets.enumerated() {
            try await socket.send("\(number)")
            #expect(try await socket.receive() == .text("2 \(number)"))
            let large = WebSocketMessage.binary(ByteBuffer(repeating: 7, count: 300_000))
            try await socket.send(large)
            #expect(try await socket.receive() == large)
        }
        #expect(multiplexed.connectCount == 1)
        for socket in sockets { await socket.close() }
        // An HTTP/2 server without support for it is asked in HTTP/1.1; nginx has no sockets there either.
        let (nginx, roots) = try await TLSTests.goodPort()
        let negotiating = session { $0.tls.roots = .file(roots) }
        let refused = await negotiating.ws("wss://localhost:\(nginx)/", "", configuration: options).dispatch()
        #expect(refused.statusCode == 716)
    }
}
