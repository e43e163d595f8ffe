// A pooled HTTP/2 connection: each exchange of the shard with its origin is a stream on it.

import NIOCore
import SkeinCore
import SkeinTransport
import SkeinWire

/// One HTTP/2 connection to an origin.
///
/// Unchecked: every method is called on the loop of its channel; the pool and the exchanges of that loop are its only
/// callers. What each request touches opts out of the run-time check of exclusive access, which one thread does not need.
final class HTTP2ClientConnection: HTTP2DriverOwner, ExchangeCarrier, TimerTarget, @unchecked Sendable {
    let pool: OriginPool
    let tls: TLSInfo?
    var connectTimings: ConnectTimings?
    let driver: HTTP2Driver
    @exclusivity(unchecked) var streams = HTTP2ClientStreams<HTTPExchange>()
    /// The streams that carry another protocol, by their slots.
    var tunnels: [Int: HTTP2Tunnel] = [:]
    /// Exchanges that need such a stream, until the server's settings say whether it supports them.
    var heldUpgrades: [HTTPExchange] = []
    let born: NIODeadline
    @exclusivity(unchecked) var lastUse: NIODeadline
    var timer: ShardTimers.Token?
    var pingSent: NIODeadline?
    var isGone = false
    var isTooOld = false
    var hasAnswered = false

    init(pool: OriginPool, tls: TLSInfo?, connectTimings: ConnectTimings? = nil) {
        self.pool = pool
        self.tls = tls
        self.connectTimings = connectTimings
        born = pool.shard.now
        lastUse = born
        let configuration = pool.context.configuration.http2
        let engine = HTTP2Engine(
            .client, limits: configuration.limits, acceptsPush: configuration.onPush != nil, at: born)
        driver = HTTP2Driver(engine: engine, eventLoop: pool.shard.eventLoop)
        driver.owner = self
    }

    var configuration: HTTP2Configuration { pool.context.configuration.http2 }

    // MARK: Calls from the pool

    /// Whether a request can be sent now.
    var hasRoom: Bool {
        takesRequests && driver.engine.canOpen && driver.engine.streamCount < configuration.streamsPerConnection
    }

    /// Whether a request can be sent now, or when another one completes.
    var takesRequests: Bool { !isGone && !isTooOld && driver.isOpen && driver.engine.takesStreams }

    /// Whether the server has stated its limit of streams.
    var isSettled: Bool { driver.engine.isSettled }

    /// The maximum number of concurrent requests.
    var capacity: Int { min(configuration.streamsPerConnection, driver.engine.peer.maximumConcurrentStreams) }

    /// Whether no request is in flight.
    var isIdle: Bool { driver.engine.streamCount == 0 }

    /// Takes no more requests and closes after the last one.
    func retire() {
        isTooOld = true
        driver.closeWhenDrained()
    }

    /// The server refused the upgrade: nothing was sent.
    func discard() {
        isGone = true
        driver.owner = nil
    }

    /// The session shuts down: requests in flight fail with the reason.
    func shutdown(_ error: SkeinError) {
        for stream in streams.streams { finish(stream) { $0.fail(error) } }
        driver.close()
    }

    // MARK: Sending

    /// Sends a request. The connection has room for it.
    func send(_ exchange: HTTPExchange, at now: NIODeadline) {
        var request = exchange.request
        let upgrade = request.upgrade
        var protocolName: String?
        if case .named(let name, _)? = upgrade?.kind {
            guard isSettled else { return heldUpgrades.append(exchange) }
            guard driver.engine.peer.allowsExtendedConnect else { return pool.owner.submitAsUpgrade(exchange) }
            protocolName = name
            request.method = .connect
            request.headers.remove("Sec-WebSocket-Key")
        }
        let stream: HTTP2Stream
        do {
            stream = try driver.engine.open(
                method: request.method, scheme: pool.origin.scheme, authority: request.url.origin.authority,
                path: request.url.target, headers: request.headers,
                defaults: request.isForwarded ? Headers() : pool.context.defaults.headers,
                contentType: request.body.contentType, bodyLength: upgrade == nil ? request.body.length : .streamed,
                hasTrailers: request.hasExtras && request.trailers != nil, protocolName: protocolName)
        } catch {
            return exchange.failLater(
                SkeinError(.exception, peer: exchange.peer, because: error.description, cause: error))
        }
        if let upgrade, protocolName == nil {
            driver.flushSoon()
            return handOver(exchange, upgrade, stream, nil)
        }
        carry(exchange, stream, at: now)
        if upgrade != nil {
            // Nothing is sent before the server agrees.
        } else if request.headers.known.contains(.expect), request.body.length != .none {
            streams.holdContent(on: stream)
            pool.shard.eventLoop.scheduleTask(in: TimeAmount(pool.context.configuration.expectContinueTimeout)) {
                self.releaseBody(stream)
            }
        } else {
            sendBody(exchange, stream)
        }
        driver.flushSoon()
    }

    /// The server wants the body, or has been silent for a while (RFC 9110, section 10.1.1).
    func releaseBody(_ stream: HTTP2Stream) {
        guard let exchange = streams.releaseContent(on: stream) else { return }
        sendBody(exchange, stream)
        driver.flushSoon()
    }

