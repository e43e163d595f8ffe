// One request until its response: queued by the pool, sent by a connection, limited by timers, exposed as the response.

import NIOCore
import SkeinCore
import SkeinTransport
import SkeinWire

/// A request and its progress.
///
/// Unchecked: until it is over, only its shard's loop uses it; then it is published through its corequest and never
/// changes again.
package final class HTTPExchange: HTTPAnswer, Exchange, TimerTarget, @unchecked Sendable {
    /// The action after the current response, once that is complete.
    enum FollowUp {
        /// Another request: after a redirect, or the same one without an expectation that the server does not know.
        case request(HTTPRequest, after: HTTPHop?)
        /// The authenticator decides.
        case challenge
    }

    /// State that only exchanges with more than one request need.
    struct RedirectState {
        /// The request before cookies and credentials were added, from which the next one is made.
        var plainRequest: HTTPRequest?
        var followUp: FollowUp?
        /// Challenges that were answered.
        var challenges = 0
        /// Dropped bytes of the current response.
        var dropped = 0
        /// Interim responses that were delivered.
        var interim = 0
    }

    /// In a box: most exchanges are not redirected and do without these fields.
    final class RedirectStateBox {
        @exclusivity(unchecked) var redirectState = RedirectState()
    }

    package let shard: Shard
    let pools: ShardPools
    private let callback: (@Sendable (HTTPResponse) -> Void)?
    let events: EventSink?

    // While it is in progress
    @exclusivity(unchecked) private var corequest: Corequest<HTTPResponse>?
    @exclusivity(unchecked) var carrier: (any ExchangeCarrier)?
    /// Its stream on the connection, over HTTP/2.
    @exclusivity(unchecked) private(set) var carrierStream: HTTP2Stream?
    @exclusivity(unchecked) private var life: CallLife
    @exclusivity(unchecked) private var timer = CallTimer()
    /// The sink for the body of a streamed response, once the response was delivered.
    @exclusivity(unchecked) private(set) var inlet: ByteStreamInlet<Headers?>?
    private let made: NIODeadline?
    var replays = 0
    @exclusivity(unchecked) private var redirectStateBox: RedirectStateBox?
    @exclusivity(unchecked) var filter: BodyFilter?
    @exclusivity(unchecked) var receivedBytes = 0

    init(
        _ request: HTTPRequest, pools: ShardPools, corequest: Corequest<HTTPResponse>,
        callback: (@Sendable (HTTPResponse) -> Void)?
    ) {
        self.pools = pools
        self.corequest = corequest
        self.callback = callback
        shard = corequest.shard
        let context = pools.context
        life = CallLife(
            timeout: request.timeout.map { TimeAmount($0) }, standard: context.requestTimeout,
            limit: Deadline.current?.moment)
        let mayHaveEvents = context.hasEvents || request.hasExtras
        events = mayHaveEvents ? EventSink(context.configuration.events, request.events) : nil
        made = context.configuration.recordsTimings ? shard.now : nil
        super.init(request, context)
    }

    package var isOver: Bool { life.isOver }
    package var queueKey: AnyHashable { request.url.origin }
    var peer: String { request.url.origin.description }
    private var session: Session { context.session }

    /// The state beyond a single request; reading it does not allocate.
    var redirectState: RedirectState {
        _read { yield redirectStateBox?.redirectState ?? RedirectState() }
        _modify {
            let box = redirectStateBox ?? RedirectStateBox()
            redirectStateBox = box
            yield &box.redirectState
        }
    }

    /// The action after the current response, if that is not the final one.
    var followUp: FollowUp? { redirectStateBox?.redirectState.followUp }

    // MARK: Start and end

    package func enqueued() {
        timer.set(life.enqueue(at: shard.now), self, on: shard)
        if case .host(let host, _) = request.url.origin.endpoint { context.resolver?.prefetch(host) }
    }

    /// Begins with a pushed response, which no caller has requested.
    func startPushed(on connection: any ExchangeCarrier, _ stream: HTTP2Stream) {
        session.adopt()
        wasTaken(by: connection, on: stream)
        timer.set(life.start(at: shard.now, holdsSlot: false), self, on: shard)
    }

    /// Begins without its own slot, on behalf of an exchange that has one.
    func startWithinAnother() {
        session.adopt()
        begin(holdsSlot: false)
    }

    package func start() { begin(holdsSlot: true) }

    private func begin(holdsSlot: Bool) {
        if let events {
            events.beforeRequest(&request)
            life.allow(request.timeout.map { TimeAmount($0) })
        }
        let now = shard.now
        timer.set(life.start(at: now, holdsSlot: holdsSlot), self, on: shard)
        if let problem = request.body.problem { return failLater(problem) }
        if request.method == .connect {
            return failLater(
                SkeinError(.exception, peer: peer, because: "CONNECT opens a tunnel; it is not a request of the pool"))
        }
        began = now
        if let made { timings = HTTPTimings(queued: .nanoseconds((now - made).nanoseconds)) }
        send(at: now)
    }

    package func cancel(_ error: SkeinError) {
        shard.run { self.fail(error) }
    }

    package func tighten(_ deadline: Deadline) {
        shard.run {
            if let moment = self.life.tighten(to: deadline.moment) { self.timer.set(moment, self, on: self.shard) }
        }
    }

    package func timerFired() {
        timer.fired()
        let limit = request.timeout ?? context.configuration.timeout
        let why: String
        switch life.timeIsUp(at: shard.now, lastRelease: session.lastRelease(on: shard)) {
        case .wait(let moment): return timer.set(moment, self, on: shard)
        case .ownLimitInQueue: why = "the time limit (\(limit) or the caller's deadline) passed in the queue"
        case .stuckInQueue: why = "no request ahead of it in the queue ended in time"
        case .underWay:
            let what = head == nil ? "no answer" : "the answer was not complete"
            why = "\(what) within the time limit (\(limit) or the caller's deadline)"
        }
        fail(SkeinError(.timeout, peer: peer, because: why))
    }

    package func fail(_ error: SkeinError) {
        guard !isOver else { return }
        // A response that was delivered at its head does not change any more: its stream reports the failure.
        if let inlet { inlet.fail(error) } else { failure = error }
        let carrier = self.carrier
        end(failed: true)
        carrier?.abandon(self)
    }

    /// Fails in a later tick: otherwise a callback that sends the same request again would recurse.
    func failLater(_ error: SkeinError) {
        shard.eventLoop.execute { self.fail(error) }
    }

    /// The final response is complete.
    func finish(trailers: Headers?) {
        guard !isOver else { return }  // the caller may have dropped the response already
        if let inlet { inlet.finish(trailers) } else { self.trailers = trailers }
        end(failed: false)
    }

    private func end(failed: Bool) {
        guard let holdsSlot = life.end() else { return }
        carrier = nil
        timer.stop(on: shard)
        timings?.total = .nanoseconds((shard.now - began).nanoseconds)
        session.statistics.ended(bytes: receivedBytes, failed: failed)
        if holdsSlot { session.released(on: shard) }
        if inlet == nil { publish(self) }
        events?.afterRequest(self)
        session.ended()
    }

    /// Delivers the response to the waiting callers.
    private func publish(_ answer: HTTPAnswer) {
        guard let corequest else { return }
        self.corequest = nil  // the response holds the exchange; the exchange must not hold the response
        let response = HTTPResponse(answer)
        corequest.finish(response)
        callback?(response)
    }

    /// Delivers the response at its head; from here on, the silence timeout and the caller's deadline limit the body.
    ///
    /// The response has a copy of the answer: when its last copy is released, the stream ends, and with it the
    /// exchange.
    func publishStream() {
        let stream = BodyStream(filter: filter, source: self)
        inlet = stream.inlet
        timer.set(life.stream(), self, on: shard)
        let answer = snapshot
        answer.stream = stream
        publish(answer)
    }

    // MARK: On a connection

    /// A connection has taken the exchange.
    func wasTaken(by connection: any ExchangeCarrier, on stream: HTTP2Stream? = nil) {
        carrier = connection
        carrierStream = stream
        if timings != nil, let spans = connection.connectTimings {
            timings?.dns = spans.dns
            timings?.connect = spans.connect
            timings?.tls = spans.tls
            connection.connectTimings = nil  // it was established for this exchange; the next ones reuse it
        }
    }

    /// The head of the response has arrived.
    func noteFirstByte() {
        timings?.firstByte = .nanoseconds((shard.now - began).nanoseconds)
    }

    /// Whether it may be sent once more after its connection closed without a byte of the response.
    func mayReplay(afterReuse wasReused: Bool) -> Bool {
        !isOver && wasReused && replays == 0 && head == nil && request.isReplayable
    }

    /// Whether it may be sent once more, since the server has not processed it.
    /// - Parameter limit: the maximum number of such attempts.
    func mayReplayUnprocessed(upTo limit: Int) -> Bool {
        !isOver && replays < limit && head == nil && request.body.isReplayable
    }

    /// Sends it again on another connection.
    func replay() {
        replays += 1
        carrier = nil
        pools.pool(for: request).submit(self)
    }

    /// Whether a connection still carries the exchange.
    func isOn(_ connection: any ExchangeCarrier) -> Bool { carrier === connection }
}

extension HTTPExchange: ByteStreamSource {
    package func streamWantsMore() {
        shard.run { self.carrier?.resume(self) }
    }

    package func streamWasCancelled() {
        cancel(SkeinError(.cancelled, peer: peer, because: "the body was cancelled by its consumer"))
    }
}

/// The body of a response or of a server's request as it arrives; its ending is the trailer section, if there was one.
public typealias BodyStream = ByteStream<Headers?>
