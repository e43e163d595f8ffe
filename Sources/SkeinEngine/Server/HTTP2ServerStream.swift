// One request on an HTTP/2 stream, and its response.

import NIOCore
import SkeinCore
import SkeinHTTP
import SkeinTransport
import SkeinWire

/// A request in flight.
///
/// Unchecked: used on its connection's loop only, except for calls of a body's consumer, which are sent there.
final class HTTP2ServerStream: Answerer, ByteStreamSource, RequestChannel, @unchecked Sendable {
    let stream: HTTP2Stream
    private let connection: HTTP2ServerConnection
    private let scope: RequestScope
    @exclusivity(unchecked) private var exchange: ServerExchange
    private var body: BodyStream?
    @exclusivity(unchecked) private var task: Task<Void, Never>?
    /// Received bytes that the flow-control window does not count as consumed yet, since the handler is behind.
    private var withheld = 0
    /// The user of the stream after the handler's response handed it over.
    private(set) var tunnel: HTTP2Tunnel?
    /// Whether the client has reset it, or the connection is over.
    private var isGone = false

    init(_ stream: HTTP2Stream, of connection: HTTP2ServerConnection, head: RequestHead?) {
        self.stream = stream
        self.connection = connection
        let context = connection.owner.context
        scope = RequestScope(head, owner: connection.owner, peer: connection.peer)
        exchange = ServerExchange(
            hasContent: head?.bodyLength != BodyLength.none, expectsContinue: head?.expectsContinue ?? false,
            maximum: head.map(context.maximumSize) ?? 0, rate: context.rate, at: connection.owner.shard.now)
    }

    var owner: ServerShard { connection.owner }
    private var driver: HTTP2Driver { connection.driver }
    private var configuration: ServerConfiguration { _read { yield owner.context.configuration } }

    // MARK: The request

    func begin(_ head: RequestHead) {
        if head.bodyLength != .none { body = BodyStream(source: self) }
        scope.channel = self
        let request = ServerRequest(
            body: RequestBody(stream: body, maximum: owner.context.maximumBodySize), scope: scope)
        if let task = handle(request) { self.task = task }
    }

    func receive(_ bytes: ByteBuffer, isLast: Bool) {
        if let tunnel { return tunnel.receive(bytes, isLast: isLast) }
        let receipt = exchange.receive(bytes.readableBytes, at: owner.shard.now)
        scope.bytesReceived = exchange.received
        switch receipt {
        case .discard: driver.engine.consumed(bytes.readableBytes, on: stream)
        case .stop where isLast || driver.engine.isSending(stream): break  // its window stays closed
        case .stop:
            driver.cancel(stream, .noError)
            return connection.forget(stream)
        case .tooLarge:
            driver.engine.consumed(bytes.readableBytes, on: stream)
            body?.fail(ServerError(.contentTooLarge, "the content is larger than \(exchange.maximum) bytes"))
        case .deliver where !isLast && exchange.isTooSlow(at: owner.shard.now):
            body?.fail(ServerError(.requestTimeout, "the request's content arrives too slowly"))
            driver.cancel(stream, .cancel)
        case .deliver:
            if body?.push(bytes) ?? true {
                driver.engine.consumed(bytes.readableBytes, on: stream)
            } else {
                withheld += bytes.readableBytes
                exchange.pause(at: owner.shard.now)
            }
        }
        if isLast { receivedAll(nil) }
    }

    func receivedAll(_ trailers: Headers?) {
        if let tunnel { return tunnel.receive(trailers: trailers ?? [:]) }
        exchange.receiveEnd()
        body?.finish(trailers)
        if exchange.isSent { connection.forget(stream) }
    }

    func streamWantsMore() {
        owner.shard.run {
            let now = self.owner.shard.now
            if self.exchange.contentIsWanted(at: now) { self.sendInterim(.continue, Headers()) }
            guard self.withheld > 0 else { return }
            self.driver.engine.consumed(self.withheld, on: self.stream)
            self.withheld = 0
            self.exchange.resume(at: now)
            self.driver.flushSoon()
        }
    }

    func streamWasCancelled() { streamWantsMore() }

    // MARK: The response

    func answer(_ response: ServerResponse) {
        guard exchange.isPending, !isGone else { return }
        if let problem = problem(with: response) { return answer(self.response(for: problem)) }
        if let upgrade = response.upgrade { return handOver(to: upgrade, response) }
        let plan = ResponsePlan(response, to: scope.head.method)
        let length: Int? = if case .length(let length) = plan.announcement { length } else { nil }
        do {
            try driver.engine.respond(
                response.status, headers: response.headers, contentType: response.body.contentType, length: length,
                date: owner.dateText(), isLast: plan.isHeadAlone, on: stream)
        } catch {
            return answer(self.response(for: error))
        }
        exchange.beginResponse(isEndless: response.isEndless)
        if response.isEndless, owner.isDraining { return leave() }
        scope.answered(response.status)
        switch plan.content {
        case .nothing: finish(plan.trailers)
        case .bytes(let bytes):
            scope.bytesSent = bytes.readableBytes
            driver.engine.send(bytes, isLast: plan.trailers == nil, on: stream)
            finish(plan.trailers)
        case .stream(let length, let makeChunks): send(makeChunks, length: length, plan.trailers)
        }
        driver.flushSoon()
    }

