// The output of a call from any thread, in order, combined where possible, with back-pressure.

import DequeModule
import NIOCore
import SkeinCore
import SkeinWire
import Synchronization

/// Sends the parts of a call on its stream. Called on the loop.
protocol GRPCSink: AnyObject, Sendable {
    /// Sends a part.
    func perform(_ item: GRPCOutbox.Item)
    /// Whether the peer can take more.
    var isWritable: Bool { get }
}

/// The parts of a call that wait for sending.
final class GRPCOutbox: Sendable {
    enum Item: Sendable {
        case head(Headers)
        case message(ByteBuffer)
        case end
        case trailers(Headers)
        case cancel(HTTP2ErrorCode)
    }

    private struct State {
        var sink: (any GRPCSink)?
        var items = Deque<Item>()
        var bytes = 0
        var isScheduled = false
        var isFull = false
        var isOver: Bool
        var waiters: [UnsafeContinuation<Void, any Error>] = []
    }

    /// Queued bytes above which the writer waits.
    private static let highWater = 256 << 10

    private let shard: Shard
    private let state = Mutex(State(isOver: false))

    init(_ shard: Shard) { self.shard = shard }

    /// The stream has opened.
    func open(_ sink: any GRPCSink) {
        state.withLock { $0.sink = sink }
        drain()
    }

    /// The peer has read the output.
    func becameWritable() {
        state.withLock { $0.isFull = false }
        drain()
    }

    /// Nothing more is sent; writers get an error.
    func close() {
        let waiters = state.withLock { state in
            state.isOver = true
            state.items = []
            state.sink = nil
            defer { state.waiters = [] }
            return state.waiters
        }
        for waiter in waiters { waiter.resume(throwing: SkeinError(.connectionClosed, because: "the call is over")) }
    }

    /// Sends a part in order, and waits when the peer is slow.
    func write(_ item: Item) async throws {
        guard try submit(item) else { return }
        try await withUnsafeThrowingContinuation { (continuation: UnsafeContinuation<Void, any Error>) in
            let isFree = state.withLock { state in
                guard Self.mustWait(state) else { return true }
                state.waiters.append(continuation)
                return false
            }
            if isFree { continuation.resume() }
        }
    }

    /// Sends a part in order. Returns whether the next one should wait.
    @discardableResult
    func submit(_ item: Item) throws -> Bool {
        let isCurrent = shard.isCurrent
        let (mustWait, schedules) = try state.withLock { state in
            guard !state.isOver else { throw SkeinError(.connectionClosed, because: "the call is over") }
            state.items.append(item)
            if case .message(let bytes) = item { state.bytes += bytes.readableBytes }
            let schedules = !state.isScheduled && state.sink != nil && !isCurrent
            if schedules { state.isScheduled = true }
            return (Self.mustWait(state), schedules)
        }
        if schedules {
            shard.eventLoop.execute {
                self.state.withLock { $0.isScheduled = false }
                self.drain()
            }
        } else if isCurrent {
            drain()
        }
        return mustWait
    }

    private static func mustWait(_ state: State) -> Bool {
        !state.isOver && (state.bytes > highWater || state.isFull && state.sink != nil)
    }

    private func drain() {
        while true {
            let next = state.withLock { state -> (Item, any GRPCSink)? in
                guard let sink = state.sink, !state.isFull, let item = state.items.popFirst() else { return nil }
                if case .message(let bytes) = item { state.bytes -= bytes.readableBytes }
                return (item, sink)
            }
            guard let (item, sink) = next else { break }
            sink.perform(item)
            if case .message = item, !sink.isWritable { state.withLock { $0.isFull = true } }
        }
        let waiters = state.withLock { state -> [UnsafeContinuation<Void, any Error>] in
            guard !state.waiters.isEmpty, !Self.mustWait(state) else { return [] }
            defer { state.waiters = [] }
            return state.waiters
        }
        for waiter in waiters { waiter.resume() }
    }
}
