import Foundation
import PeerSupport
import SkeinEngine
import Testing

/// Rooms with sockets of Python's websockets, of our own client, and of two browser tabs.
@Suite("Groups of sockets", .serialized, .inTurn, .timeLimit(.minutes(5)))
struct SocketGroupTests {
    private static let page = """
        <!DOCTYPE html><title>chat</title><script>
        const name = new URLSearchParams(location.search).get("name"), heard = []
        const socket = new WebSocket(`${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/chat/lobby?name=${name}`)
        socket.onmessage = event => {
            if (event.data === "welcome") return
            heard.push(event.data)
            if (event.data === "all here") socket.send(`hello from ${name}`)
            if (heard.filter(text => text.startsWith("hello")).length === 2)
                fetch("/report", { method: "POST", body: `${name}: ${heard.sort().join(", ")}` })
        }
        </script>
        """

    private static func engine(_ rooms: SocketGroups<String>, _ reports: AsyncStream<String>.Continuation? = nil)
        -> Engine
    {
        var router = Router()
        router.get("/") { _ in .html(page) }
        router.post("/report") { request in
            reports?.yield(String(buffer: try await request.body.collect()))
            return ServerResponse(.noContent)
        }
        var options = WebSocketConfiguration()
        options.closeTimeout = .milliseconds(200)
        router.webSocket("/chat/<room>", options) { socket, request in
            let room = rooms[request.parameter("room") ?? ""]
            try await room.join(socket, as: request.parameters["name"]) {
                let isSecond = room.count == 2
                try await socket.send("welcome")
                if isSecond { room.send("all here") }
                for try await message in socket {
                    let words = message.text.split(separator: " ", maxSplits: 1)
                    if words.count == 2, words[0].hasPrefix("@") {
                        room.send(.text(String(words[1])), to: String(words[0].dropFirst()))
                    } else if message.text.hasPrefix("others ") {
                        room.send(message, except: socket)
                    } else {
                        room.send(message)
                    }
                }
            }
        }
        // From outside of any socket.
        router.post("/announce/<room>") { request in
            rooms[request.parameter("room") ?? ""].send(.text(String(buffer: try await request.body.collect())))
            return .text("\(rooms[request.parameter("room") ?? ""].count)")
        }
        var engine = Engine()
        engine.mount("/", router)
        return engine
    }

    @Test("Python's websockets: all, one by name in several tabs, all but one, from outside, separate rooms")
    func python() async throws {
        let rooms = SocketGroups<String>()
        try await serving(Self.engine(rooms)) { (port, _) async throws in
            let found = try await PeerTests.python(
                """
                import asyncio, json, sys, urllib.request, websockets
                base = sys.argv[1]
                async def main():
                    out = {}
                    async def join(room, name):
                        socket = await websockets.connect(f"ws://{base}/chat/{room}?name={name}")
                        out["welcome"] = await socket.recv()
                        return socket
                    ann, bob = await join("lobby", "ann"), await join("lobby", "bob")
                    out["here"] = [await ann.recv(), await bob.recv()]
                    other = await join("attic", "eve")
                    bob2 = await join("lobby", "bob")
                    await ann.send("one")
                    out["all"] = [await s.recv() for s in (ann, bob, bob2)]
                    await ann.send("@bob psst")
                    out["bob"] = [await s.recv() for s in (bob, bob2)]
                    await bob.send("others two")
                    out["others"] = [await s.recv() for s in (ann, bob2)]
                    ask = urllib.request.Request(f"http://{base}/announce/lobby", b"closing time", method="POST")
                    out["count"] = urllib.request.urlopen(ask).read().decode()
                    out["announced"] = [await s.recv() for s in (ann, bob, bob2)]
                    await other.send("alone")
                    out["apart"] = await other.recv()
                    for s in (ann, bob, bob2, other): await s.close()
                    return out
                print(json.dumps(asyncio.run(asyncio.wait_for(main(), 60))))
                """, "127.0.0.1:\(port)")
            #expect(found["welcome"]?.string == "welcome")
            func texts(_ name: String) -> [String?] { (0..<3).map { found[name]?[$0]?.string } }
            #expect(texts("here") == ["all here", "all here", nil])
            #expect(texts("all") == ["one", "one", "one"] && texts("bob") == ["psst", "psst", nil])
            #expect(texts("others") == ["others two", "others two", nil] && found["count"]?.string == "3")
            #expect(texts("announced") == ["closing time", "closing time", "closing time"])
            #expect(found["apart"]?.string == "alone")
        }
        #expect(rooms.names.isEmpty)
    }

