// The sending side of a connection: it gathers bytes, writes them once at the end of the event loop's tick, and lets senders wait
// while the socket is full.

import NIOCore
import SkeinCore

/// The output of a connection. Used on the channel's event loop only.
package final class ChannelOutput {
    private let eventLoop: any EventLoop
    @exclusivity(unchecked) private var buffer = OutputBuffer()
    @exclusivity(unchecked) private var flushIsScheduled = false
    /// The number of writes so far. Bytes appended at one count are written when the count has changed.
    @exclusivity(unchecked) package private(set) var writes = 0
    @exclusivity(unchecked) private var waiters: [UnsafeContinuation<Void, any Error>] = []
    /// The handler's context, until the channel closes or another handler takes over.
    @exclusivity(unchecked) package private(set) var context: ChannelHandlerContext?

    package init(_ eventLoop: any EventLoop) { self.eventLoop = eventLoop }

    /// The handler was added to the channel.
    package func attach(_ context: ChannelHandlerContext) { self.context = context }

    /// The channel has closed, or another handler takes over. Nothing more is written, and waiting senders fail.
    @discardableResult
    package func detach() -> ChannelHandlerContext? {
        defer { context = nil }
        wake(ChannelError.ioOnClosedChannel)
        return context
    }

    package var channel: (any Channel)? { context?.channel }
    /// Whether the channel is below its high-water mark.
    package var isWritable: Bool { context?.channel.isWritable ?? false }
    /// Bytes that were not written yet.
    package var count: Int { buffer.count }

    /// The buffer of the next write.
    package var bytes: ByteBuffer {
        get { buffer.bytes }
        _modify { yield &buffer.bytes }
    }

    /// Writes the buffer without flushing.
    package func write() {
        guard let context, let bytes = buffer.take() else { return }
        writes += 1
        context.write(NIOAny(bytes), promise: nil)
    }

    /// Writes the buffer and then a piece, without copying the piece, and flushes.
    package func write(_ piece: ByteBuffer) {
        write()
        context?.writeAndFlush(NIOAny(piece), promise: nil)
    }

    /// Writes the buffer and flushes.
    package func flush() {
        guard buffer.count > 0 else { return }
        write()
        context?.flush()
    }

    /// Flushes at the end of the event loop's tick.
    package func flushSoon() {
        guard !flushIsScheduled else { return }
        flushIsScheduled = true
        eventLoop.assumeIsolated().execute {
            self.flushIsScheduled = false
            self.flush()
        }
    }

    /// Calls a closure when the socket has accepted all that was written.
    package func whenTaken(_ work: @escaping () -> Void) {
        flush()
        guard let context else { return }
        let taken = context.eventLoop.makePromise(of: Void.self)
        context.writeAndFlush(NIOAny(ByteBuffer()), promise: taken)
        taken.futureResult.assumeIsolated().whenComplete { _ in work() }
    }

    /// Flushes, and waits until the channel is writable.
    /// - Throws: `ChannelError.ioOnClosedChannel` when the channel has closed.
    package func untilWritable() async throws {
        flush()
        // The flush may have closed the channel; nothing would wake a sender that waits after that.
        guard let context else { throw ChannelError.ioOnClosedChannel }
        guard !context.channel.isWritable else { return }
        try await withUnsafeThrowingContinuation { waiters.append($0) }
    }

    /// Whether a sender waits.
    package var hasWaiters: Bool { !waiters.isEmpty }

    /// The channel's writability has changed.
    package func writabilityChanged() { if isWritable { wake(nil) } }

    /// Closes the channel. Bytes that were not written are dropped.
    package func close() {
        buffer = OutputBuffer()
        context?.close(promise: nil)
    }

    /// Resumes the waiting senders.
    /// - Parameter error: the error that they throw; nil when the channel is writable.
    package func wake(_ error: (any Error)?) {
        guard !waiters.isEmpty else { return }
        let woken = waiters
        waiters = []
        for waiter in woken {
            if let error { waiter.resume(throwing: error) } else { waiter.resume() }
        }
    }
}
