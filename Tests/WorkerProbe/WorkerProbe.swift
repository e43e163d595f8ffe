// A server whose workers crash, hang, leak and count on request.

import ArgumentParser
import SkeinEngine
import SkeinEngineCommand
import SkeinSharedRedis

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// Memory that is never freed.
private nonisolated(unsafe) var leaked: [[UInt8]] = []

@main struct WorkerProbe: EngineCommand {
    static let configuration = CommandConfiguration(commandName: "probe")

    @OptionGroup var options: EngineOptions
    @Option(help: "A file whose text says what a worker does at its start: crash, hang or serve.")
    var behaviour: String?

    @Option(help: "Share on this Redis server, and not on this machine.")
    var redis: String?

    func mount(into engine: inout Engine) async throws {
        switch behaviour.flatMap(Self.text) {
        case "crash": fatalError("told to crash at the start")
        case "exit": throw ValidationError("told to leave at the start")
        case "hang": while true { sleep(1) }
        default: break
        }
        if let redis { engine.configuration.shared = .redis(redis, lockLifetime: .seconds(1)) }
        engine.get("/pid") { _ in "\(getpid())" }
        engine.get("/slow") { _ in
            try await Task.sleep(for: .milliseconds(300))
            return "\(getpid())"
        }
        engine.get("/slower") { _ in
            try await Task.sleep(for: .seconds(3))
            return "\(getpid())"
        }
        engine.get("/trap") { request in
            let numbers: [Int] = []
            return "\(numbers[request.head.headers.count])"
        }
        engine.get("/segv") { _ in
            UnsafeMutablePointer<Int>(bitPattern: 0xdead0)?.pointee = 1
            return ""
        }
        engine.get("/hang") { request in
            // On every event loop, whichever receives the request.
            while true { sleep(1) }
            return ""
        }
        engine.get("/spin") { _ in
            Task.detached { while true {} }
            return ""
        }
        engine.get("/leak") { _ in
            leaked.append([UInt8](repeating: 1, count: 64 << 20))
            return ""
        }
        engine.mount("/.metrics", .metrics())
        engine.mount("/.status", .status())
        engine.defineStates("count", "heard", "turns", "inside")
        engine.post("/count") { "\(try await $0.shared.add(1, to: "count"))" }
        engine.get("/count") { "\(try await $0.shared.value("count"))" }
        engine.get("/undefined") { "\(try await $0.shared.value("nothing"))" }
        engine.post("/say/<word>") { request in
            try await request.shared.broadcast("word", request.parameter("word") ?? "")
            return ""
        }
        engine.onBroadcast("word") { message, shared in
            _ = try? await shared.add(message.bytes.count, to: "heard")
        }
        engine.get("/heard") { "\(try await $0.shared.value("heard"))" }
        engine.maintain(every: .milliseconds(50), in: .oneWorker) { try await $0.add(1, to: "turns") }
        engine.get("/turns") { "\(try await $0.shared.value("turns"))" }
        // Adds one under a lock, in a way that loses increments without it.
        engine.post("/inside") { request in
            try await request.shared.withLock("inside") { lock in
                let before = try await request.shared.value("inside")
                try await Task.sleep(for: .milliseconds(1))
                try await request.shared.set("inside", to: before + 1)
                return "\(lock.fence)"
            }
        }
        engine.get("/inside") { "\(try await $0.shared.value("inside"))" }
        engine.mount(
            "/limited", ClosureApp { _ in .text("yes") }.inside(RateLimit(5, per: .seconds(3600), name: "probe")))
        // Cached values of all workers become stale when one worker says so.
        let results = KeptResults()
        engine.get("/kept") { request in
            let changed = try await request.shared.lastChange("pages", "users")
            let port = request.parameters["port"] ?? ""
            let client = request.skein
            return try await results.dispatch("count", for: .seconds(600), changed: changed) {
                client.get("http://127.0.0.1:\(port)/count")
            }.text()
        }
        engine.post("/touch") { request in
            try await request.shared.touch("users")
            return ""
        }
        engine.onChange(of: "users") { shared in _ = try? await shared.add(1, to: "heard") }
        let rooms = SocketGroups<String>()
        engine.share(rooms, as: "rooms")
        var router = Router()
        router.webSocket("/room") { socket, request in
            let room = rooms["room"]
            try await room.join(socket, as: request.parameters["name"]) {
                try await socket.send("\(getpid())")
                for try await message in socket {
                    let words = message.text.splitBytes(separator: ":")
                    if words.count == 2 {
                        room.send(.text(String(words[1])), to: String(words[0]))
                    } else {
                        room.send(message)
                    }
                }
            }
        }
        router.webSocket("/socket") { socket, _ in
            try await socket.send("\(getpid())")
            for try await message in socket { try await socket.send(message) }
        }
        engine.mount("/ws", router)
    }

    private static func text(_ path: String) -> String? {
        guard let file = fopen(path, "r") else { return nil }
        defer { fclose(file) }
        var line = [CChar](repeating: 0, count: 64)
        guard fgets(&line, 64, file) != nil else { return nil }
        return String(decoding: line.prefix { $0 > 32 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }
}
