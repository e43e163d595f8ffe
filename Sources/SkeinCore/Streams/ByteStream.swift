// Bytes from an event loop to one consumer, with back-pressure.

import DequeModule
import NIOCore
import Synchronization

/// A body that arrives in pieces, to be consumed once.
///
/// It applies back-pressure: while more than the high-water mark is waiting to be consumed, the connection is not read.
/// `Ending` is data that is known only at the end, such as trailers.
public final class ByteStream<Ending: Sendable>: AsyncSequence, Sendable {
    public typealias Element = ByteBuffer

    /// The state that the source holds. When the consumer releases the stream, it is cancelled.
    package let inlet: ByteStreamInlet<Ending>

    /// A stream fed by a source.
    /// - Parameter filter: transforms the bytes when the consumer reads them.
    package init(
        highWater: Int = 256 << 10, filter: (any ByteStreamFilter)? = nil, source: (any ByteStreamSource)?
    ) {
        inlet = ByteStreamInlet(highWater: highWater, filter: filter, source: source)
    }

    deinit { inlet.consumerLeft() }

    /// The ending; nil before the end.
    public var ending: Ending? { inlet.ending }

    /// The error that has ended it.
    package var failure: (any Error)? { inlet.failure }

    /// Adds a piece. Returns false when the source should pause until it is resumed.
    @discardableResult
    package func push(_ bytes: ByteBuffer) -> Bool { inlet.push(bytes) }

    /// Ends the stream successfully.
    package func finish(_ ending: Ending) { inlet.finish(ending) }

    /// Ends the stream with an error, which the consumer gets after the data that arrived before.
    package func fail(_ error: any Error) { inlet.fail(error) }

    // MARK: The consumer's side

    /// Iterates over the pieces. The second iterator of a stream throws at its first step.
    public struct AsyncIterator: AsyncIteratorProtocol {
        fileprivate let stream: ByteStream
        fileprivate let isFirst: Bool

        /// The next piece, or nil at the end.
        /// - Throws: the connection's error; code 701 on a second pass.
        public mutating func next() async throws -> ByteBuffer? {
            guard isFirst else {
                throw SkeinError(
                    .exception,
                    because: "the body was consumed already; keep the bytes of the first pass to use them again")
            }
            return try await stream.inlet.nextFiltered()
        }
    }

    /// Starts the only pass over the body.
    public func makeAsyncIterator() -> AsyncIterator { AsyncIterator(stream: self, isFirst: inlet.begin()) }

    /// Reads the rest into one buffer.
    /// - Parameter maximum: the limit in bytes.
    /// - Throws: code 719 above the maximum; the connection's error; code 701 on a second pass.
    public func collect(upTo maximum: Int) async throws -> ByteBuffer {
        let maximum = Swift.min(maximum, Int(Int32.max))  // the capacity of one buffer
        var whole = ByteBuffer()
        for try await piece in self {
            guard whole.readableBytes + piece.readableBytes <= maximum else {
                cancel()
                throw SkeinError(.contentTooLarge, because: "the body is larger than the limit of \(maximum) bytes")
            }
            if whole.readableBytes == 0 { whole = piece } else { whole.writeImmutableBuffer(piece) }
        }
        return whole
    }

    /// Cancels the stream; the source is told to drop the rest.
    public func cancel() { inlet.cancel() }
}