    func sendBody(_ exchange: HTTPExchange, _ stream: HTTP2Stream) {
        let request = exchange.request
        switch request.body.content {
        case .none: if request.trailers != nil { finishBody(exchange, stream) }
        case .bytes(let bytes):
            driver.engine.send(bytes, isLast: request.trailers == nil, on: stream)
            if request.trailers != nil { finishBody(exchange, stream) }
        case .stream(let length, _, let makeChunks): send(makeChunks, length: length, exchange, stream)
        }
    }

    /// Takes over an exchange that was sent as the HTTP/1.1 request of an upgrade.
    func adopt(_ exchange: HTTPExchange, at now: NIODeadline) {
        let stream = driver.engine.adoptUpgradedRequest(isHead: exchange.request.method == .head)
        carry(exchange, stream, at: now)
    }

    func carry(_ exchange: HTTPExchange, _ stream: HTTP2Stream, at now: NIODeadline) {
        lastUse = now
        streams.add(exchange, on: stream, at: now)
        exchange.wasTaken(by: self, on: stream)
    }

    func finishBody(_ exchange: HTTPExchange, _ stream: HTTP2Stream) {
        do {
            try driver.engine.finish(exchange.request.trailers, on: stream)
        } catch {
            let peer = exchange.peer
            exchange.failLater(SkeinError(.exception, peer: peer, because: error.description, cause: error))
        }
    }

    func send(
        _ makeChunks: @escaping @Sendable () -> AsyncThrowingChunks, length: Int?, _ exchange: HTTPExchange,
        _ stream: HTTP2Stream
    ) {
        let sink = HTTP2BodySink(driver, stream, trailers: exchange.request.trailers)
        Task(executorPreference: pool.shard.executor) {
            guard case .failed(let fault) = await makeChunks().send(to: sink, length: length, peer: exchange.peer),
                self.streams.call(on: stream) != nil
            else { return }
            exchange.fail(fault)
        }
    }

    // MARK: Calls from exchanges

    func resume(_ exchange: HTTPExchange) {
        guard let stream = exchange.carrierStream else { return }
        let withheld = streams.release(stream, at: pool.shard.now)
        guard withheld > 0 else { return }
        driver.engine.consumed(withheld, on: stream)
        driver.flushSoon()
    }

    func abandon(_ exchange: HTTPExchange) {
        guard let stream = exchange.carrierStream, streams.remove(stream) != nil else { return }
        driver.cancel(stream, .cancel)
        pool.hasRoom(self)
    }

    // MARK: Time and end

    var silence: TimeAmount { TimeAmount(configuration.pingInterval) }

    /// Checks for silence, age and idleness; the timer is not set again for each request.
    func timerFired() {
        timer = nil
        guard !isGone, driver.isOpen else { return }
        let now = pool.shard.now
        if !isTooOld, now >= born + pool.context.maximumAge {
            retire()
            pool.isLeaving(self)
        }
        if isIdle {
            if now >= lastUse + pool.context.idleTimeout || pool.owner.isRetired {
                retire()
                return pool.isLeaving(self)
            }
        } else {
            failStalled(at: now)
            if let pingSent, now >= pingSent + TimeAmount(configuration.pingTimeout) {
                driver.end(HTTP2Error(.noError, "no answer to a PING for \(configuration.pingTimeout)"))
            } else if pingSent == nil, now >= driver.lastRead + silence {
                pingSent = now
                driver.engine.ping()
                driver.flushSoon()
            }
        }
        armTimer()
    }

    /// The connection is alive, but a stream on it may have stalled.
    func failStalled(at now: NIODeadline) {
        for exchange in streams.stalled(since: now - TimeAmount(pool.silence)) {
            exchange.fail(
                SkeinError(
                    .timeout, peer: exchange.peer,
                    because: "the server sent nothing for \(pool.silence)"))
        }
    }

    /// The connection is established: its time limits start.
    func armTimer() {
        let spans = [
            silence, TimeAmount(configuration.pingTimeout), pool.context.idleTimeout, TimeAmount(pool.silence),
        ]
        timer = pool.shard.timers.schedule(self, at: pool.shard.now + max(.milliseconds(50), spans.min() ?? silence))
    }

    func ended(_ error: (any Error)?) {
        guard !isGone else { return }
        isGone = true
        if let timer { pool.shard.timers.cancel(timer) }
        pool.context.session.statistics.disconnected()
        pool.isGone(self)
        let open = tunnels.values
        tunnels = [:]
        for tunnel in open { tunnel.end(error) }
        for exchange in heldUpgrades where !exchange.isOver { exchange.fail(failure(error, exchange)) }
        heldUpgrades = []
        for exchange in streams.removeAll() {
            if error == nil, exchange.mayReplay(afterReuse: hasAnswered) {
                exchange.replay()
            } else {
                exchange.fail(failure(error, exchange))
            }
        }
    }

    func failure(_ error: (any Error)?, _ exchange: HTTPExchange) -> SkeinError {
        switch error {
        case nil:
            SkeinError(
                .http2ConnectionClosed, peer: exchange.peer,
                because: "the server closed the connection with the request under way")
        case let error as HTTP2Error:
            SkeinError(
                .http2ConnectionClosed, peer: exchange.peer, because: "the connection was closed: \(error)",
                cause: error)
        case let error?: Connector.socketError(error, peer: exchange.peer)
        }
    }
}
