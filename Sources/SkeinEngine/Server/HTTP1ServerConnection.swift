// One HTTP/1.1 connection of the server. Requests are answered one after the other, in order; what a client pipelines
// waits in the decoder. The connection carries bytes and keeps the time; the codec and the handler do the rest.

/// A connection of a client.
///
/// Unchecked: every method is called on the loop of its channel; handlers' tasks prefer that loop's executor.
final class HTTP1ServerConnection: ChannelInboundHandler, BodySink, ByteStreamSource, TimerTarget, @unchecked Sendable {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    /// What the connection waits for, and with it, which deadline holds.
    private enum Phase {
        /// The next request: nothing of it is here.
        case idle
        /// The rest of a head.
        case head
        /// A handler's answer, or its way to the client.
        case answering(Answering)
        /// The client's end, after our last byte.
        case lingering
        case closed
    }

    /// A request under way.
    private struct Answering {
        let head: RequestHead
        var body: BodyStream?
        var isReceived = false
        var isAnswered = false
        var received = 0
        var owesContinue: Bool
    }

    /// Unread pipelined bytes above which the client is not read any more.
    private static let highWater = 64 << 10

    private let owner: ServerShard
    @exclusivity(unchecked) private var decoder: HTTP1RequestDecoder
    @exclusivity(unchecked) private var context: ChannelHandlerContext?
    @exclusivity(unchecked) private var phase = Phase.head
    @exclusivity(unchecked) private var task: Task<Void, Never>?
    @exclusivity(unchecked) private var output = ByteBuffer()
    @exclusivity(unchecked) private var outputIsWritten = true
    private var flushIsScheduled = false
    @exclusivity(unchecked) private var isAdvancing = false
    private var isReadingPaused = false
    private var peerHasFinished = false
    @exclusivity(unchecked) private var served = 0
    private var remoteAddress: SocketAddress?
    @exclusivity(unchecked) private var deadline = NIODeadline.distantFuture
    private var timer: ShardTimers.Token?
    @exclusivity(unchecked) private var timerAt = NIODeadline.distantFuture
    private var writableWaiter: UnsafeContinuation<Void, any Error>?

    init(owner: ServerShard) {
        self.owner = owner
        decoder = HTTP1RequestDecoder(limits: owner.context.configuration.limits)
    }

    private var shard: Shard { owner.shard }
    private var configuration: ServerConfiguration { _read { yield owner.context.configuration } }

    // MARK: The channel

    func handlerAdded(context: ChannelHandlerContext) { self.context = context }

    func channelActive(context: ChannelHandlerContext) {
        remoteAddress = context.remoteAddress
        let isWelcome = owner.context.connectionOpened()
        owner.opened(self)
        setDeadline(owner.context.headerTimeout)
        if !isWelcome { refuse(.serviceUnavailable, "too many connections") }
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        switch phase {
        case .lingering, .closed: return
        case .idle:
            phase = .head
            deadline = .now() + owner.context.headerTimeout
        case .head: break
        case .answering: deadline = .now() + owner.context.bodyTimeout
        }
        decoder.append(unwrapInboundIn(data))
        advance()
    }

    func channelReadComplete(context: ChannelHandlerContext) { flush() }

    func channelWritabilityChanged(context: ChannelHandlerContext) {
        guard context.channel.isWritable else { return }
        setDeadline(owner.context.bodyTimeout)
        wakeWriter()
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        guard case ChannelEvent.inputClosed? = event as? ChannelEvent else {
            return context.fireUserInboundEventTriggered(event)
        }
        // The client has sent all it wants to send; what it has asked for is still answered.
        peerHasFinished = true
        switch phase {
        case .answering(let answering) where answering.isReceived: break
        default: context.close(promise: nil)
        }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }

    func channelInactive(context: ChannelHandlerContext) {
        if case .answering(let answering) = phase {
            answering.body?.fail(SkeinError(.channelClosed, because: "the client closed the connection"))
            task?.cancel()
        }
        phase = .closed
        if let timer { shard.timers.cancel(timer) }
        wakeWriter(ChannelError.ioOnClosedChannel)
        self.context = nil
        owner.closed(self)
    }

    // MARK: Receiving

    /// Takes what the decoder has, until a request has to be answered first or the bytes are used up.
    private func advance() {
        guard !isAdvancing else { return }
        isAdvancing = true
        defer { isAdvancing = false }
        do {
            while try takeEvent() {}
            keepTime()
        } catch {
            reject(error)
        }
    }

