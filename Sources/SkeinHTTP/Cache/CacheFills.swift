// Merges concurrent requests for one URL into one, and copies a response into the cache while it is passed on.

import NIOCore
import SkeinCore
import SkeinWire
import Synchronization

/// The requests in flight, by URL. The first caller sends one; the others wait until its response is stored, or will
/// not be.
final class CacheFills: Sendable {
    private struct State {
        var waiting = ByteDictionary<[CheckedContinuation<Void, Never>]>()
        /// URLs whose responses were not stored lately: no caller waits for them.
        var passing = ByteDictionary<NIODeadline>()
    }

    /// The time for which an uncacheable URL is remembered.
    private static let memory: TimeAmount = .seconds(10)
    private static let mostRemembered = 10_000

    private let state = Mutex(State())

    enum Turn {
        /// Send the request, and report the outcome.
        case first
        /// Another caller's request is in flight.
        case behind
        /// Nothing is shared: send your own request.
        case alone
    }

    /// A caller asks for a URL that is not stored.
    func begin(_ key: String, at now: NIODeadline) -> Turn {
        state.withLock { state in
            if let until = state.passing[key] {
                if now < until { return .alone }
                state.passing[key] = nil
            }
            if state.waiting[key] != nil { return .behind }
            state.waiting[key] = []
            return .first
        }
    }

    /// Waits until the first caller has its response, at most for the time given.
    /// - Returns: false when the time was not enough.
    func wait(for key: String, upTo time: Duration, on shard: Shard) async -> Bool {
        let end = shard.now + TimeAmount(time)
        let timer = Mutex<Scheduled<Void>?>(nil)
        await withCheckedContinuation { continuation in
            let isOver = state.withLock { state in
                guard state.waiting[key] != nil else { return true }
                state.waiting[key]?.append(continuation)
                return false
            }
            if isOver { return continuation.resume() }
            let scheduled = shard.eventLoop.scheduleTask(in: TimeAmount(time)) { self.release(key) }
            timer.withLock { $0 = scheduled }
        }
        timer.withLock { $0 }?.cancel()
        return shard.now < end
    }

    enum Outcome {
        case kept
        /// The response may not be stored; most likely, the next ones may not either.
        case refused
        /// Unknown: the server failed, or the first caller left.
        case failed
    }

    /// The first caller has its response.
    func end(_ key: String, _ outcome: Outcome, at now: NIODeadline) {
        release(key, isOver: true)
        guard outcome == .refused else { return }
        state.withLock { state in
            if state.passing.count >= Self.mostRemembered { state.passing = ByteDictionary() }
            state.passing[key] = now + Self.memory
        }
    }

    /// Resumes the waiting callers.
    private func release(_ key: String, isOver: Bool = false) {
        let waiting = state.withLock { state in
            let waiting = state.waiting[key] ?? []
            if isOver { state.waiting[key] = nil } else if !waiting.isEmpty { state.waiting[key] = [] }
            return waiting
        }
        for continuation in waiting { continuation.resume() }
    }
}

/// The one request shared by several callers.
final class CacheFill: Sendable {
    private let fills: CacheFills
    private let key: String
    private let shard: Shard

    init(_ fills: CacheFills, _ key: String, _ shard: Shard) {
        self.fills = fills
        self.key = key
        self.shard = shard
    }

    func end(_ outcome: CacheFills.Outcome) { fills.end(key, outcome, at: shard.now) }
}

/// Content that goes to its consumer and into the cache. When the consumer leaves, both end.
final class CacheTee: ByteStreamSource {
    private let original: BodyStream
    private let consumer = Mutex<(isWanted: Bool, waiter: CheckedContinuation<Void, Never>?)>((false, nil))

    private init(_ original: BodyStream) { self.original = original }

    /// Starts to pass the content on.
    /// - Parameters:
    ///   - maximum: bytes that are stored; larger content is only passed on.
    ///   - finished: called with the whole content, or nil.
    /// - Returns: the stream for the consumer.
    static func start(
        _ original: BodyStream, keeping maximum: Int, on shard: Shard,
        finished: @escaping @Sendable (ByteBuffer?) async -> Void
    ) -> BodyStream {
        let tee = CacheTee(original)
        let copy = BodyStream(source: tee)
        let inlet = copy.inlet
        Task(executorPreference: shard.executor) { await tee.pass(to: inlet, keeping: maximum, finished) }
        return copy
    }

    private func pass(
        to inlet: ByteStreamInlet<Headers?>, keeping maximum: Int, _ finished: @Sendable (ByteBuffer?) async -> Void
    ) async {
        var kept: ByteBuffer? = ByteBuffer()
        do {
            for try await piece in original {
                if kept.map({ $0.readableBytes + piece.readableBytes > maximum }) ?? false { kept = nil }
                kept?.writeImmutableBuffer(piece)
                if !inlet.push(piece) { await untilWanted() }
            }
            // Content with trailers is not stored without them.
            let trailers = original.ending ?? nil
            await finished(trailers?.isEmpty ?? true ? kept : nil)
            inlet.finish(trailers)
        } catch {
            await finished(nil)
            inlet.fail(error)
        }
    }

    private func untilWanted() async {
        await withCheckedContinuation { continuation in
            let isWanted = consumer.withLock { consumer in
                if consumer.isWanted {
                    consumer.isWanted = false
                    return true
                }
                consumer.waiter = continuation
                return false
            }
            if isWanted { continuation.resume() }
        }
    }

    func streamWantsMore() {
        let waiter = consumer.withLock { consumer in
            let waiter = consumer.waiter
            consumer = (waiter == nil, nil)
            return waiter
        }
        waiter?.resume()
    }

    func streamWasCancelled() {
        original.cancel()
        streamWantsMore()
    }
}
