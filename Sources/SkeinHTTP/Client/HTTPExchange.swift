// One request on its way to its answer: what the pool queues, the connection sends, the clock ends, and the response shows.

import NIOCore
import SkeinCore
import SkeinTransport
import SkeinWire

/// A request and what has become of it.
///
/// Unchecked: until it is over, it is touched on its shard's loop only; then it is published through its corequest and
/// never changes again.
package final class HTTPExchange: Exchange, TimerTarget, @unchecked Sendable {
    @exclusivity(unchecked) package private(set) var request: HTTPRequest
    package let shard: Shard
    private let pools: ShardPools
    private let callback: (@Sendable (HTTPResponse) -> Void)?

    // While it runs
    @exclusivity(unchecked) private var corequest: Corequest<HTTPResponse>?
    @exclusivity(unchecked) private var carrier: (any ExchangeCarrier)?
    /// Which of its carrier's streams it has, over HTTP/2.
    @exclusivity(unchecked) private(set) var carrierStream: HTTP2Stream?
    @exclusivity(unchecked) private var timer: ShardTimers.Token?
    @exclusivity(unchecked) private var deadline: NIODeadline?
    @exclusivity(unchecked) private var holdsPlace = false
    private var replays = 0
    /// What is asked for when the answer under way, a redirect, is complete.
    @exclusivity(unchecked) private var followUp: HTTPRequest?
    private var dropped = 0
    @exclusivity(unchecked) package private(set) var isOver = false

    // The answer
    @exclusivity(unchecked) private(set) var head: ResponseHead?
    @exclusivity(unchecked) private(set) var body = ByteBuffer()
    @exclusivity(unchecked) private(set) var stream: BodyStream?
    private(set) var trailers: Headers?
    private(set) var history: [HTTPHop] = []
    @exclusivity(unchecked) private(set) var tls: TLSInfo?
    private(set) var failure: SkeinError?
    @exclusivity(unchecked) private var receivedBytes = 0

    init(
        _ request: HTTPRequest, pools: ShardPools, corequest: Corequest<HTTPResponse>,
        callback: (@Sendable (HTTPResponse) -> Void)?
    ) {
        self.request = request
        self.pools = pools
        self.corequest = corequest
        self.callback = callback
        shard = corequest.shard
        deadline = Deadline.current?.moment
    }

    package var queueKey: AnyHashable { request.url.origin }
    var peer: String { request.url.origin.description }
    var session: Session { context.session }
    private var context: HTTPClientContext { pools.context }

    // MARK: Start and end

    package func enqueued() {
        if let deadline { arm(deadline) }
        if replays == 0, case .host(let host, _) = request.url.origin.endpoint { context.resolver?.prefetch(host) }
    }

    /// Begins with an answer that nobody asked for: a response that the server pushes.
    func startPushed(on connection: any ExchangeCarrier, _ stream: HTTP2Stream) {
        session.adopt()
        wasTaken(by: connection, on: stream)
        arm(.now() + context.requestTimeout)
    }

    package func start() {
        holdsPlace = true
        if let problem = request.body.problem { return failLater(problem) }
        if request.method == .connect {
            return failLater(
                SkeinError(.exception, peer: peer, because: "CONNECT opens a tunnel; it is not a request of the pool"))
        }
        if request.hasExtras, let auth = request.auth, !request.headers.contains("Authorization") {
            request.headers["Authorization"] = auth.authorization
        }
        let now = NIODeadline.now()
        let timeout = now + (request.timeout.map { TimeAmount($0) } ?? context.requestTimeout)
        arm(min(timeout, deadline ?? timeout))
        pools.pool(for: request).submit(self, at: now)
    }

    package func cancel(_ error: SkeinError) {
        shard.run { self.fail(error) }
    }

    package func tighten(_ deadline: Deadline) {
        shard.run {
            guard !self.isOver, deadline.moment < self.deadline ?? .distantFuture else { return }
            self.arm(deadline.moment)
        }
    }

    package func timerFired() {
        timer = nil
        let limit = request.timeout ?? context.configuration.timeout
        let what = head == nil ? "no answer" : "the answer was not complete"
        fail(
            SkeinError(
                .timeout, peer: peer, because: "\(what) within the time limit (\(limit) or the caller's deadline)"))
    }

    private func arm(_ moment: NIODeadline) {
        deadline = moment
        if let timer { shard.timers.cancel(timer) }
        timer = shard.timers.schedule(self, at: moment)
    }

    package func fail(_ error: SkeinError) {
        guard !isOver else { return }
        // A response that was handed out at its head does not change any more: its stream tells of the failure.
        if let stream { stream.fail(error) } else { failure = error }
        let carrier = self.carrier
        end(failed: true)
        carrier?.abandon(self)
    }

    /// Fails in a later tick: a callback that makes the next request like this one must not become a recursion.
    func failLater(_ error: SkeinError) {
        shard.eventLoop.execute { self.fail(error) }
    }

    /// The answer is complete.
    func complete(trailers: Headers?) {
        guard !isOver else { return }
        if followUp != nil { return follow() }
        if let stream { stream.finish(trailers) } else { self.trailers = trailers }
        end(failed: false)
    }

    private func end(failed: Bool) {
        isOver = true
        carrier = nil
        if let timer { shard.timers.cancel(timer) }
        timer = nil
        session.statistics.ended(bytes: receivedBytes, failed: failed)
        if holdsPlace { session.released(on: shard) }
        if stream == nil { publish() }
        session.ended()
    }

    /// Hands the response to those who wait for it.
    private func publish() {
        guard let corequest else { return }
        self.corequest = nil  // the response holds the exchange; the exchange must not hold the response
        let response = HTTPResponse(self)
        corequest.finish(response)
        callback?(response)
    }

    // MARK: On a connection

    /// A connection has taken the exchange.
    func wasTaken(by connection: any ExchangeCarrier, on stream: HTTP2Stream? = nil) {
        carrier = connection
        carrierStream = stream
    }

    /// Whether it may be sent once more after its connection died without a byte of answer.
    func mayReplay(afterReuse wasReused: Bool) -> Bool {
        !isOver && wasReused && replays == 0 && head == nil && request.isReplayable
    }

    /// Whether it may be sent once more, since the server has not looked at it.
    /// - Parameter limit: how often at most.
    func mayReplayUnprocessed(upTo limit: Int) -> Bool {
        !isOver && replays < limit && head == nil && request.body.isReplayable
    }

    /// Sends it again on another connection.
    func replay() {
        replays += 1
        carrier = nil
        pools.pool(for: request).submit(self)
    }

    /// Takes the head of the answer. Returns false when the answer is refused.
    func receive(_ head: ResponseHead) -> Bool {
        guard !isOver else { return false }
        if (300..<400).contains(head.status.code) {
            do {
                followUp = try context.configuration.redirects.next(after: head, to: request, history)
            } catch {
                fail(error)
                return false
            }
            if followUp != nil {
                self.head = head
                return true
            }
        }
        if case .known(let length) = head.bodyLength, length > context.configuration.maximumBodySize,
            !request.isStreamed
        {
            fail(tooLarge("\(length) bytes are announced"))
            return false
        }
        self.head = head
        if request.url.origin.isSecure { tls = carrier?.tls }
        guard request.isStreamed else { return true }
        stream = BodyStream(source: self)
        if let timer { shard.timers.cancel(timer) }  // from here on the silence timeout guards the body
        timer = nil
        publish()
        return true
    }

    /// Takes a piece of the body. Returns whether more is wanted right now.
    func receive(_ bytes: ByteBuffer) -> Bool {
        receivedBytes += bytes.readableBytes
        if followUp != nil { return drop(bytes) }
        if let stream { return stream.push(bytes) }
        if body.readableBytes == 0 {
            body = bytes
        } else {
            if body.storageCapacity - body.readableBytes < bytes.readableBytes,
                case .known(let length) = head?.bodyLength
            {
                body.reserveCapacity(min(length, max(body.readableBytes * 4, 1 << 20)))
            }
            body.writeImmutableBuffer(bytes)
        }
        if body.readableBytes > context.configuration.maximumBodySize { fail(tooLarge("more has arrived")) }
        return true
    }

    /// What a redirect says beside where to go: nobody wants it, but a connection that is read to the end can be kept.
    private func drop(_ bytes: ByteBuffer) -> Bool {
        dropped += bytes.readableBytes
        guard dropped > 256 << 10, let carrier else { return true }
        self.carrier = nil
        carrier.abandon(self)
        follow()
        return true
    }

    /// Goes where the redirect leads, with what is left of the time.
    private func follow() {
        guard let next = followUp, let head else { return }
        history.append(HTTPHop(method: request.method, url: request.url, status: head.status, headers: head.headers))
        followUp = nil
        self.head = nil
        carrier = nil
        tls = nil
        dropped = 0
        replays = 0
        request = next
        pools.pool(for: next).submit(self)
    }

    /// Whether a connection still carries the exchange.
    func isOn(_ connection: any ExchangeCarrier) -> Bool { carrier === connection }

    private func tooLarge(_ what: String) -> SkeinError {
        SkeinError(
            .contentTooLarge, peer: peer,
            because: "the body is larger than the limit of \(context.configuration.maximumBodySize) bytes (\(what)); "
                + "raise maximumBodySize or stream it")
    }
}

extension HTTPExchange: ByteStreamSource {
    package func streamWantsMore() {
        shard.run { self.carrier?.resume(self) }
    }

    package func streamWasCancelled() {
        cancel(SkeinError(.controlledShutdown, peer: peer, because: "the body was cancelled by its consumer"))
    }
}

/// The body of a response or of a server's request as it arrives; its ending is the trailer section, if there was one.
public typealias BodyStream = ByteStream<Headers?>
