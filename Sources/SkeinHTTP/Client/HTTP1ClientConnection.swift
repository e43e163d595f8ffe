// A pooled HTTP/1.1 connection: the driver of the machine that decides when requests are sent and whether the
// connection is reused.

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
    @exclusivity(unchecked) var isOffered = false
    let output: ChannelOutput
    @exclusivity(unchecked) var machine: HTTP1ClientMachine<HTTPExchange>
    @exclusivity(unchecked) private var decoder: HTTP1ResponseDecoder
    @exclusivity(unchecked) private var gate = ReadGate()
    /// During a read. Requests made now are flushed after it, so that bytes of this read cannot be taken for their
    /// responses.
    @exclusivity(unchecked) private var isReading = false
    private var timer: ShardTimers.Token?
    private var socketError: (any Error)?
    /// The connection that takes over when the server accepts the upgrade offered by the first request.
    @exclusivity(unchecked) var successor: HTTP2ClientConnection?

    init(pool: OriginPool, tls: TLSInfo?, connectTimings: ConnectTimings? = nil) {
        self.pool = pool
        self.tls = tls
        self.connectTimings = connectTimings
        let configuration = pool.context.configuration
        output = ChannelOutput(pool.shard.eventLoop)
        decoder = HTTP1ResponseDecoder(limits: configuration.limits, parsing: configuration.parsing)
        machine = HTTP1ClientMachine(pool.connectionLimits, at: pool.shard.now)
    }

    // MARK: Calls from the pool

    /// Whether no request is in flight.
    var isIdle: Bool { machine.isIdle }

    /// Whether the connection is idle and can take a request now.
    func isUsable(at now: NIODeadline) -> Bool { machine.isUsable(at: now) && output.context != nil }

    /// Whether another request may be pipelined.
    func canPipeline(at now: NIODeadline) -> Bool {
        machine.isPipelinable(at: now) && successor == nil && output.context != nil
    }

    // MARK: Sending

    /// Sends a request. The connection is idle, or pipelines.
    ///
    /// A request that cannot be encoded fails; one that needs another kind of connection is moved there. Neither
    /// changes this connection.
    func send(_ exchange: HTTPExchange, at now: NIODeadline) {
        let request = exchange.request
        let isUpgrade = request.upgrade != nil
        if isUpgrade, pool.key.purpose == .requests {
            return pool.owner.submitAsUpgrade(exchange)
        }
        var headers = offersUpgrade ? offerUpgrade(request) : request.headers
        var target = request.url.target
        if case .forward(let proxy) = pool.route {
            // The absolute form, for a proxy (RFC 9112, section 3.2.2).
            target = request.url.description
            if let authorization = proxy.authorization { headers["Proxy-Authorization"] = authorization }
        }
        do {
            try HTTP1Encoder.writeRequestHead(
                method: request.method, target: target, host: request.url.origin.authority, headers: headers,
                defaults: pool.context.defaults.fields(for: request), bodyLength: request.body.length,
                close: !pool.context.configuration.keepAlive, into: &output.bytes)
        } catch {
            return exchange.failLater(
                SkeinError(.exception, peer: exchange.peer, because: error.description, cause: error))
        }
        machine.send(exchange, at: now, writes: output.writes)
        exchange.wasTaken(by: self)
        decoder.expectResponse(to: request.method, mayUpgrade: successor != nil || isUpgrade)
        if headers.known.contains(.expect), request.body.length != .none {
            holdContent(of: exchange)
        } else {
            sendContent(of: exchange)
        }
        // Requests that are pipelined in one tick leave in one write.
        if isReading { return }
        if machine.inFlight.count == 1 { output.flush() } else { output.flushSoon() }
    }

    private func sendContent(of exchange: HTTPExchange) {
        switch exchange.request.body.content {
        case .none: break
        case .bytes(let bytes):
            if bytes.readableBytes <= BodyPieces.size {
                output.bytes.writeImmutableBuffer(bytes)
            } else {
                streamContent(of: exchange, length: bytes.readableBytes, BodyPieces.of(bytes))
            }
        case .stream(let length, _, let makeChunks): streamContent(of: exchange, length: length, makeChunks)
        }
    }

    private func holdContent(of exchange: HTTPExchange) {
        machine.holdContent(of: exchange)
        pool.shard.eventLoop.scheduleTask(in: TimeAmount(pool.context.configuration.expectContinueTimeout)) {
            self.releaseContent(of: exchange)
        }
    }

    private func releaseContent(of exchange: HTTPExchange) {
        guard machine.releaseContent(of: exchange) else { return }
        sendContent(of: exchange)
        output.flush()
    }

    private func streamContent(
        of exchange: HTTPExchange, length: Int?, _ makeChunks: @escaping @Sendable () -> AsyncThrowingChunks
    ) {
        machine.streamContent(of: exchange)
        Task(executorPreference: pool.shard.executor) {
            let outcome = await makeChunks().send(to: self, length: length, peer: exchange.peer)
            let isWhole = if case .sent = outcome { true } else { false }
            let next = self.machine.contentEnded(of: exchange, isWhole: isWhole)
            if case .failed(let fault) = outcome, exchange.isOn(self) { exchange.fail(fault) }
            switch next {
            case .free: self.isFree()
            case .busy: break
            case .close: self.close()
            }
        }
    }

    /// Writes a piece of a streamed body; waits while the socket is full. On the loop.
    func write(piece: ByteBuffer, chunked: Bool) async throws {
        guard machine.isOpen else { throw ChannelError.ioOnClosedChannel }
        if chunked {
            HTTP1Encoder.writeChunk(piece, into: &output.bytes)
        } else {
            output.bytes.writeImmutableBuffer(piece)
        }
        machine.madeProgress(at: pool.shard.now)
        try await output.untilWritable()
    }

    /// Writes the end of a streamed body. On the loop.
    func writeBodyEnd(chunked: Bool, trailers: Headers?) {
        guard chunked, case .open(.streaming(let exchange)) = machine.state else { return }
        do {
            try HTTP1Encoder.writeLastChunk(trailers: trailers ?? exchange.request.trailers, into: &output.bytes)
        } catch {
            exchange.fail(SkeinError(.exception, peer: exchange.peer, because: error.description, cause: error))
        }
        output.flush()
    }

    // MARK: The channel

    func handlerAdded(context: ChannelHandlerContext) { output.attach(context) }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard machine.isOpen else { return }
        isReading = true
        machine.madeProgress(at: pool.shard.now)
        decoder.append(unwrapInboundIn(data))
        do {
            while machine.isOpen, let event = try decoder.next() { handle(event) }
        } catch {
            fail(error)
        }
    }

    func channelReadComplete(context: ChannelHandlerContext) {
        isReading = false
        if machine.isOpen { output.flush() }
    }

    func channelWritabilityChanged(context: ChannelHandlerContext) { output.writabilityChanged() }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        socketError = error
        context.close(promise: nil)
    }

    func channelInactive(context: ChannelHandlerContext) {
        // While a successor takes over, writing its first bytes may find that the server is gone: the successor handles
        // that.
        guard output.context != nil else { return context.fireChannelInactive() }
        pool.context.session.statistics.disconnected()
        var truncated: HTTPExchange?
        if machine.isOpen, socketError == nil {
            do {
                if let event = try decoder.finish() { handle(event) }
            } catch {
                truncated = machine.failFirst()
            }
        }
        output.detach()
        successor?.discard()
        successor = nil
        stopTimer()
        let lost = machine.ended()
        pool.isGone(self)
        truncated?.fail(truncation)
        for (position, request) in lost.enumerated() { lose(request, isFirst: position == 0) }
    }

    // MARK: Receiving

    private func handle(_ event: HTTP1ResponseDecoder.Event) {
        guard let exchange = machine.expectant(after: output.writes) else { return close() }
        switch event {
        case .informational(let head):
            if head.status == .continue { releaseContent(of: exchange) }
            exchange.receiveInterim(head)
        case .head(let head):
            machine.receiveHead()
            if offersUpgrade { refuseUpgrade() }
            if !exchange.receive(head) { close() }
        case .body(let bytes): if !exchange.receive(bytes) { gate.hold(.consumer, output.channel) }
        case .end(let trailers, let reusable):
            guard let (exchange, next) = machine.receiveEnd(reusable: reusable, isClean: !decoder.hasBufferedBytes)
            else { return }
            switch next {
            case .free: isFree()  // before the exchange ends, so that the request that follows finds the connection
            case .busy: break
            case .close: close()
            }
            exchange.complete(trailers: trailers)
        case .upgraded(_, let remainder) where successor != nil: switchToHTTP2(remainder)
        case .upgraded(let head, let remainder) where exchange.request.upgrade != nil: handOver(head, remainder)
        case .upgraded:
            closeFailing(
                SkeinError(
                    .protocolSwitchingFailed, peer: exchange.peer,
                    because: "the server switched to another protocol without a request to do so"))
        }
    }

    /// The pool may use the connection for the next request.
    private func isFree() {
        gate.open(output.channel)  // the consumer that paused reading has the whole response now
        pool.isFree(self)
    }

    /// The peer's bytes are malformed: the exchange they were for fails with the reason, and the connection ends.
    private func fail(_ error: HTTP1Error) {
        let code: SkeinError.Code =
            switch error {
            case .unexpectedUpgrade: .protocolSwitchingFailed
            case _ where decoder.isReadingBody: .bodyError
            default: .responseHeaderError
            }
        closeFailing(
            SkeinError(
                code, peer: pool.origin.description, because: "the server's answer is malformed: \(error)", cause: error
            ))
    }

    /// Ends the connection, and then its exchange: the caller may send another request at once, which must not use this
    /// connection.
    private func closeFailing(_ error: SkeinError) {
        let exchange = machine.failFirst()
        close()
        exchange?.fail(error)
    }

    private var truncation: SkeinError {
        SkeinError(
            .bodyError, peer: pool.origin.description, because: "the connection ended in the middle of the answer",
            cause: HTTP1Error.truncated)
    }

    /// Handles a request in flight when the connection ends: it is replayed where that is safe, else it fails.
    private func lose(_ request: HTTP1ClientMachine<HTTPExchange>.InFlight, isFirst: Bool) {
        let exchange = request.call
        let isUnsent = !request.isSent(after: output.writes)
        if exchange.mayReplay(afterReuse: request.isBlameless) || isUnsent && exchange.mayReplayUnprocessed(upTo: 3) {
            exchange.replay()
        } else if let socketError {
            exchange.fail(Connector.socketError(socketError, peer: exchange.peer))
        } else if exchange.head != nil {
            exchange.fail(truncation)
        } else {
            exchange.fail(
                SkeinError(
                    isFirst ? .noResponse : .connectionClosed, peer: exchange.peer,
                    because: "the server closed the connection without an answer"))
        }
    }

    // MARK: Time, back-pressure, end

    /// Checks for silence and idleness; the timer is not set again for each request.
    func timerFired() {
        timer = nil
        guard machine.isOpen else { return }
        switch machine.look(at: pool.shard.now, isRead: gate.isOpen) {
        case .wait(let moment): armTimer(moment)
        case .close: close()
        case .fail:
            closeFailing(
                SkeinError(
                    .timeout, peer: pool.origin.description,
                    because: "the server sent nothing for \(pool.silence)"))
        }
    }

    /// The connection joins the pool: its time limits start.
    func armTimer() { armTimer(machine.nextLook(at: pool.shard.now)) }

    private func armTimer(_ moment: NIODeadline) { timer = pool.shard.timers.schedule(self, at: moment) }

    func stopTimer() {
        if let timer { pool.shard.timers.cancel(timer) }
        timer = nil
    }

    func resume(_ exchange: HTTPExchange) {
        if gate.release(.consumer, output.channel) { machine.madeProgress(at: pool.shard.now) }
    }

    func abandon(_ exchange: HTTPExchange) { if machine.abandon(exchange) { close() } }

    /// The session shuts down: requests in flight fail with the reason.
    func shutdown(_ error: SkeinError) {
        var lost: [HTTPExchange] = []
        while let exchange = machine.failFirst() { lost.append(exchange) }
        close()
        for exchange in lost { exchange.fail(error) }
    }

    /// Ends the connection.
    func close() { if machine.close() { output.close() } }
}

extension HTTPExchange: HTTP1ClientCall {
    package var mayBeFollowed: Bool { request.method.isIdempotent && !request.isStreamed && request.upgrade == nil }
}