    private func takeEvent() throws(HTTP1Error) -> Bool {
        switch phase {
        case .idle, .head:
            guard case .head(let head)? = try decoder.next() else { return false }
            try begin(head)
            return true
        case .answering(let answering):
            guard !answering.isReceived else { return false }
            switch try decoder.next() {
            case .body(let bytes): receive(bytes, answering)
            case .end(let trailers): receivedAll(trailers)
            case .head, nil: return false
            }
            return true
        case .lingering, .closed: return false
        }
    }

    private func begin(_ head: RequestHead) throws(HTTP1Error) {
        served += 1
        if case .known(let length) = head.bodyLength, length > configuration.maximumBodySize {
            return refuse(
                .contentTooLarge, "the content is larger than \(configuration.maximumBodySize) bytes", to: head)
        }
        var answering = Answering(head: head, owesContinue: head.expectsContinue)
        if head.bodyLength == .none {
            _ = try decoder.next()  // the end that follows at once
            answering.isReceived = true
        } else {
            answering.body = BodyStream(source: self)
        }
        phase = .answering(answering)
        handle(
            ServerRequest(
                head: head, body: RequestBody(stream: answering.body, maximum: configuration.maximumBodySize),
                remoteAddress: remoteAddress, shard: shard))
    }

    private func receive(_ bytes: ByteBuffer, _ answering: Answering) {
        var answering = answering
        answering.received += bytes.readableBytes
        let isTooLarge = answering.received > configuration.maximumBodySize
        phase = .answering(answering)
        guard isTooLarge else {
            if answering.body?.push(bytes) == false { pauseReading() }
            return
        }
        answering.body?.fail(
            ServerError(.contentTooLarge, "the content is larger than \(configuration.maximumBodySize) bytes"))
        if answering.isAnswered { cutOff() }
    }

    private func receivedAll(_ trailers: Headers?) {
        guard case .answering(var answering) = phase else { return }
        answering.isReceived = true
        phase = .answering(answering)
        answering.body?.finish(trailers)
        if answering.isAnswered { finishExchange(answering) }
    }

    // MARK: Handling

    private func handle(_ request: ServerRequest) {
        switch owner.context.handling {
        case .immediate(let closure):
            do {
                try answer(closure(request))
            } catch {
                answer(self.response(for: error))
            }
        case .task(let app):
            task = Task(executorPreference: shard.executor) {
                do {
                    let response = try await app.respond(to: request)
                    self.answer(response)
                } catch {
                    self.answer(self.response(for: error))
                }
            }
        }
    }

    private func response(for error: any Error) -> ServerResponse {
        if let error = error as? ServerError { return .text(error.message + "\n", status: error.status) }
        if !(error is CancellationError) { configuration.logger.error("a handler failed: \(error)") }
        return .text("Internal Server Error\n", status: .internalServerError)
    }

    /// Sends a handler's answer.
    private func answer(_ response: ServerResponse) {
        guard case .answering(var answering) = phase, !answering.isAnswered else { return }
        if let problem = response.body.problem { return answer(self.response(for: problem)) }
        let head = answering.head
        let persists = willPersist(answering)
        let framing = Self.framing(response, to: head)
        prepareOutput()
        do {
            try HTTP1Encoder.writeResponseHead(
                status: response.status, headers: response.headers, contentType: response.body.contentType,
                framing: framing, connection: !persists ? .close : head.version == .http1_0 ? .keepAlive : .asIs,
                date: owner.dateField(), into: &output)
        } catch {
            return answer(self.response(for: error))
        }
        answering.owesContinue = false
        answering.isAnswered = true
        phase = .answering(answering)
        if head.method == .head || response.status.forbidsBody { return finishAnswer(answering, persists) }
        switch response.body.content {
        case .none: finishAnswer(answering, persists)
        case .bytes(let bytes):
            write(bytes)
            finishAnswer(answering, persists)
        case .stream(let length, _, let makeChunks):
            send(makeChunks, length: length, framing, trailers: response.trailers, answering, persists)
        }
    }

    private static func framing(_ response: ServerResponse, to head: RequestHead) -> HTTP1Encoder.ResponseFraming {
        if response.status.forbidsBody { return .bodiless }
        return switch response.body.length {
        case .none: .length(0)
        case .known(let length): .length(length)
        case .streamed: head.version == .http1_0 ? .untilClose : .chunked
        }
    }

