// A kept connection of the pool. It carries bytes between the socket and the codec, and answers to exchanges, in order.

import DequeModule
import NIOCore
import SkeinCore
import SkeinTransport
import SkeinWire

/// One HTTP/1.1 connection to an origin.
///
/// Unchecked: every method is called on the loop of its channel; the pool and the exchanges of that loop are its only
/// callers. What each request touches opts out of the run-time check of exclusive access, which one thread does not need.
final class HTTP1ClientConnection: ChannelInboundHandler, RemovableChannelHandler, BodySink, ExchangeCarrier,
    TimerTarget, @unchecked Sendable
{
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    let pool: OriginPool
    let tls: TLSInfo?
    var connectTimings: ConnectTimings?
    private let born: NIODeadline
    @exclusivity(unchecked) private var decoder: HTTP1ResponseDecoder
    @exclusivity(unchecked) var inFlight = Deque<HTTPExchange>()
    @exclusivity(unchecked) var context: ChannelHandlerContext?
    @exclusivity(unchecked) private var output = ByteBuffer()
    @exclusivity(unchecked) private var outputIsWritten = true
    private var flushIsScheduled = false
    @exclusivity(unchecked) private var lastActivity: NIODeadline
    var timer: ShardTimers.Token?
    private var socketError: (any Error)?
    @exclusivity(unchecked) var isClosing = false
    @exclusivity(unchecked) private var wasReused = false
    /// What takes over when the server accepts the upgrade that the first request offers.
    @exclusivity(unchecked) var successor: HTTP2ClientConnection?
    /// The exchange whose body waits until the server asks for it.
    private var holder: HTTPExchange?
    /// The exchange whose body is still being sent; nothing else is sent before its end.
    private var sender: HTTPExchange?
    private var sparesBody = false
    /// Whether nothing is read, since the consumer of an answer is slower than the server.
    @exclusivity(unchecked) private var isReadingPaused = false

    init(pool: OriginPool, tls: TLSInfo?, connectTimings: ConnectTimings? = nil) {
        self.pool = pool
        self.tls = tls
        self.connectTimings = connectTimings
        born = pool.shard.now
        lastActivity = born
        let configuration = pool.context.configuration
        decoder = HTTP1ResponseDecoder(limits: configuration.limits, parsing: configuration.parsing)
    }

    /// Whether nothing is under way.
    var isIdle: Bool { inFlight.isEmpty }

    /// Whether the connection may take a request now, being idle.
    func isUsable(at now: NIODeadline) -> Bool {
        !isClosing && context != nil && now < born + pool.context.maximumAge
            && now < lastActivity + pool.context.idleTimeout
    }

    /// Whether another request may follow those under way.
    func canPipeline(_ exchange: HTTPExchange) -> Bool {
        !isClosing && sender == nil && holder == nil && inFlight.count < pool.context.configuration.pipelineDepth
            && inFlight.allSatisfy { $0.request.method.isIdempotent && !$0.request.isStreamed }
            && pool.shard.now < born + pool.context.maximumAge
    }

    // MARK: Sending

    /// Sends a request. The connection is idle, or pipelines.
    func send(_ exchange: HTTPExchange, at now: NIODeadline) {
        let isUpgrade = exchange.request.upgrade != nil
        if isUpgrade, pool.key.purpose == .requests {
            pool.owner.submitAsUpgrade(exchange)
            return isIdle ? pool.isFree(self) : ()
        }
        wasReused = wasReused || served > 0
        prepareOutput()
        var headers = offersUpgrade ? offerUpgrade(exchange.request) : exchange.request.headers
        var target = exchange.request.url.target
        if case .forward(let proxy) = pool.route {
            // The absolute form, for whoever is not the origin itself (RFC 9112, section 3.2.2).
            target = exchange.request.url.description
            if let authorization = proxy.authorization { headers["Proxy-Authorization"] = authorization }
        }
        do {
            try HTTP1Encoder.writeRequestHead(
                method: exchange.request.method, target: target,
                host: exchange.request.url.origin.authority, headers: headers,
                defaults: pool.context.defaults.fields(for: exchange.request), bodyLength: exchange.request.body.length,
                close: !pool.context.configuration.keepAlive, into: &output)
        } catch {
            exchange.failLater(SkeinError(.exception, peer: exchange.peer, because: error.description, cause: error))
            // With others under way, it is their end that makes it free.
            return isIdle ? pool.isFree(self) : ()
        }
        served += 1
        inFlight.append(exchange)
        exchange.wasTaken(by: self)
        decoder.expectResponse(to: exchange.request.method, mayUpgrade: successor != nil || isUpgrade)
        lastActivity = now
        if headers.known.contains(.expect), exchange.request.body.length != .none {
            holdBody(of: exchange)
        } else {
            sendBody(of: exchange)
        }
        // Requests that are pipelined in one tick leave in one write.
        if inFlight.count == 1 { return flush() }
        guard !flushIsScheduled else { return }
        flushIsScheduled = true
        pool.shard.eventLoop.execute {
            self.flushIsScheduled = false
            self.flush()
        }
    }

    @exclusivity(unchecked) private var served = 0

    private func sendBody(of exchange: HTTPExchange) {
        switch exchange.request.body.content {
        case .none: break
        case .bytes(let bytes):
            if bytes.readableBytes <= BodyPieces.size {
                output.writeImmutableBuffer(bytes)
            } else {
                startSender(exchange, length: bytes.readableBytes, BodyPieces.of(bytes))
            }
        case .stream(let length, _, let makeChunks):
            startSender(exchange, length: length, makeChunks)
        }
    }

    /// Lets the body wait until the server asks for it, or has been silent for a while (RFC 9110, section 10.1.1).
    private func holdBody(of exchange: HTTPExchange) {
        holder = exchange
        pool.shard.eventLoop.scheduleTask(in: TimeAmount(pool.context.configuration.expectContinueTimeout)) {
            if self.holder === exchange { self.releaseBody() }
        }
    }

    private func releaseBody() {
        guard let exchange = holder, !isClosing else { return }
        holder = nil
        prepareOutput()
        sendBody(of: exchange)
        flush()
    }

    /// Output that was written belongs to the channel; more goes into a buffer that is empty again.
    private func prepareOutput() {
        guard outputIsWritten else { return }
        output.clear()
        outputIsWritten = false
    }

    private func startSender(
        _ exchange: HTTPExchange, length: Int?, _ makeChunks: @escaping @Sendable () -> AsyncThrowingChunks
    ) {
        sender = exchange
        Task(executorPreference: pool.shard.executor) {
            let outcome = await makeChunks().send(to: self, length: length, peer: exchange.peer)
            guard self.sender === exchange else { return }
            self.sender = nil
            switch outcome {
            case .failed(let fault): if exchange.isOn(self) { exchange.fail(fault) }
            case .sent where self.inFlight.isEmpty && !self.isClosing:
                self.setReading(true)
                self.pool.isFree(self)
            case .sent, .unwanted: break
            }
        }
    }

    /// Writes a piece of a streamed body, waiting while the socket is full. On the loop.
    func write(piece: ByteBuffer, chunked: Bool) async throws {
        guard let context, !isClosing else { throw ChannelError.ioOnClosedChannel }
        prepareOutput()
        if chunked { HTTP1Encoder.writeChunk(piece, into: &output) } else { output.writeImmutableBuffer(piece) }
        flush()
        lastActivity = pool.shard.now
        // Writing may have found out that the server is gone, which ends the connection before this line.
        guard self.context != nil else { throw ChannelError.ioOnClosedChannel }
        if !context.channel.isWritable { try await waitUntilWritable() }
    }

    /// Writes the end of a streamed body. On the loop.
    func writeBodyEnd(chunked: Bool) {
        guard chunked, context != nil, !isClosing else { return }
        prepareOutput()
        do {
            try HTTP1Encoder.writeLastChunk(trailers: sender?.request.trailers, into: &output)
        } catch {
            sender?.fail(SkeinError(.exception, peer: sender?.peer, because: error.description, cause: error))
        }
        flush()
    }

    private var writableWaiter: UnsafeContinuation<Void, any Error>?

    private func waitUntilWritable() async throws {
        try await withUnsafeThrowingContinuation { writableWaiter = $0 }
    }

    private func wakeWriter(_ error: (any Error)? = nil) {
        guard let waiter = writableWaiter else { return }
        writableWaiter = nil
        if let error { waiter.resume(throwing: error) } else { waiter.resume() }
    }

    private func writeOutput() {
        guard !outputIsWritten, output.readableBytes > 0 else { return }
        context?.write(wrapOutboundOut(output), promise: nil)
        outputIsWritten = true
    }

    private func flush() {
        writeOutput()
        context?.flush()
    }

    // MARK: The channel

    func handlerAdded(context: ChannelHandlerContext) { self.context = context }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        lastActivity = pool.shard.now
        decoder.append(unwrapInboundIn(data))
        do {
            while !isClosing, let event = try decoder.next() { handle(event) }
        } catch {
            fail(error)
        }
    }

    func channelWritabilityChanged(context: ChannelHandlerContext) {
        if context.channel.isWritable { wakeWriter() }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        socketError = error
        context.close(promise: nil)
    }

    func channelInactive(context: ChannelHandlerContext) {
        // While a successor takes over, writing its first bytes may find out that the server is gone: that is for it to hear.
        guard self.context != nil else { return context.fireChannelInactive() }
        pool.context.session.statistics.disconnected()
        if !isClosing, socketError == nil {
            do {
                if let event = try decoder.finish() { handle(event) }
            } catch {
                failFirst(truncation())
            }
        }
        close()
        self.context = nil
        successor?.discard()
        successor = nil
        if let timer { pool.shard.timers.cancel(timer) }
        wakeWriter(ChannelError.ioOnClosedChannel)
        pool.isGone(self)
        loseExchanges()
    }

    // MARK: Receiving

    private func handle(_ event: HTTP1ResponseDecoder.Event) {
        guard let exchange = inFlight.first else { return close() }
        switch event {
        case .informational(let head):
            if head.status == .continue, holder === exchange { releaseBody() }
            exchange.events?.onInformational(exchange, head)
        case .head(let head):
            if holder === exchange {
                // The server does not want the body, which leaves the connection in the middle of a request.
                sparesBody = true
                holder = nil
            }
            if offersUpgrade { refuseUpgrade() }
            if !exchange.receive(head) { close() }
        case .body(let bytes):
            if !exchange.receive(bytes) { setReading(false) }
        case .end(let trailers, let reusable):
            finishFirst(trailers, reusable: reusable)
        case .upgraded(_, let remainder) where successor != nil: switchToHTTP2(remainder)
        case .upgraded(let head, let remainder) where exchange.request.upgrade != nil: handOver(head, remainder)
        case .upgraded:
            failFirst(
                SkeinError(
                    .protocolSwitchingFailed, peer: exchange.peer, because: "the server left HTTP without being asked"))
            close()
        }
    }

    private func finishFirst(_ trailers: Headers?, reusable: Bool) {
        guard let exchange = inFlight.popFirst() else { return }
        // More bytes than were asked for could be an answer made up by somebody: never let the next request see them.
        let isClean = !inFlight.isEmpty || !decoder.hasBufferedBytes
        if !reusable || !isClean || sparesBody || !pool.context.configuration.keepAlive {
            close()
        } else if sender == nil {
            setReading(true)  // whoever has stopped it has the whole answer now
            pool.isFree(self)  // before the exchange ends, so that the request that follows finds the connection
        }
        exchange.complete(trailers: trailers)
    }

    /// The peer's bytes make no sense: the exchange they were for fails with the reason, and the connection ends.
    private func fail(_ error: HTTP1Error) {
        if let exchange = inFlight.first {
            let code: SkeinError.Code
            switch error {
            case .unexpectedUpgrade: code = .protocolSwitchingFailed
            case _ where decoder.isReadingBody: code = .bodyError
            default: code = .responseHeaderError
            }
            failFirst(
                SkeinError(
                    code, peer: exchange.peer, because: "the server's answer is malformed: \(error)", cause: error))
        }
        close()
    }

    private func failFirst(_ error: SkeinError) {
        guard let exchange = inFlight.popFirst() else { return }
        exchange.fail(error)
    }

    private func truncation() -> SkeinError {
        SkeinError(
            .bodyError, peer: pool.origin.description, because: "the connection ended in the middle of the answer",
            cause: HTTP1Error.truncated)
    }

    /// What was under way when the connection ended: sent again where that is safe, failed where it is not.
    private func loseExchanges() {
        let lost = inFlight
        inFlight = []
        for (position, exchange) in lost.enumerated() {
            if exchange.mayReplay(afterReuse: wasReused || position > 0) {
                exchange.replay()
            } else if let socketError {
                exchange.fail(Connector.socketError(socketError, peer: exchange.peer))
            } else if exchange.head != nil {
                exchange.fail(truncation())
            } else {
                exchange.fail(
                    SkeinError(
                        position == 0 ? .noData : .channelClosed, peer: exchange.peer,
                        because: "the server closed the connection without an answer"))
            }
        }
    }

    // MARK: Time, back-pressure, end

    /// Looks after silence and idleness; armed once and again, not for each request.
    func timerFired() {
        timer = nil
        guard !isClosing else { return }
        let now = pool.shard.now
        if inFlight.isEmpty {
            if !isUsable(at: now) { return close() }
        } else if isReadingPaused {
            lastActivity = now
        } else if lastActivity + pool.context.silenceTimeout <= now {
            failFirst(
                SkeinError(
                    .timeout, peer: pool.origin.description,
                    because: "the server sent nothing for \(pool.context.configuration.silenceTimeout)"))
            return close()
        }
        armTimer()
    }

    /// Sets the timer, when the connection is made and each time it has fired too early.
    func armTimer() {
        let from = max(
            lastActivity, pool.shard.now - min(pool.context.idleTimeout, pool.context.silenceTimeout) + .milliseconds(100))
        timer = pool.shard.timers.schedule(self, at: from + min(pool.context.idleTimeout, pool.context.silenceTimeout))
    }

    private func setReading(_ isOn: Bool) {
        guard isReadingPaused == isOn else { return }
        isReadingPaused = !isOn
        lastActivity = pool.shard.now
        try? context?.channel.syncOptions?.setOption(.autoRead, value: isOn)
    }

    func resume(_ exchange: HTTPExchange) { setReading(true) }

    /// An exchange under way was given up. Its answer cannot be skipped, so the connection ends; the others are replayed.
    func abandon(_ exchange: HTTPExchange) {
        guard let position = inFlight.firstIndex(where: { $0 === exchange }) else { return }
        inFlight.remove(at: position)
        wasReused = true  // those behind it are not to blame
        close()
    }

    /// The session is shutting down: what is under way fails with the reason.
    func shutdown(_ error: SkeinError) {
        while !inFlight.isEmpty { failFirst(error) }
        close()
    }

    /// Ends the connection.
    func close() {
        guard !isClosing else { return }
        isClosing = true
        context?.close(promise: nil)
    }
}
