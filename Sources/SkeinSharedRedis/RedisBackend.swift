// State that processes on several machines share, on a Redis server.

import NIOCore
import SkeinCore
import SkeinEngine
import SkeinRedis
import SkeinWorkers
import Synchronization

extension SharedLocation {
    /// A Redis server, a cluster, or a master that sentinels know: `configuration.shared = .redis("redis://cache.internal/0")`.
    ///
    /// While the server is unavailable, states, locks and broadcasts fail with the client's error, request limits do
    /// what ``RateLimit`` says, and locks that are held end when their lifetime is over. Broadcasts that other
    /// processes sent meanwhile are received afterwards, up to the last 10 000.
    /// - Parameters:
    ///   - url: as `SkeinClient.redis` takes it.
    ///   - name: servers with the same name share everything. Default: `skein`.
    ///   - lockLifetime: how long a lock remains after its process has ended. It is renewed while it is held. Default:
    ///     10 s.
    public static func redis(_ url: String, name: String = "skein", lockLifetime: Duration = .seconds(10))
        -> SharedLocation
    {
        SharedLocation("Redis, \(name)") { client in
            RedisBackend(try client.redis(url), name: name, lockLifetime: max(.milliseconds(300), lockLifetime))
        }
    }
}

/// States, locks, broadcasts and meters on a Redis server.
///
/// All keys begin with `skein:{name}:`, whose braces keep them on one server of a cluster.
final class RedisBackend: SharedBackend {
    private struct State {
        var sequence: UInt64 = 0
        /// The broadcast that was sent last.
        var sending: Task<Void, any Error>?
        var turn: UInt64 = 0
        var waiting = 0
        var reading: Task<Void, Never>?
    }

    let redis: RedisClient
    let lockLifetime: Duration
    private let prefix: String
    private let sender = UInt64.random(in: 1...UInt64.max)
    private let state = Mutex(State())

    init(_ redis: RedisClient, name: String, lockLifetime: Duration) {
        self.redis = redis
        self.lockLifetime = lockLifetime
        prefix = "skein:{\(name)}:"
    }

    func key(_ kind: String, _ name: String) -> String { "\(prefix)\(kind):\(name)" }

    var rates: any RateStore { RedisRates(backend: self) }

    static func number(_ value: RedisValue) throws(SkeinError) -> Int {
        if let number = value.int { return number }
        throw SkeinError(.invalidContent, because: "Redis answered a script with \(value), not with a number")
    }

    // MARK: States

    private enum Scripts {
        /// Microseconds since 1970 by the server's clock, which is the same for all processes.
        private static let now = "local t = redis.call('TIME') local now = t[1] .. string.format('%06d', t[2]) "
        static let set = RedisScript(now + "redis.call('HSET', KEYS[1], 'v', ARGV[1], 't', now) return 1")
        static let add = RedisScript(
            now + "redis.call('HSET', KEYS[1], 't', now) return redis.call('HINCRBY', KEYS[1], 'v', ARGV[1])")
        static let compareAndSet = RedisScript(
            now
                + "if (redis.call('HGET', KEYS[1], 'v') or '0') ~= ARGV[1] then return 0 end redis.call('HSET', KEYS[1], 'v', ARGV[2], 't', now) return 1"
        )
        static let touch = RedisScript(now + "redis.call('HSET', KEYS[1], 't', now) return 1")
        static let lock = RedisScript(
            "if not redis.call('SET', KEYS[1], ARGV[1], 'NX', 'PX', ARGV[2]) then return 0 end return redis.call('INCR', KEYS[2])"
        )
        static let renew = RedisScript(
            "if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end return redis.call('PEXPIRE', KEYS[1], ARGV[2])")
        static let release = RedisScript(
            "if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end return redis.call('DEL', KEYS[1])")
    }

    func value(_ state: String) async throws -> Int {
        try await redis.hget(key("state", state), "v").fetch(Int?.self) ?? 0
    }

    func set(_ state: String, _ value: Int) async throws {
        _ = try await redis.run(Scripts.set, keys: [key("state", state)], value)
    }

    func add(_ number: Int, to state: String) async throws -> Int {
        try await Self.number(redis.run(Scripts.add, keys: [key("state", state)], number))
    }

    func compareAndSet(_ state: String, expected: Int, _ value: Int) async throws -> Bool {
        try await redis.run(Scripts.compareAndSet, keys: [key("state", state)], expected, value).int == 1
    }

    func touch(_ name: String) async throws {
        _ = try await redis.run(Scripts.touch, keys: [key("state", name)])
    }

    func lastChange(_ name: String) async throws -> Double? {
        try await redis.hget(key("state", name), "t").fetch(Int?.self).map { Double($0) / 1e6 }
    }

    // MARK: Locks

    func tryLock(_ name: String) async throws -> (any SharedLock)? {
        let token = "\(UInt64.random(in: 0...UInt64.max))-\(sender)"
        // The time before the request: the lock may end before the reply arrives, but never later than this object
        // assumes.
        let start = ContinuousClock.now
        let fence = try await Self.number(
            redis.run(Scripts.lock, keys: [key("lock", name), key("fence", name)], token, milliseconds))
        guard fence > 0 else { return nil }
        return RedisLock(self, key: key("lock", name), token: token, fence: fence, until: start + lockLifetime)
    }

    private var milliseconds: Int { Int(lockLifetime / .milliseconds(1)) }

    /// - Returns: whether this holder still has the lock.
    func renew(_ key: String, _ token: String) async throws -> Bool {
        try await redis.run(Scripts.renew, keys: [key], token, milliseconds).int == 1
    }