/// The state of a ``ByteStream``, which both sides share. The source holds it instead of the stream, so that the stream
/// is released when its consumer releases it.
package final class ByteStreamInlet<Ending: Sendable>: Sendable {
    private enum End {
        case finished(Ending)
        case failed(any Error)
    }

    private enum Step {
        case piece(ByteBuffer, resume: (any ByteStreamSource)?)
        case end(End)
        case wait
        case misuse
    }

    private struct State {
        var pieces = Deque<ByteBuffer>()
        var buffered = 0
        var end: End?
        var waiter: UnsafeContinuation<ByteBuffer?, any Error>?
        var isTaken = false
        var isPaused = false
        var source: (any ByteStreamSource)?
    }

    private let highWater: Int
    private let filter: (any ByteStreamFilter)?
    private let state: Mutex<State>

    init(highWater: Int, filter: (any ByteStreamFilter)?, source: (any ByteStreamSource)?) {
        self.highWater = highWater
        self.filter = filter
        state = Mutex(State(source: source))
    }

    var ending: Ending? {
        state.withLock { if case .finished(let ending) = $0.end { ending } else { nil } }
    }

    var failure: (any Error)? {
        state.withLock { if case .failed(let error) = $0.end { error } else { nil } }
    }

    // MARK: The source's side

    /// Adds a piece. Returns false when the source should pause until it is resumed.
    @discardableResult
    package func push(_ bytes: ByteBuffer) -> Bool {
        let (waiter, goOn) = state.withLock { state -> (UnsafeContinuation<ByteBuffer?, any Error>?, Bool) in
            if state.end != nil { return (nil, true) }
            if let waiter = state.waiter {
                state.waiter = nil
                return (waiter, true)
            }
            state.pieces.append(bytes)
            state.buffered += bytes.readableBytes
            // The source stays paused until at most half of the high-water mark is buffered: see `next()`.
            if state.buffered >= highWater { state.isPaused = true }
            return (nil, !state.isPaused)
        }
        waiter?.resume(returning: bytes)
        return goOn
    }

    /// Ends the stream successfully.
    package func finish(_ ending: Ending) { end(.finished(ending)) }

    /// Ends the stream with an error, which the consumer gets after the data that arrived before.
    package func fail(_ error: any Error) { end(.failed(error)) }

    private func end(_ end: End) {
        let (waiter, _) = state.withLock {
            state -> (UnsafeContinuation<ByteBuffer?, any Error>?, (any ByteStreamSource)?) in
            guard state.end == nil else { return (nil, nil) }
            state.end = end
            defer {
                state.waiter = nil
                state.source = nil
            }
            return (state.waiter, state.source)
        }
        switch end {
        case .finished: waiter?.resume(returning: nil)
        case .failed(let error): waiter?.resume(throwing: error)
        }
    }

    // MARK: The consumer's side

    /// Notes that a pass over the body starts. Returns whether it is the first.
    func begin() -> Bool {
        let (isFirst, source) = state.withLock { state in
            defer { state.isTaken = true }
            return (!state.isTaken, state.source)
        }
        if isFirst { source?.streamWantsMore() }
        return isFirst
    }

    func cancel() {
        let source = state.withLock { $0.source }
        fail(SkeinError(.cancelled, because: "the body was cancelled by its consumer"))
        source?.streamWasCancelled()
    }

    /// No consumer can read the rest any more.
    func consumerLeft() {
        let hasEnded = state.withLock { state in
            defer { state.pieces = [] }
            return state.end != nil
        }
        if !hasEnded { cancel() }
    }

    /// The whole body, when it has ended successfully and no pass has started; this is the only pass then.
    /// - Parameter maximum: the limit in bytes.
    package func takeWhole(upTo maximum: Int) -> (bytes: ByteBuffer, ending: Ending)? {
        guard filter == nil else { return nil }
        return state.withLock { state in
            guard !state.isTaken, case .finished(let ending) = state.end, state.buffered <= maximum else { return nil }
            state.isTaken = true
            var whole = state.pieces.popFirst() ?? ByteBuffer()
            while let piece = state.pieces.popFirst() { whole.writeImmutableBuffer(piece) }
            state.buffered = 0
            return (whole, ending)
        }
    }

    /// The unread pieces, when another consumer takes over the source.
    package func takeArrived() -> [ByteBuffer] {
        state.withLock { state in
            defer {
                state.pieces = []
                state.buffered = 0
            }
            return Array(state.pieces)
        }
    }

    /// The next filtered piece; nil at the end.
    package func nextFiltered() async throws -> ByteBuffer? {
        guard let filter else { return try await next() }
        do {
            while true {
                if let piece = try filter.next() { return piece }
                guard let raw = try await next() else { break }
                filter.append(raw)
            }
            try filter.finish()
            return nil
        } catch {
            cancel()
            throw error
        }
    }

    private func next() async throws -> ByteBuffer? {
        try await withTaskCancellationHandler {
            try await withUnsafeThrowingContinuation { continuation in
                let step = state.withLock { state -> Step in
                    if let piece = state.pieces.popFirst() {
                        state.buffered -= piece.readableBytes
                        guard state.isPaused, state.buffered <= highWater / 2 else { return .piece(piece, resume: nil) }
                        state.isPaused = false
                        return .piece(piece, resume: state.source)
                    }
                    if let end = state.end { return .end(end) }
                    if state.waiter != nil { return .misuse }
                    state.waiter = continuation
                    return .wait
                }
                switch step {
                case .piece(let piece, let source):
                    source?.streamWantsMore()
                    continuation.resume(returning: piece)
                case .end(.finished): continuation.resume(returning: nil)
                case .end(.failed(let error)): continuation.resume(throwing: error)
                case .misuse:
                    continuation.resume(
                        throwing: SkeinError(.exception, because: "two tasks read one body; let one of them read"))
                case .wait: break
                }
            }
        } onCancel: {
            cancel()
        }
    }
}

/// Transforms the bytes of a ``ByteStream`` for its consumer, for example by decompression. One consumer calls it, a
/// step at a time.
package protocol ByteStreamFilter: AnyObject, Sendable {
    /// Adds bytes from the source.
    func append(_ bytes: ByteBuffer)
    /// The next piece for the consumer, or nil until more bytes are added.
    func next() throws -> ByteBuffer?
    /// All bytes were added and all pieces taken.
    /// - Throws: when the data is incomplete.
    func finish() throws
}

/// The source of a ``ByteStream``. Called on any thread.
package protocol ByteStreamSource: AnyObject, Sendable {
    /// The consumer has started, or has read everything: continue.
    func streamWantsMore()
    /// The consumer does not want the rest.
    func streamWasCancelled()
}