    /// Whether the connection goes on after this answer: both want it, and the rest of the content is here or worth reading.
    private func willPersist(_ answering: Answering) -> Bool {
        guard answering.head.keepAlive, !owner.isDraining, !peerHasFinished,
            served < configuration.maximumRequestsPerConnection
        else { return false }
        if answering.isReceived { return true }
        guard !answering.owesContinue, case .known(let length) = answering.head.bodyLength else { return false }
        return length - answering.received <= 256 << 10
    }

    private func send(
        _ makeChunks: @escaping @Sendable () -> AsyncThrowingChunks, length: Int?,
        _ framing: HTTP1Encoder.ResponseFraming,
        trailers: Headers?, _ answering: Answering, _ persists: Bool
    ) {
        flush()
        bodyIsChunked = if case .chunked = framing { true } else { false }
        self.trailers = trailers
        task = Task(executorPreference: shard.executor) {
            switch await makeChunks().send(to: self, length: length, peer: "the response") {
            case .sent: self.finishAnswer(answering, persists && self.endsItself(framing))
            case .unwanted: break
            case .failed(let fault):
                // The client can tell from the missing end that the content is not whole.
                self.configuration.logger.error("a response body failed: \(fault)")
                self.cutOff()
            }
        }
    }

    private var bodyIsChunked = false
    private var trailers: Headers?

    private func endsItself(_ framing: HTTP1Encoder.ResponseFraming) -> Bool {
        if case .untilClose = framing { false } else { true }
    }

    /// The answer is written: the connection goes on with the next request, or ends.
    private func finishAnswer(_ answering: Answering, _ persists: Bool) {
        task = nil
        guard case .answering(var current) = phase else { return }
        guard persists else {
            current.body?.fail(
                SkeinError(.channelClosed, because: "the request was answered before its content was read"))
            return linger()
        }
        if current.isReceived { return finishExchange(current) }
        current.body?.cancel()  // answered early: what is still to come is skipped
        current.isAnswered = true
        phase = .answering(current)
        resumeReading()
    }

    private func finishExchange(_ answering: Answering) {
        phase = .idle
        if isReadingPaused, decoder.bufferedBytes < Self.highWater { resumeReading() }
        guard !isAdvancing else { return }  // the loop that called us goes on by itself
        if decoder.hasBufferedBytes {
            // Answers to pipelined requests that are ready in one tick leave in one write.
            scheduleFlush()
            phase = .head
            advance()
        } else {
            flush()
            keepTime()
        }
    }

    // MARK: Refusing

    /// A malformed request: it is answered with its own status, and the connection ends.
    private func reject(_ error: HTTP1Error) {
        if case .answering(let answering) = phase {
            answering.body?.fail(SkeinError(.bodyError, because: "the request is malformed: \(error)", cause: error))
            if answering.isAnswered || task != nil {
                // An answer may be half written; nothing can be said any more.
                if answering.isAnswered { return cutOff() }
                task?.cancel()
                task = nil
            }
        }
        refuse(error.status, "\(error)")
    }

    /// Answers without a handler and ends the connection.
    private func refuse(_ status: HTTPStatus, _ message: String, to head: RequestHead? = nil) {
        prepareOutput()
        let text = "\(message)\n"
        try? HTTP1Encoder.writeResponseHead(
            status: status, headers: ["Content-Type": "text/plain; charset=utf-8"], framing: .length(text.utf8.count),
            connection: .close, date: owner.dateField(), into: &output)
        if head?.method != .head { output.writeString(text) }
        linger()
    }

    /// Ends our side and waits a moment for the client to end its own, so that a reset does not destroy the last answer
    /// (RFC 9112, section 9.6).
    private func linger() {
        phase = .lingering
        flush()
        context?.close(mode: .output, promise: nil)
        if isReadingPaused { resumeReading() }
        if peerHasFinished { context?.close(promise: nil) }
        setDeadline(.seconds(1))
    }

    /// Ends the connection at once.
    func cutOff() { context?.close(promise: nil) }

    /// The server is shutting down: finish what is under way, begin nothing.
    func drain() {
        switch phase {
        case .idle: cutOff()
        case .head: if decoder.isBetweenRequests { cutOff() }
        case .answering, .lingering, .closed: break
        }
    }

    // MARK: Writing

    private func prepareOutput() {
        guard outputIsWritten else { return }
        output.clear()
        outputIsWritten = false
    }

    private func write(_ bytes: ByteBuffer) {
        if bytes.readableBytes <= 32 << 10 {
            output.writeImmutableBuffer(bytes)
        } else {
            writeOutput()
            context?.write(wrapOutboundOut(bytes), promise: nil)
            context?.flush()
        }
    }