    func release(_ key: String, _ token: String) async {
        // If this fails, the lock ends with its lifetime.
        _ = try? await redis.run(Scripts.release, keys: [key], token)
    }

    // MARK: Broadcasts

    private static let keptMessages = 10_000

    func broadcast(_ message: Broadcast) async throws {
        // One after the other: each event loop has its own connection, and there is no order between connections.
        let sending = try state.withLock { state throws(SkeinError) in
            guard state.waiting < Self.maximumWaiting else {
                throw SkeinError(.exception, because: "too many broadcasts are under way; send fewer")
            }
            state.waiting += 1
            state.turn += 1
            let sending = Task { [before = state.sending, turn = state.turn, self] in
                defer { sent(turn) }
                do {
                    try await before?.value
                } catch let error as SkeinError where [.timeout, .connectionFailed].contains(error.code) {
                    // A message that waited while the server was unreachable does not wait again for the same reason.
                    throw error
                } catch {
                    // The error concerned the other message only.
                }
                try Task.checkCancellation()
                try await send(message)
            }
            state.sending = sending
            return sending
        }
        try await withTaskCancellationHandler {
            try await sending.value
        } onCancel: {
            sending.cancel()
        }
    }

    private static let maximumWaiting = 1024

    private func sent(_ turn: UInt64) {
        state.withLock { state in
            state.waiting -= 1
            if state.turn == turn { state.sending = nil }
        }
    }

    private func send(_ message: Broadcast) async throws {
        let bytes = message.encoded(from: sender, number: state.withLock { $0.sequence + 1 })
        try await redis.xadd(
            key("broadcast", "all"), "MAXLEN", "~", Self.keptMessages, "*", "m", ByteBuffer(bytes: bytes)
        ).commit()
        // A message that was not sent leaves no gap.
        state.withLock { $0.sequence += 1 }
    }

    func listen(_ receive: @escaping @Sendable (Broadcast) -> Void) async throws {
        let stream = key("broadcast", "all")
        let reading = Task { [self] in
            // A server that starts while Redis is unavailable serves the requests that do not need it.
            guard let newest = await newest(of: stream) else { return }
            await read(stream, after: newest, receive)
        }
        state.withLock { $0.reading = reading }
    }

    /// The most recent message; nil if the task is cancelled before it is known.
    private func newest(of stream: String) async -> String? {
        var pause = Duration.milliseconds(50)
        while !Task.isCancelled {
            let response = await redis.xrevrange(stream, "+", "-", "COUNT", 1).dispatch()
            if response.statusCode == 200 { return response.data[0]?[0]?.string ?? "0-0" }
            try? await Task.sleep(for: pause * Double.random(in: 0.5...1))
            pause = min(pause * 2, .seconds(2))
        }
        return nil
    }

    /// Reads until the task is cancelled. Messages sent while the server was unreachable are read afterwards.
    private func read(_ stream: String, after newest: String, _ receive: @Sendable (Broadcast) -> Void) async {
        var last = newest
        var order = BroadcastOrder()
        var pause = Duration.milliseconds(50)
        while !Task.isCancelled {
            let response = await redis.xread("COUNT", 256, "BLOCK", 2000, "STREAMS", stream, last).dispatch()
            guard response.statusCode == 200 else {
                if Task.isCancelled { return }
                try? await Task.sleep(for: pause * Double.random(in: 0.5...1))
                pause = min(pause * 2, .seconds(2))
                continue
            }
            pause = .milliseconds(50)
            for entry in response.data.entriesOfStreams.flatMap({ $0.elements ?? [] }).compactMap(RedisStreamEntry.init)
            {
                last = entry.id
                guard let message = entry["m"]?.bytes.map({ Array($0.readableBytesView) }),
                    let (broadcast, sender, number) = Broadcast.decode(message)
                else { continue }
                let missed = order.receive(number, from: sender)
                if sender != self.sender {
                    receive(Broadcast(topic: broadcast.topic, bytes: broadcast.bytes, missed: missed))
                }
            }
        }
    }

    func close() async {
        let reading = state.withLock { $0.reading }
        reading?.cancel()
        await reading?.value
    }
}

/// A lock that a process on some machine holds.
private final class RedisLock: SharedLock {
    private struct State {
        var until: ContinuousClock.Instant
        var renewing: Task<Void, Never>?
    }

    let fence: Int
    private let backend: RedisBackend
    private let key: String
    private let token: String
    private let state: Mutex<State>

    init(_ backend: RedisBackend, key: String, token: String, fence: Int, until: ContinuousClock.Instant) {
        self.backend = backend
        self.key = key
        self.token = token
        self.fence = fence
        state = Mutex(State(until: until))
        let renewing = Task { [weak self] in
            while (try? await Task.sleep(for: backend.lockLifetime / 3)) != nil {
                guard let self, await self.renew() else { return }
            }
        }
        state.withLock { $0.renewing = renewing }
    }

    deinit { state.withLock { $0.renewing }?.cancel() }

    /// Whether the lock cannot have ended yet.
    var isHeld: Bool { state.withLock { ContinuousClock.now < $0.until } }

    /// - Returns: whether to try again later.
    private func renew() async -> Bool {
        let start = ContinuousClock.now
        guard let isOwn = try? await backend.renew(key, token) else { return isHeld }
        state.withLock { $0.until = isOwn ? start + backend.lockLifetime : start }
        return isOwn
    }

    func release() async {
        state.withLock { $0.renewing }?.cancel()
        state.withLock { $0.until = .now }
        await backend.release(key, token)
    }
}
