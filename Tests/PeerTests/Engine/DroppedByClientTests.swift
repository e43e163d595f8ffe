import Foundation
import NIOCore
import PeerSupport
import Skein
import SkeinEngine
import Testing

/// Requests that clients abandon or never complete cost the server no memory, time or descriptors for long: measured in
/// a separate process, so that the numbers are its own.
@Suite("Dropped by clients", .serialized, .inTurn, .timeLimit(.minutes(5)))
struct DroppedByClientTests {
    private struct Served {
        let process: PeerProcess
        let port: Int

        private func status(_ name: String) throws -> Int {
            let text = try String(contentsOfFile: "/proc/\(process.id)/status", encoding: .utf8)
            return text.split(separator: "\n").first { $0.hasPrefix("\(name):") }
                .flatMap { $0.split(whereSeparator: \.isWhitespace).dropFirst().first.flatMap { Int($0) } } ?? 0
        }

        /// Resident memory in KiB.
        var memory: Int { get throws { try status("VmRSS") } }
        var descriptors: Int {
            get throws { try FileManager.default.contentsOfDirectory(atPath: "/proc/\(process.id)/fd").count }
        }
        /// Processor time in hundredths of a second.
        var ticks: Int {
            get throws {
                let text = try String(contentsOfFile: "/proc/\(process.id)/stat", encoding: .utf8)
                let words = text[(text.lastIndex(of: ")") ?? text.startIndex)...].split(separator: " ")
                return (Int(words[12]) ?? 0) + (Int(words[13]) ?? 0)
            }
        }

        /// Processor time in one second.
        func ticksInASecond() async throws -> Int {
            let before = try ticks
            try await Task.sleep(for: .seconds(1))
            return try ticks - before
        }
    }

    private func serving(_ arguments: [String], _ test: (Served) async throws -> Void) async throws {
        let process = try PeerProcess(CommandTests.skein, arguments, log: TestFolder.path("served.log"))
        let port = try #require(Int(try await process.untilPrinted("listening on 127.0.0.1:")))
        do {
            try await test(Served(process: process, port: port))
        } catch {
            await process.stop()
            throw error
        }
        await process.stop()
    }

    /// A folder with a 20 MB text that does not compress well.
    private static let folder = Task { () throws -> String in
        let folder = TestFolder.path("texts")
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        var text = ""
        var number: UInt64 = 1
        while text.utf8.count < 20_000_000 {
            number = number &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            text += String(number, radix: 36) + (number % 7 == 0 ? "\n" : " ")
        }
        try text.write(toFile: "\(folder)/large.txt", atomically: true, encoding: .utf8)
        return folder
    }

