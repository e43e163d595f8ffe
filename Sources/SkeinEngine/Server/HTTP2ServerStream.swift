// One request on a stream of HTTP/2, and its answer.

import SkeinHTTP
import SkeinTransport
import SkeinWire

/// A request under way.
///
/// Unchecked: touched on its connection's loop only, but for what a body's consumer says, which is sent there.
final class HTTP2ServerStream: Answerer, ByteStreamSource, RequestChannel, @unchecked Sendable {
    /// Content that is read and thrown away behind an early answer, so that the client need not be cut off.
    private static let discardLimit = 256 << 10

    let stream: HTTP2Stream
    private let connection: HTTP2ServerConnection
    private let scope: RequestScope
    private let maximum: Int
    /// When the content began, less the time in which it was not read.
    private var begun: NIODeadline
    private var withheldAt = NIODeadline.distantPast
    /// When all of the answer was with the engine, while the client still sends.
    private var answeredEarly: NIODeadline?
    private var body: BodyStream?
    @exclusivity(unchecked) private var task: Task<Void, Never>?
    private var received = 0
    private var withheld = 0
    private var owesContinue: Bool
    @exclusivity(unchecked) private var isAnswered = false
    private var isEndless = false
    /// Whether all of the answer is with the engine. Until then, it may be made of the content that comes.
    private var isDone = false
    /// What the stream carries since the handler's answer gave it away.
    private(set) var tunnel: HTTP2Tunnel?

    init(_ stream: HTTP2Stream, of connection: HTTP2ServerConnection, head: RequestHead?) {
        self.stream = stream
        self.connection = connection
        begun = connection.owner.shard.now
        scope = RequestScope(head, owner: connection.owner, peer: connection.peer)
        maximum = head.map { connection.owner.context.maximumSize(of: $0) } ?? 0
        owesContinue = head?.expectsContinue ?? false
    }

    var owner: ServerShard { connection.owner }
    private var driver: HTTP2Driver { connection.driver }
    private var configuration: ServerConfiguration { owner.context.configuration }

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
        received += bytes.readableBytes
        scope.bytesReceived = received
        if isDone {
            driver.engine.consumed(bytes.readableBytes, on: stream)
            if !isLast, received > Self.discardLimit { driver.cancel(stream, .noError) }
        } else if received > maximum {
            body?.fail(ServerError(.contentTooLarge, "the content is larger than \(maximum) bytes"))
        } else if !isLast, owner.context.pace.isTooSlow(received, since: begun, at: owner.shard.now) {
            body?.fail(ServerError(.requestTimeout, "the request's content comes too slowly"))
            driver.cancel(stream, .cancel)
        } else if body?.push(bytes) ?? true {
            driver.engine.consumed(bytes.readableBytes, on: stream)
        } else {
            if withheld == 0 { withheldAt = owner.shard.now }
            withheld += bytes.readableBytes
        }
        if isLast { receivedAll(nil) }
    }

    func receivedAll(_ trailers: Headers?) {
        if let tunnel { return tunnel.receive(trailers: trailers ?? [:]) }
        body?.finish(trailers)
        if isDone { connection.forget(stream) }
    }

    func streamWantsMore() {
        owner.shard.run {
            if self.owesContinue, !self.isAnswered {
                self.owesContinue = false
                self.begun = self.owner.shard.now
                self.inform(.continue, Headers())
            }
            guard self.withheld > 0 else { return }
            self.driver.engine.consumed(self.withheld, on: self.stream)
            self.withheld = 0
            self.begun = self.begun + (self.owner.shard.now - self.withheldAt)
            self.driver.flushSoon()
        }
    }

    func streamWasCancelled() { streamWantsMore() }

    // MARK: The answer

    func answer(_ response: ServerResponse) {
        guard !isAnswered else { return }
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
        isAnswered = true
        isEndless = response.isEndless
        if isEndless, owner.isDraining { return leave() }
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

    /// The answer gives the stream away.
    private func handOver(to upgrade: any ServerUpgrade, _ response: ServerResponse) {
        let tunnel = HTTP2Tunnel(driver, stream) { [connection, stream] in connection.forget(stream) }
        if !driver.engine.isReceiving(stream) { tunnel.receivedAll() }
        do {
            try upgrade.begin(on: tunnel, response, date: owner.dateText())
        } catch {
            return answer(self.response(for: error))
        }
        task = nil
        isAnswered = true
        scope.answered(response.status)
        record()
        self.tunnel = tunnel
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
                self.configuration.logger.error("a response body failed: \(fault)")
                self.driver.cancel(self.stream, .internalError)
                self.connection.forget(self.stream)
            }
        }
    }

    /// All of the answer is with the engine.
    private func finish(_ trailers: Headers?) {
        task = nil
        isDone = true
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
        // Answered early: what is still to come is thrown away, if it is not much and comes soon.
        answeredEarly = owner.shard.now
        body?.cancel()
        if received > Self.discardLimit {
            driver.cancel(stream, .noError)
            connection.forget(stream)
        }
    }

    /// Notes what came of the request, once.
    private func record() {
        owner.record(scope)
        scope.channel = nil
    }

    // MARK: What a handler may ask, and say before its answer

    var isSecure: Bool { connection.tls != nil }
    var nioChannel: (any Channel)? { driver.channel }
    var tls: TLSInfo? { connection.tls.map { TLSInfo($0.tlsVersion, "h2", $0.peerCertificate) } }

    func hint(_ headers: Headers) {
        owner.shard.run { if !self.isAnswered { self.inform(103, headers) } }
    }

    func push(_ path: String, _ headers: Headers) {
        owner.shard.run {
            guard !self.isAnswered else { return }
            if !self.connection.push(path, headers, for: self.scope.head, on: self.stream) {
                self.inform(103, EarlyHints.preload(path))
            }
        }
    }

    private func inform(_ status: HTTPStatus, _ headers: Headers) {
        do {
            try driver.engine.respond(
                status, headers: headers, contentType: nil, length: nil, date: nil, isLast: false, on: stream)
            driver.flushSoon()
        } catch {
            configuration.logger.warning("an interim response was not sent: \(error)")
        }
    }

    // MARK: The end

    /// Ends a request that was answered and whose client does not come to its end (RFC 9113, section 8.1); whoever waits for our word
    /// is not silent.
    func lookAfter(at now: NIODeadline) {
        if owesContinue, !isAnswered { driver.engine.noteProgress(stream, at: now) }
        guard let answered = answeredEarly else { return }
        if driver.engine.isSending(stream) {
            answeredEarly = now
        } else if answered < now - BodyPace.grace {
            driver.cancel(stream, .noError)
            connection.forget(stream)
        }
    }

    /// The server stops: what has no end is ended.
    func leave() {
        tunnel?.leave()
        guard isEndless else { return }
        task?.cancel()
        record()
        driver.cancel(stream, .noError)
        connection.forget(stream)
    }

    func wasReset(_ reset: HTTP2Engine.StreamReset) {
        tunnel?.end(reset)
        record()
        body?.fail(SkeinError(.http2StreamReset, because: "the stream was reset (\(reset.code)): \(reset.reason)"))
        task?.cancel()
    }

    func connectionEnded() {
        tunnel?.end(nil)
        record()
        body?.fail(SkeinError(.channelClosed, because: "the client closed the connection"))
        task?.cancel()
    }
}

/// A sink that counts for the log.
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

    func writeBodyEnd(chunked: Bool) { sink.writeBodyEnd(chunked: chunked) }
}
