// The sending side of a connection, whatever it speaks: bytes are gathered, leave in one write at the end of the tick, and whoever
// is faster than the peer waits here.

import NIOCore
import SkeinCore

/// What a connection writes to its channel. Touched on the channel's loop only.
package final class ChannelOutput {
    private let eventLoop: any EventLoop
    @exclusivity(unchecked) private var buffer = OutputBuffer()
    @exclusivity(unchecked) private var flushIsScheduled = false
    /// Writes so far: what was appended at one count has left when it is another.
    @exclusivity(unchecked) package private(set) var writes = 0
    @exclusivity(unchecked) private var waiters: [UnsafeContinuation<Void, any Error>] = []
    /// The channel, from the moment it is the connection's until it ends or is given to another handler.
    @exclusivity(unchecked) package private(set) var context: ChannelHandlerContext?

    package init(_ eventLoop: any EventLoop) { self.eventLoop = eventLoop }

    /// The channel is the connection's.
    package func attach(_ context: ChannelHandlerContext) { self.context = context }

    /// The channel is somebody else's from here on, or has ended: nothing more is written, and nobody waits.
    @discardableResult
    package func detach() -> ChannelHandlerContext? {
        defer { context = nil }
        wake(ChannelError.ioOnClosedChannel)
        return context
    }

    package var channel: (any Channel)? { context?.channel }
    /// Whether the peer takes more without waiting.
    package var isWritable: Bool { context?.channel.isWritable ?? false }
    /// Bytes that no write has taken.
    package var count: Int { buffer.count }

    /// What leaves with the next write.
    package var bytes: ByteBuffer {
        get { buffer.bytes }
        _modify { yield &buffer.bytes }
    }

    /// Gives the channel what is there, without flushing.
    package func write() {
        guard let context, let bytes = buffer.take() else { return }
        writes += 1
        context.write(NIOAny(bytes), promise: nil)
    }

    /// Gives the channel what is there and then a piece, uncopied.
    package func write(_ piece: ByteBuffer) {
        write()
        context?.writeAndFlush(NIOAny(piece), promise: nil)
    }

    /// Writes what is there.
    package func flush() {
        guard buffer.count > 0 else { return }
        write()
        context?.flush()
    }

    /// Writes at the end of this tick what it has brought.
    package func flushSoon() {
        guard !flushIsScheduled else { return }
        flushIsScheduled = true
        eventLoop.assumeIsolated().execute {
            self.flushIsScheduled = false
            self.flush()
        }
    }

    /// Calls when the socket has taken all that was written.
    package func whenTaken(_ work: @escaping () -> Void) {
        flush()
        guard let context else { return }
        let taken = context.eventLoop.makePromise(of: Void.self)
        context.writeAndFlush(NIOAny(ByteBuffer()), promise: taken)
        taken.futureResult.assumeIsolated().whenComplete { _ in work() }
    }

    /// Waits until the peer takes more.
    /// - Throws: when the channel has ended.
    package func untilWritable() async throws {
        flush()
        // Writing may have found out that the peer is gone: whoever waits after that is not woken.
        guard let context else { throw ChannelError.ioOnClosedChannel }
        guard !context.channel.isWritable else { return }
        try await withUnsafeThrowingContinuation { waiters.append($0) }
    }

    /// Whether somebody waits for the peer.
    package var hasWaiters: Bool { !waiters.isEmpty }

    /// The channel says that it takes more, or less.
    package func writabilityChanged() { if isWritable { wake(nil) } }

    /// Ends the channel; what no write has taken is not sent.
    package func close() {
        buffer = OutputBuffer()
        context?.close(promise: nil)
    }

    /// Lets those who wait for the peer go on.
    package func wake(_ error: (any Error)?) {
        guard !waiters.isEmpty else { return }
        let woken = waiters
        waiters = []
        for waiter in woken {
            if let error { waiter.resume(throwing: error) } else { waiter.resume() }
        }
    }
}