    @Test("four hundred streams with a window of 0 that ask for a compressed text; clients that leave")
    func stalledStreams() async throws {
        let folder = try await Self.folder.value
        try await serving(["serve", folder, "--listen", "127.0.0.1:0", "--threads", "2"]) { server in
            _ = try await curl("-o", "/dev/null", "http://127.0.0.1:\(server.port)/large.txt")
            let descriptors = try server.descriptors
            var clients: [RawClient] = []
            for _ in 0..<4 {
                var frames = Frames()
                frames.preface()
                frames.settings([(4, 0)])  // SETTINGS_INITIAL_WINDOW_SIZE
                for number in 0..<100 as Range<UInt32> {
                    frames.headers(
                        2 * number + 1,
                        [
                            (":method", "GET"), (":scheme", "http"), (":path", "/large.txt"), (":authority", "a"),
                            ("accept-encoding", "br"),
                        ])
                }
                let client = try await RawClient.connect(server.port)
                try await client.send(frames.take())
                clients.append(client)
            }
            try await Task.sleep(for: .seconds(3))
            let memory = try server.memory
            #expect(memory < 128 << 10, "\(memory) KiB")
            for client in clients { await client.close() }
            try await Task.sleep(for: .seconds(1))
            let ticks = try await server.ticksInASecond()
            #expect(ticks <= 10)
            let left = try server.descriptors
            #expect(left <= descriptors + 4, "\(left), \(descriptors) before")
            #expect(
                try await curl("-o", "/dev/null", "-w", "%{http_code}", "http://127.0.0.1:\(server.port)/large.txt")
                    == "200")
        }
    }

    @Test("compressed and plain answers whose clients reset, over HTTP/1.1 and HTTP/2, at any moment")
    func resets() async throws {
        let folder = try await Self.folder.value
        try await serving(["serve", folder, "--listen", "127.0.0.1:0", "--threads", "2"]) { server in
            let descriptors = try server.descriptors
            let finished = try await python(
                """
                import json, random, socket, struct, sys, time
                port = int(sys.argv[1])
                for number in range(200):
                    s = socket.create_connection(("127.0.0.1", port))
                    s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                    coding = random.choice(["br", "gzip", "zstd", "identity"])
                    if number % 2:
                        s.sendall(f"GET /large.txt HTTP/1.1\\r\\nHost: a\\r\\nAccept-Encoding: {coding}\\r\\n\\r\\n".encode())
                    else:
                        def frame(kind, flags, stream, payload): return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload
                        def field(name, value): return b"\\x00" + bytes([len(name)]) + name + bytes([len(value)]) + value
                        block = b"\\x82\\x86" + field(b":path", b"/large.txt") + field(b":authority", b"a") + field(b"accept-encoding", coding.encode())
                        s.sendall(b"PRI * HTTP/2.0\\r\\n\\r\\nSM\\r\\n\\r\\n" + frame(4, 0, 0, b"") + b"".join(frame(1, 5, 2 * n + 1, block) for n in range(3)))
                    for _ in range(random.randrange(4)): s.recv(65536)
                    if number % 5 == 0: time.sleep(random.random() / 20)
                    s.close()
                print(json.dumps("done"))
                """, "\(server.port)")
            #expect(finished == .string("done"))
            try await Task.sleep(for: .seconds(1))
            let left = try server.descriptors
            #expect(left <= descriptors + 4, "\(left), \(descriptors) before")
            let ticks = try await server.ticksInASecond()
            #expect(ticks <= 10)
            #expect(
                try await curl(
                    "--compressed", "-o", "/dev/null", "-w", "%{http_code}", "http://127.0.0.1:\(server.port)/large.txt"
                ) == "200")
        }
    }

    @Test("five hundred WebSockets, each with a compressed fragment that becomes 16 MB and never ends")
    func fragments() async throws {
        try await serving(["respond", "hi", "--websocket", "--listen", "127.0.0.1:0", "--threads", "2"]) { server in
            let answer = try await python(
                """
                import json, os, resource, socket, struct, sys, zlib
                resource.setrlimit(resource.RLIMIT_NOFILE, (4096, 4096))
                port = int(sys.argv[1])
                packer = zlib.compressobj(9, zlib.DEFLATED, -15)
                packed = packer.compress(b"a" * (15 << 20)) + packer.flush(zlib.Z_SYNC_FLUSH)
                # A first fragment, compressed, with more to come.
                frame = bytes([0x41, 0x80 | 126]) + struct.pack(">H", len(packed)) + b"\\0\\0\\0\\0" + packed
                sockets = []
                for _ in range(500):
                    s = socket.create_connection(("127.0.0.1", port))
                    s.sendall(b"GET / HTTP/1.1\\r\\nHost: a\\r\\nUpgrade: websocket\\r\\nConnection: Upgrade\\r\\nSec-WebSocket-Version: 13\\r\\n"
                        b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\\r\\nSec-WebSocket-Extensions: permessage-deflate\\r\\n\\r\\n")
                    while b"\\r\\n\\r\\n" not in s.recv(4096): pass
                    s.sendall(frame)
                    sockets.append(s)
                import time; time.sleep(2)
                text = open(f"/proc/{sys.argv[2]}/status").read()
                print(json.dumps([len(packed), int(text.split("VmRSS:")[1].split()[0])]))
                """, "\(server.port)", "\(server.process.id)")
            #expect(answer[0]?.integer ?? 0 > 10_000 && answer[1]?.integer ?? .max < 256 << 10, "\(answer)")
        }
    }

    @Test("endless HTTP/2 streams are ended: an early response, empty frames, a window of a byte at a time")
    func endless() async throws {
        var engine = Engine()
        engine.configuration.bodyTimeout = .seconds(2)
        engine.configuration.headerTimeout = .seconds(2)
        engine.mount("/early") { _ in .text("no") }
        engine.mount("/read") { .text("\(try await $0.body.collect().readableBytes)") }
        engine.mount("/large") { _ in ServerResponse(body: .bytes(ByteBuffer(repeating: 0x61, count: 1 << 20))) }
        try await PeerTests.serving(engine) { (port, _) async throws in
            let answer = try await python(
                """
                import json, socket, struct, sys, threading, time
                def frame(kind, flags, stream, payload=b""): return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload
                def field(name, value): return b"\\x00" + bytes([len(name)]) + name + bytes([len(value)]) + value
                def run(path, method, window, each):
                    s = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
                    begun = time.time()
                    s.sendall(b"PRI * HTTP/2.0\\r\\n\\r\\nSM\\r\\n\\r\\n" + frame(4, 0, 0, struct.pack(">HI", 4, window))
                        + frame(1, 5 if method == b"GET" else 4, 1, field(b":method", method) + b"\\x86" + field(b":path", path) + field(b":authority", b"a")))
                    data = b""
                    s.settimeout(1)
                    while time.time() < begun + 60:
                        try: piece = s.recv(65536)
                        except socket.timeout: piece = None
                        if piece == b"": return ["closed", time.time() - begun]
                        data += piece or b""
                        place = 0
                        while len(data) - place >= 9:
                            length = int.from_bytes(data[place:place + 3], "big")
                            if len(data) - place < 9 + length: break
                            kind, stream = data[place + 3], int.from_bytes(data[place + 5:place + 9], "big")
                            if kind == 3 and stream == 1: return ["reset", time.time() - begun]
                            place += 9 + length
                        data = data[place:]
                        try: s.sendall(each)
                        except OSError: return ["closed", time.time() - begun]
                    return ["open", 60]
                results = [None] * 3
                def start(number, *arguments): results[number] = run(*arguments)
                threads = [threading.Thread(target=start, args=a) for a in [
                    (0, b"/early", b"POST", 65535, b""), (1, b"/read", b"POST", 65535, frame(0, 0, 1)),
                    (2, b"/large", b"GET", 0, frame(8, 0, 1, struct.pack(">I", 1)))]]
                for t in threads: t.start()
                for t in threads: t.join()
                print(json.dumps(results))
                """, "\(port)")
            for (number, name) in ["early", "empty frames", "a byte at a time"].enumerated() {
                #expect(answer[number]?[0]?.string != "open", "\(name): \(answer)")
            }
        }
    }
}
