// Carries bytes between a channel and the HTTP/2 engine, for both roles: one write per tick, and back-pressure for
// senders that are faster than the peer.

import NIOCore
import SkeinCore
import SkeinTransport
import SkeinWire

/// The owner of the driver: the client's or the server's connection. Called on the loop.
package protocol HTTP2DriverOwner: AnyObject {
    /// The peer caused an event.
    func handle(_ event: HTTP2Engine.Event)
    /// The connection is over; this is the last call.
    /// - Parameter error: the cause; nil when the peer closed.
    func ended(_ error: (any Error)?)
}

/// The channel handler of an HTTP/2 connection.
///
/// Unchecked: every method is called on the loop of its channel. What each request touches opts out of the run-time check
/// of exclusive access, which one thread does not need.
package final class HTTP2Driver: ChannelInboundHandler, @unchecked Sendable {
    package typealias InboundIn = ByteBuffer
    package typealias OutboundOut = ByteBuffer

    /// Pending output above which reading stops, for a peer that does not read.
    private static let highWater = 256 << 10
    /// The longest delay of output within one tick.
    private static let longTick = TimeAmount.microseconds(100)
    /// Bytes that are read and discarded after a fatal error, so that the peer receives the GOAWAY.
    private static let discardLimit = 16 << 20

    @exclusivity(unchecked) package var engine: HTTP2Engine
    private let eventLoop: any EventLoop
    /// The receiver of events; set before the driver is added to a channel, and cleared when that has ended. Not weak,
    /// which would slow down every reference count of the owner.
    @exclusivity(unchecked) package var owner: (any HTTP2DriverOwner)?
    @exclusivity(unchecked) private var context: ChannelHandlerContext?
    @exclusivity(unchecked) private var flushIsScheduled = false
    @exclusivity(unchecked) private var lastFlush: NIODeadline
    @exclusivity(unchecked) private var isFlushing = false
    @exclusivity(unchecked) private var isReading = false
    private var gate = ReadGate()
    private var discarded = 0
    private var failure: (any Error)?
    private var inputHasEnded = false
    private var isClosing = false
    private var waiters: [UInt32: UnsafeContinuation<Void, any Error>] = [:]
    /// When the peer last sent something.
    @exclusivity(unchecked) package private(set) var lastRead: NIODeadline

    package init(engine: consuming HTTP2Engine, eventLoop: any EventLoop) {
        self.engine = engine
        self.eventLoop = eventLoop
        lastFlush = eventLoop.now
        lastRead = lastFlush
    }

    /// Whether the connection can send.
    package var isOpen: Bool { context != nil && !engine.hasFailed && failure == nil }

    package var channel: (any Channel)? { context?.channel }
    package var remoteAddress: SocketAddress? { context?.remoteAddress }

    // MARK: The channel

    package func handlerAdded(context: ChannelHandlerContext) {
        self.context = context
        if context.channel.isActive { flush() }
    }

    package func channelActive(context: ChannelHandlerContext) { flush() }

    package func channelRead(context: ChannelHandlerContext, data: NIOAny) { receive(unwrapInboundIn(data)) }

    package func channelReadComplete(context: ChannelHandlerContext) { flush() }

    /// Receives bytes from the peer.
    package func receive(_ bytes: ByteBuffer) {
        guard failure == nil else {
            discarded += bytes.readableBytes
            if discarded > Self.discardLimit { context?.close(promise: nil) }
            return
        }
        lastRead = eventLoop.now
        engine.append(bytes, at: lastRead)
        isReading = true
        takeEvents()
        isReading = false
    }

    package func channelWritabilityChanged(context: ChannelHandlerContext) {
        guard context.channel.isWritable else { return }
        gate.release(.output, context.channel)
        flush()
    }

    package func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        guard case ChannelEvent.inputClosed? = event as? ChannelEvent else { return }
        // The peer sends no more requests: those in flight are answered, as far as the windows allow, and the
        // connection ends. A peer that has closed both directions refuses our output.
        inputHasEnded = true
        engine.ping()
        flush()
    }

    package func errorCaught(context: ChannelHandlerContext, error: any Error) {
        failure = failure ?? error
        context.close(promise: nil)
    }

    package func channelInactive(context: ChannelHandlerContext) {
        self.context = nil
        wakeAll()
        owner?.ended(failure)
        owner = nil
    }

    // MARK: Events and output

    private func takeEvents() {
        do {
            while failure == nil, let event = try engine.next() {
                switch event {
                case .drained(let stream): if !wake(stream) { owner?.handle(event) }
                case .reset(let stream, let reset):
                    wake(stream, HTTP2Error(reset.code, reset.reason))
                    owner?.handle(event)
                default: owner?.handle(event)
                }
            }
        } catch {
            end(error)
        }
    }

    /// Writes the output of this tick at its end, or earlier in a long tick, so that the peer does not wait for the
    /// last of many tasks.
    package func flushSoon() {
        guard !isReading else { return }
        guard !flushIsScheduled else {
            let now = eventLoop.now
            guard now - lastFlush > Self.longTick else { return }
            return flush()
        }
        flushIsScheduled = true
        lastFlush = eventLoop.now
        eventLoop.execute {
            self.flushIsScheduled = false
            self.flush()
        }
    }

    private func flush() {
        guard !isFlushing, let context else { return }
        isFlushing = true
        lastFlush = eventLoop.now
        while context.channel.isWritable {
            engine.fill(at: eventLoop.now)
            guard engine.output.readableBytes > 0 else { break }
            context.writeAndFlush(wrapOutboundOut(engine.output), promise: nil)
            engine.output.clear()
        }
        isFlushing = false
        if inputHasEnded { engine.resetUnfinishable() }
        if engine.output.readableBytes > Self.highWater { gate.hold(.output, context.channel) }
        takeEvents()  // streams whose senders may continue
        closeIfDrained()
    }

    // MARK: Sending content

    /// Sends a piece and returns when the next one can be sent.
    /// - Throws: when the stream or the connection has ended.
    package func send(_ piece: ByteBuffer, on stream: HTTP2Stream) async throws {
        guard isOpen, engine.isSending(stream) else { throw ChannelError.ioOnClosedChannel }
        engine.send(piece, isLast: false, on: stream)
        flushSoon()
        // Writing may have found that the peer is gone: a sender that waits after that would not be resumed.
        guard isOpen else { throw ChannelError.ioOnClosedChannel }
        guard engine.notifyWhenDrained(stream) else { return }
        try await withUnsafeThrowingContinuation { waiters[stream.id] = $0 }
    }

    /// Resets a stream with a code.
    package func cancel(_ stream: HTTP2Stream, _ code: HTTP2ErrorCode) {
        engine.cancel(stream, code)
        wake(stream, ChannelError.ioOnClosedChannel)
        flushSoon()
    }

    /// Resets the streams whose peer neither sends nor reads as required.
    /// - Parameters:
    ///   - minimumRate: the minimum of bytes a second at which it must read pending output; 0 for none.
    ///   - grace: the time before the rate is checked.
    package func resetStalled(before moment: NIODeadline, minimumRate: Int, grace: TimeAmount) {
        engine.resetStalled(before: moment)
        if minimumRate > 0 { engine.resetSlow(rate: minimumRate, grace: grace, at: eventLoop.now) }
        takeEvents()
        flushSoon()
    }

    /// Resumes a sender. Returns false when none waits.
    @discardableResult
    private func wake(_ stream: HTTP2Stream, _ error: (any Error)? = nil) -> Bool {
        guard let waiter = waiters.removeValue(forKey: stream.id) else { return false }
        if let error { waiter.resume(throwing: error) } else { waiter.resume() }
        return true
    }

    private func wakeAll() {
        let all = waiters
        waiters = [:]
        for waiter in all.values { waiter.resume(throwing: failure ?? ChannelError.ioOnClosedChannel) }
    }

    // MARK: The end

    /// Ends the connection with an error that is sent to the peer.
    package func end(_ error: HTTP2Error) {
        guard failure == nil else { return }
        engine.fail(error)
        failure = error
        guard let context else { return }
        // Closing with unread bytes would cause a TCP reset, which can destroy the GOAWAY in transit (RFC 9112, section
        // 9.6).
        context.writeAndFlush(wrapOutboundOut(engine.output), promise: nil)
        engine.output.clear()
        context.close(mode: .output, promise: nil)
        gate.open(context.channel)
        wakeAll()
        eventLoop.scheduleTask(in: .seconds(1)) { self.context?.close(promise: nil) }
    }

    /// Closes the connection when the streams in flight are over.
    package func closeWhenDrained() {
        engine.beginShutdown()
        flushSoon()
    }

    /// Closes the connection now.
    package func close() {
        guard let context else { return }
        flush()
        context.close(promise: nil)
    }

    private func closeIfDrained() {
        guard engine.isDrained || (inputHasEnded && engine.streamCount == 0), engine.output.readableBytes == 0,
            failure == nil, !isClosing, let context
        else { return }
        isClosing = true
        // After all pending output.
        context.writeAndFlush(wrapOutboundOut(ByteBuffer())).whenComplete { _ in self.context?.close(promise: nil) }
    }
}

/// The sending side of a stream, for a streamed body.
package final class HTTP2BodySink: BodySink {
    private let driver: HTTP2Driver
    private let stream: HTTP2Stream
    private let trailers: Headers?

    package init(_ driver: HTTP2Driver, _ stream: HTTP2Stream, trailers: Headers?) {
        self.driver = driver
        self.stream = stream
        self.trailers = trailers
    }

    package func write(piece: ByteBuffer, chunked: Bool) async throws { try await driver.send(piece, on: stream) }

    package func writeBodyEnd(chunked: Bool, trailers: Headers?) {
        do {
            try driver.engine.finish(trailers ?? self.trailers, on: stream)
            driver.flushSoon()
        } catch {
            driver.cancel(stream, .internalError)
        }
    }
}