    @Test("two tabs of a browser, over HTTP/1.1 and over streams of HTTP/2", arguments: [false, true])
    func browser(isSecure: Bool) async throws {
        let (reports, out) = AsyncStream.makeStream(of: String.self)
        let rooms = SocketGroups<String>()
        var engine = Self.engine(rooms, out)
        if isSecure { engine = try await engine.secured() }
        try await serving(engine) { (port, _) async throws in
            let profile = TestFolder.path("chromium")
            let flags = [
                "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--ignore-certificate-errors",
                "--remote-debugging-port=0", "--user-data-dir=\(profile)",
            ]
            let url = "\(isSecure ? "https" : "http")://localhost:\(port)/?name="
            let browser = try PeerProcess("chromium", flags + [url + "ann"], log: TestFolder.path("chromium.log"))
            // The second tab is opened through the browser's remote interface.
            var door: Substring?
            while door == nil {
                try await Task.sleep(for: .milliseconds(50))
                door = try? String(contentsOfFile: "\(profile)/DevToolsActivePort", encoding: .utf8).prefix {
                    $0 != "\n"
                }
            }
            _ = try await curl("-X", "PUT", "http://127.0.0.1:\(door ?? "")/json/new?\(url)bob")
            var walk = reports.makeAsyncIterator()
            let two = [await walk.next(), await walk.next()].compactMap(\.self).sorted()
            #expect(
                two == [
                    "ann: all here, hello from ann, hello from bob", "bob: all here, hello from ann, hello from bob",
                ])
            await browser.stop()
        }
    }

    @Test("a member that does not read is closed, without delaying others")
    func slow() async throws {
        let rooms = SocketGroups<String>()
        try await serving(Self.engine(rooms)) { (port, _) async throws in
            // A socket that is never read from.
            let deaf = try await RawClient.connect(port, readsByItself: false)
            try await deaf.send(
                "GET /chat/lobby?name=deaf HTTP/1.1\r\nHost: 127.0.0.1:\(port)\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                    + "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
            let room = rooms["lobby"]
            while room.count == 0 { await Task.yield() }
            let skein = SkeinClient()
            let socket = try await skein.webSocket("ws://127.0.0.1:\(port)/chat/lobby?name=ann")
            while room.count < 2 { await Task.yield() }
            let large = String(repeating: "x", count: 200_000)
            var heard = 0
            var sent = 0
            // Until the socket that does not read is closed because of the limit of unsent bytes.
            while room.names.contains("deaf"), sent < 20_000 {
                room.send(.text(large))
                sent += 1
                while heard < sent, let message = try await socket.receive() {
                    if message.text == large { heard += 1 }
                }
            }
            #expect(room.names == ["ann"] && heard == sent)
            await socket.close()
            await deaf.close()
            await skein.shutdown()
        }
    }

    @Test("pages of other sites cannot open sockets")
    func origins() async throws {
        try await serving(Self.engine(SocketGroups())) { (port, _) async throws in
            func ask(_ origin: String) async throws -> String {
                try await curl(
                    "-o", "/dev/null", "-w", "%{http_code}", "--max-time", "2", "-H", "Origin: \(origin)", "-H",
                    "Upgrade: websocket",
                    "-H", "Connection: Upgrade", "-H", "Sec-WebSocket-Version: 13", "-H",
                    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
                    "http://127.0.0.1:\(port)/chat/x")
            }
            #expect(try await ask("http://evil.test") == "403")
            #expect(try await ask("http://127.0.0.1:\(port)").hasPrefix("101"))
        }
    }
}