    private func writeOutput() {
        guard !outputIsWritten, output.readableBytes > 0 else { return }
        outputIsWritten = true
        context?.write(wrapOutboundOut(output), promise: nil)
    }

    private func flush() {
        guard !outputIsWritten, output.readableBytes > 0 else { return }
        writeOutput()
        context?.flush()
    }

    private func scheduleFlush() {
        guard !flushIsScheduled else { return }
        flushIsScheduled = true
        shard.eventLoop.execute {
            self.flushIsScheduled = false
            self.flush()
        }
    }

    func write(piece: ByteBuffer, chunked: Bool) async throws {
        guard let context, case .answering = phase else { throw ChannelError.ioOnClosedChannel }
        prepareOutput()
        if bodyIsChunked { HTTP1Encoder.writeChunk(piece, into: &output) } else { output.writeImmutableBuffer(piece) }
        flush()
        setDeadline(owner.context.bodyTimeout)
        guard !context.channel.isWritable else { return }
        try await withUnsafeThrowingContinuation { writableWaiter = $0 }
    }

    func writeBodyEnd(chunked: Bool) {
        guard bodyIsChunked, context != nil else { return }
        prepareOutput()
        do {
            try HTTP1Encoder.writeLastChunk(trailers: trailers, into: &output)
            flush()
        } catch {
            configuration.logger.error("a trailer cannot be sent: \(error)")
            cutOff()
        }
    }

    private func wakeWriter(_ error: (any Error)? = nil) {
        guard let waiter = writableWaiter else { return }
        writableWaiter = nil
        if let error { waiter.resume(throwing: error) } else { waiter.resume() }
    }

    // MARK: Back-pressure

    private func pauseReading() {
        isReadingPaused = true
        try? context?.channel.syncOptions?.setOption(.autoRead, value: false)
    }

    private func resumeReading() {
        isReadingPaused = false
        try? context?.channel.syncOptions?.setOption(.autoRead, value: true)
    }

    /// The handler reads the content: let it come, and tell a client that waits for our word.
    func streamWantsMore() {
        shard.run {
            guard case .answering(var answering) = self.phase else { return }
            if answering.owesContinue {
                answering.owesContinue = false
                self.phase = .answering(answering)
                self.prepareOutput()
                HTTP1Encoder.writeContinue(into: &self.output)
                self.flush()
            }
            if self.isReadingPaused {
                self.setDeadline(self.owner.context.bodyTimeout)
                self.resumeReading()
            }
        }
    }

    func streamWasCancelled() {
        shard.run { if self.isReadingPaused { self.resumeReading() } }
    }

    // MARK: Time

    /// Sets the deadline for what the connection waits for now, after the decoder has taken what there was.
    private func keepTime() {
        switch phase {
        case .idle where decoder.isBetweenRequests: deadline = .now() + owner.context.keepAliveTimeout
        case .idle:
            phase = .head
            setDeadline(owner.context.headerTimeout)
        case .head: if timerAt > deadline { armTimer() }
        case .answering:
            if decoder.bufferedBytes >= Self.highWater, !isReadingPaused { pauseReading() }
        case .lingering, .closed: break
        }
        if timer == nil { armTimer() }
    }

    private func setDeadline(_ time: TimeAmount) {
        deadline = .now() + time
        if timerAt > deadline { armTimer() }
    }

    private func armTimer() {
        guard context != nil, deadline != .distantFuture else { return }
        if let timer { shard.timers.cancel(timer) }
        timerAt = deadline
        timer = shard.timers.schedule(self, at: deadline)
    }

    /// The deadline moves with each request; the timer is set again only when it fires too early.
    func timerFired() {
        timer = nil
        timerAt = .distantFuture
        guard deadline <= .now() else { return armTimer() }
        switch phase {
        case .head where served == 0 && !decoder.hasBufferedBytes: cutOff()  // never said a word
        case .head: refuse(.requestTimeout, "the request's head did not arrive in time")
        case .answering(let answering):
            // A handler may take its time; a client that neither sends nor takes what it should may not.
            let isStalled = (!answering.isReceived && !isReadingPaused) || writableWaiter != nil
            guard isStalled else { return setDeadline(owner.context.bodyTimeout) }
            answering.body?.fail(
                SkeinError(.timeout, because: "the client sent nothing for \(configuration.bodyTimeout)"))
            cutOff()
        case .idle, .lingering, .closed: cutOff()
        }
    }
}