    /// The response hands the stream over.
    private func handOver(to upgrade: any ServerUpgrade, _ response: ServerResponse) {
        let tunnel = HTTP2Tunnel(driver, stream) { [connection, stream] in connection.forget(stream) }
        do {
            try upgrade.begin(on: tunnel, response, date: owner.dateText())
        } catch {
            return answer(self.response(for: error))
        }
        task = nil
        exchange.beginResponse(isEndless: false)
        scope.answered(response.status)
        record()
        self.tunnel = tunnel
        // Content that arrived earlier belongs to the new user of the stream.
        for piece in body?.inlet.takeArrived() ?? [] { tunnel.replay(piece) }
        if withheld > 0 { driver.engine.consumed(withheld, on: stream) }
        withheld = 0
        if !driver.engine.isReceiving(stream) { tunnel.receive(ByteBuffer(), isLast: true) }
    }

    private func send(
        _ makeChunks: @escaping @Sendable () -> AsyncThrowingChunks, length: Int?, _ trailers: Headers?
    ) {
        let sink = HTTP2BodySink(driver, stream, trailers: trailers)
        task = Task(executorPreference: owner.shard.executor) {
            let counted = Counted(sink, self.scope)
            switch await makeChunks().send(to: counted, length: length, peer: "the response") {
            case .sent: self.finish(nil)
            case .unwanted: break
            case .failed(let fault):
                if !Task.isCancelled { self.configuration.logger.error("a response body failed: \(fault)") }
                self.driver.cancel(self.stream, .internalError)
                self.connection.forget(self.stream)
            }
        }
    }

    /// All of the response was passed to the engine.
    private func finish(_ trailers: Headers?) {
        task = nil
        exchange.endResponse(at: owner.shard.now)
        record()
        if let trailers {
            do {
                try driver.engine.finish(trailers, on: stream)
            } catch {
                configuration.logger.error("a trailer cannot be sent: \(error)")
                driver.cancel(stream, .internalError)
            }
        }
        guard driver.engine.isReceiving(stream) else { return connection.forget(stream) }
        // An early response: remaining content is discarded, if it is short and arrives soon.
        body?.cancel()
        streamWantsMore()
    }

    /// Records the request in log and statistics, once.
    private func record() {
        owner.record(scope)
        scope.channel = nil
    }

    // MARK: Calls from the handler before its response

    var isSecure: Bool { connection.tls != nil }
    var nioChannel: (any Channel)? { driver.channel }
    var tls: TLSInfo? { connection.tls.map { TLSInfo($0.tlsVersion, "h2", $0.peerCertificate) } }

    func inform(_ status: HTTPStatus, _ headers: Headers) {
        owner.shard.run { if self.exchange.isPending { self.sendInterim(status, headers) } }
    }

    /// HTTP/2 clients reset streams that they do not need any more.
    func endsWithClient() {}

    func push(_ path: String, _ headers: Headers) {
        owner.shard.run {
            guard self.exchange.isPending else { return }
            if !self.connection.push(path, headers, for: self.scope.head, on: self.stream) {
                self.sendInterim(103, EarlyHints.preload(path))
            }
        }
    }

    private func sendInterim(_ status: HTTPStatus, _ headers: Headers) {
        do {
            try driver.engine.respond(
                status, headers: headers, contentType: nil, length: nil, date: nil, isLast: false, on: stream)
            driver.flushSoon()
        } catch {
            configuration.logger.warning("an interim response was not sent: \(error)")
        }
    }

    // MARK: The end

    /// Resets the stream of an answered request that the client does not complete in time (RFC 9113, section 8.1); a
    /// client that waits for 100 (Continue) is not late.
    func lookAfter(at now: NIODeadline) {
        if exchange.content == .awaited, exchange.isPending { driver.engine.noteProgress(stream, at: now) }
        if exchange.isOverdue(at: now, isSending: driver.engine.isSending(stream)) {
            driver.cancel(stream, .noError)
            connection.forget(stream)
        }
    }

    /// The server stops: endless responses are ended.
    func leave(_ code: WebSocketCloseCode? = nil) {
        // WebSockets of a replaced worker continue until they are closed with a code.
        if let code { tunnel?.leave(code) } else if !owner.context.isReplaced { tunnel?.leave(.goingAway) }
        guard exchange.isEndless else { return }
        task?.cancel()
        record()
        driver.cancel(stream, .noError)
        connection.forget(stream)
    }

    func wasReset(_ reset: HTTP2Engine.StreamReset) {
        isGone = true
        tunnel?.end(reset)
        record()
        body?.fail(SkeinError(.http2StreamReset, because: "the stream was reset (\(reset.code)): \(reset.reason)"))
        task?.cancel()
    }

    func connectionEnded() {
        isGone = true
        tunnel?.end(nil)
        record()
        body?.fail(SkeinError(.connectionClosed, because: "the client closed the connection"))
        task?.cancel()
    }
}

/// A sink that counts bytes for the log.
private final class Counted: BodySink {
    private let sink: HTTP2BodySink
    private let scope: RequestScope

    init(_ sink: HTTP2BodySink, _ scope: RequestScope) {
        self.sink = sink
        self.scope = scope
    }

    func write(piece: ByteBuffer, chunked: Bool) async throws {
        scope.bytesSent += piece.readableBytes
        try await sink.write(piece: piece, chunked: chunked)
    }

    func writeBodyEnd(chunked: Bool, trailers: Headers?) {
        sink.writeBodyEnd(chunked: chunked, trailers: trailers)
    }
}
