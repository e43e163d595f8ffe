// State shared with other processes, for handlers and middleware.

import SkeinCore
import SkeinWorkers
import Synchronization

/// The shared state of all processes of a server: integers, times of changes, locks and messages.
///
///     engine.defineStates("cluster.num-nodes")
///     engine.post("/nodes") { request in
///         let count = try await request.shared.add(1, to: "cluster.num-nodes")
///         try await request.shared.broadcast("cluster.num-nodes")
///         return "\(count) nodes"
///     }
///
/// By default, it is in memory shared by all workers of a machine; ``ServerConfiguration/shared`` can set another
/// location.
public struct Shared: Sendable {
    let core: SharedCore
    /// Whether states must be defined by the engine; apps in Python define their own.
    var isChecked = true

    /// The same for a caller that checks the names of states itself.
    package var unchecked: Shared {
        var shared = self
        shared.isChecked = false
        return shared
    }

    private func check(_ state: String) throws(SkeinError) {
        guard !isChecked || core.states.contains(ByteKey(state)) else {
            throw SkeinError(
                .exception,
                because:
                    "the shared state \(state.debugDescription) is not defined; define it before the start: engine.defineStates(\(state.debugDescription))"
            )
        }
    }

    /// The value of a state; 0 when it was never set.
    /// - Throws: code 701 for an undefined state; the errors of the backend.
    public func value(_ state: String) async throws -> Int {
        try check(state)
        return try await core.backend.value(state)
    }

    /// Sets a state.
    public func set(_ state: String, to value: Int) async throws {
        try check(state)
        try await core.backend.set(state, value)
    }

    /// Adds to a state, atomically for all processes.
    /// - Returns: the new value.
    @discardableResult
    public func add(_ number: Int, to state: String) async throws -> Int {
        try check(state)
        return try await core.backend.add(number, to: state)
    }

    /// Sets a state if it has the expected value, atomically for all processes.
    /// - Returns: whether it had.
    public func compareAndSet(_ state: String, expected: Int, to value: Int) async throws -> Bool {
        try check(state)
        return try await core.backend.compareAndSet(state, expected: expected, value)
    }

    /// Records a change now, for example of a table or a model, and triggers ``Engine/onChange(of:_:)`` in all
    /// processes.
    /// - Parameter name: any name, at most 80 bytes.
    public func touch(_ name: String) async throws {
        try await core.backend.touch(Self.changes + name)
        try await broadcast(Self.changes + name)
    }

    /// The time of the last change to any of some names, in seconds since 1970; nil for never. Earlier results are
    /// outdated:
    ///
    ///     let users = try await results.fetch(
    ///         "users", for: .seconds(600), changed: try await request.shared.lastChange("tables.users")
    ///     ) { request.skein.get("@back/users") }
    public func lastChange(_ names: String...) async throws -> Double? {
        var last: Double?
        for name in names {
            if let change = try await core.backend.lastChange(Self.changes + name) {
                last = max(last ?? change, change)
            }
        }
        return last
    }

    /// The prefix of change names.
    static let changes = "changed:"

    /// Runs an operation while holding a lock across all processes.
    /// - Parameters:
    ///   - name: at most 88 bytes; at most 256 names.
    ///   - timeout: the longest wait for the lock. Default: 30 s.
    ///   - work: the operation; it gets the lock, whose ``SharedLock/fence`` increases with each holder.
    /// - Throws: code 702 when the lock is not free in time; the error of the operation.
    public func withLock<Result>(
        _ name: String, timeout: Duration = .seconds(30), _ work: (any SharedLock) async throws -> Result
    ) async throws -> Result {
        let end = ContinuousClock.now + timeout
        var pause = Duration.microseconds(200)
        while true {
            if let lock = try await core.backend.tryLock(name) {
                do {
                    let result = try await work(lock)
                    await lock.release()
                    return result
                } catch {
                    await lock.release()
                    throw error
                }
            }
            guard ContinuousClock.now < end else {
                throw SkeinError(.timeout, because: "the lock \(name.debugDescription) was not free within \(timeout)")
            }
            // A random part, so that waiters do not keep retrying at the same time.
            try await Task.sleep(for: pause * Double.random(in: 0.5...1))
            pause = min(pause * 2, core.longestPause)
        }
    }

    /// Sends a message to all processes, this one included: handlers of `engine.onBroadcast` for the topic are called
    /// there.
    /// - Parameters:
    ///   - topic: the topic.
    ///   - bytes: the message, at most 60 000 bytes including the topic.
    /// - Throws: code 719 for a message that is too long, 701 when too many are queued.
    public func broadcast(_ topic: String, _ bytes: [UInt8] = []) async throws {
        let message = Broadcast(topic: topic, bytes: bytes)
        try await core.backend.broadcast(message)
        core.deliver(message)
    }

    /// Sends text to all processes.
    public func broadcast(_ topic: String, _ text: String) async throws { try await broadcast(topic, Array(text.utf8)) }

    /// The number of this worker process, from 0; nil without a master.
    public var worker: Int? { core.worker }
}

/// The shared state as held by one process.
final class SharedCore: Sendable {
    typealias Handler = @Sendable (Broadcast, Shared) async -> Void

    let backend: any SharedBackend
    let states: Set<ByteKey>
    let worker: Int?
    let longestPause: Duration
    private let handlers: [(topic: String, handler: Handler)]
    private let messages: AsyncStream<Broadcast>
    private let inlet: AsyncStream<Broadcast>.Continuation
    private let lost = Atomic<Int>(0)

    init(_ backend: any SharedBackend, _ options: SharedOptions, worker: Int?) {
        self.backend = backend
        self.worker = worker
        states = Set(options.states.map(ByteKey.init))
        handlers = options.handlers
        longestPause = backend is PageBackend ? .milliseconds(10) : .milliseconds(250)
        (messages, inlet) = AsyncStream.makeStream(of: Broadcast.self, bufferingPolicy: .bufferingOldest(4096))
    }

    /// Passes a message to the handlers of its topic, in order.
    func deliver(_ message: Broadcast) {
        guard handlers.contains(where: { $0.topic.equalsBytes(message.topic) }) else { return }
        // Handlers that are too slow miss messages, and are told how many.
        if case .dropped = inlet.yield(message) { lost.add(1 + message.missed, ordering: .relaxed) }
    }

    /// Runs handlers until the task is cancelled.
    func runHandlers() async {
        for await message in messages {
            var message = message
            message.missed += lost.exchange(0, ordering: .relaxed)
            for (topic, handler) in handlers where topic.equalsBytes(message.topic) {
                await handler(message, Shared(core: self))
            }
        }
    }
}

/// The engine's settings for shared state.
struct SharedOptions: Sendable {
    var states: [String] = []
    var handlers: [(topic: String, handler: SharedCore.Handler)] = []
    var maintenance: [Maintenance] = []
    /// Work that runs as long as the server.
    var starting: [@Sendable (Shared) async -> Void] = []
}

extension ServerRequest {
    /// The shared state of all processes of the server.
    public var shared: Shared { Shared(core: scope.owner.context.sharedCore) }
}
