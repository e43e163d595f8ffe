// Delivers the events of a client's HTTP/2 connection to its exchanges.

import NIOCore
import SkeinCore
import SkeinTransport
import SkeinWire

extension HTTP2ClientConnection {
    func handle(_ event: HTTP2Engine.Event) {
        switch event {
        case .response(let stream, let head):
            hasAnswered = true
            if let tunnel = tunnel(stream) { return tunnel.receive(head) }
            if let exchange = streams.call(on: stream), let upgrade = exchange.request.upgrade,
                (200..<300).contains(head.status.code)
            {
                _ = streams.remove(stream)
                return handOver(exchange, upgrade, stream, head)
            }
            guard let exchange = touch(stream), exchange.receive(head) else { return }
            if head.bodyLength == .none { finish(stream) { $0.complete(trailers: nil) } }
        case .data(let stream, let bytes, let isLast):
            if let tunnel = tunnel(stream) { return tunnel.receive(bytes, isLast: isLast) }
            receive(bytes, stream)
            if isLast { finish(stream) { $0.complete(trailers: nil) } }
        case .trailers(let stream, let trailers):
            tunnel(stream)?.receive(trailers: trailers)
            finish(stream) { $0.complete(trailers: trailers) }
        case .reset(let stream, let reset):
            tunnel(stream)?.end(reset)
            finish(stream) { lose($0, reset) }
        case .settings:
            let held = heldUpgrades
            heldUpgrades = []
            for exchange in held where !exchange.isOver { send(exchange, at: driver.lastRead) }
            pool.hasRoom(self)
        case .goAway: pool.isLeaving(self)
        case .promise(let stream, _, let head): receivePush(head, stream)
        case .pong: pingSent = nil
        case .informational(let stream, let head):
            guard let exchange = touch(stream) else { return }
            if head.status == .continue { releaseBody(stream) }
            exchange.receiveInterim(head)
        case .drained(let stream): tunnel(stream)?.drained()
        case .request, .oversizedRequest: break
        }
    }

    func tunnel(_ stream: HTTP2Stream) -> HTTP2Tunnel? {
        guard !tunnels.isEmpty, let tunnel = tunnels[stream.slot], tunnel.stream == stream else { return nil }
        return tunnel
    }

    /// The stream is handed over, and its exchange is over.
    func handOver(
        _ exchange: HTTPExchange, _ upgrade: any HTTPUpgrade, _ stream: HTTP2Stream, _ head: ResponseHead?
    ) {
        let tunnel = HTTP2Tunnel(driver, stream) { [weak self] in
            guard let self else { return }
            if tunnels[stream.slot]?.stream == stream { tunnels[stream.slot] = nil }
            lastUse = driver.lastRead
            if !isGone { pool.hasRoom(self) }
        }
        tunnels[stream.slot] = tunnel
        do throws(SkeinError) {
            try upgrade.begin(on: tunnel, shard: pool.shard, head)
            if head.map({ exchange.receive($0) }) ?? true { exchange.complete(trailers: nil) }
        } catch {
            tunnel.close()
            exchange.fail(error)
        }
    }

    func receive(_ bytes: ByteBuffer, _ stream: HTTP2Stream) {
        guard let exchange = touch(stream) else { return }
        if exchange.receive(bytes) {
            driver.engine.consumed(bytes.readableBytes, on: stream)
        } else {
            streams.withhold(bytes.readableBytes, on: stream)
        }
    }

    func touch(_ stream: HTTP2Stream) -> HTTPExchange? { streams.touch(stream, at: driver.lastRead) }

    /// A stream is over: its exchange ends, and its slot is free for the next one.
    func finish(_ stream: HTTP2Stream, _ end: (HTTPExchange) -> Void) {
        guard let exchange = streams.remove(stream) else { return }
        lastUse = driver.lastRead
        // The response is complete; request content that the server does not want is not sent.
        if driver.engine.isSending(stream) { driver.cancel(stream, .noError) }
        end(exchange)
        pool.hasRoom(self)
    }

    func lose(_ exchange: HTTPExchange, _ reset: HTTP2Engine.StreamReset) {
        if reset.code == .http11Required, exchange.mayReplayUnprocessed(upTo: 3) {
            pool.staysWithHTTP1()
            return exchange.replay()
        }
        // REFUSED_STREAM means an overloaded server, so few replays; after GOAWAY, a new connection has room.
        let limit = reset.code == .refusedStream ? 3 : 30
        if reset.isUnprocessed, exchange.mayReplayUnprocessed(upTo: limit) { return exchange.replay() }
        let isMalformed = !reset.byPeer
        exchange.fail(
            SkeinError(
                isMalformed ? (exchange.head == nil ? .responseHeaderError : .bodyError) : .http2StreamReset,
                peer: exchange.peer,
                because: isMalformed
                    ? "the server's answer is malformed: \(reset.reason)"
                    : "the server reset the stream of the request (\(reset.code))",
                cause: HTTP2Error(reset.code, reset.reason)))
    }

    /// A pushed response: an exchange of its own, for the session's handler.
    func receivePush(_ head: RequestHead, _ stream: HTTP2Stream) {
        guard let onPush = configuration.onPush, head.headers["host"] == pool.origin.authority else {
            return driver.cancel(stream, .cancel)
        }
        let url = HTTPURL(origin: pool.origin, target: head.target)
        let corequest = Corequest<HTTPResponse>(shard: pool.shard)
        let exchange = HTTPExchange(
            HTTPRequest(head.method, url, headers: head.headers), pools: pool.owner, corequest: corequest,
            callback: onPush)
        corequest.setDriver(exchange)
        carry(exchange, stream, at: driver.lastRead)
        exchange.startPushed(on: self, stream)
    }
}
