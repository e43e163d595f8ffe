// One HTTP/2 connection of the server: concurrent requests, each answered independently.

import NIOCore
import NIOSSL
import SkeinCore
import SkeinHTTP
import SkeinWire

/// A connection of a client that speaks HTTP/2.
///
/// Unchecked: every method is called on the loop of its channel; handlers' tasks prefer that loop's executor.
final class HTTP2ServerConnection: HTTP2DriverOwner, ServerConnection, TimerTarget, @unchecked Sendable {
    let owner: ServerShard
    let driver: HTTP2Driver
    let tls: NIOSSLServerHandler?
    /// The requests in flight, by the slots of their streams.
    @exclusivity(unchecked) private var streams: [HTTP2ServerStream?] = []
    private let begun: NIODeadline
    @exclusivity(unchecked) private var lastAnswer: NIODeadline
    private var timer: ShardTimers.Token?
    private var pingSent: NIODeadline?
    let peer: ServerPeer
    var remoteAddress: SocketAddress? { peer.address }
    private var configuration: ServerConfiguration { _read { yield owner.context.configuration } }

    init(owner: ServerShard, peer: ServerPeer, tls: NIOSSLServerHandler?) {
        self.tls = tls
        self.peer = peer
        self.owner = owner
        begun = owner.shard.now
        lastAnswer = begun
        let engine = HTTP2Engine(
            .server, limits: owner.context.configuration.http2.limits, allowsExtendedConnect: true, at: begun)
        driver = HTTP2Driver(engine: engine, eventLoop: owner.shard.eventLoop)
        driver.owner = self
        armTimer()
    }

    /// Handles the HTTP/1.1 request that asked for the upgrade.
    func acceptUpgrade(_ head: RequestHead, settings: ByteBuffer) throws(HTTP2Error) {
        let stream = try driver.engine.acceptUpgrade(settings: settings, isHead: head.method == .head)
        begin(head, stream)
    }

    // MARK: Events

    func handle(_ event: HTTP2Engine.Event) {
        switch event {
        case .request(let stream, let head): begin(head, stream)
        case .data(let stream, let bytes, let isLast): self.stream(stream)?.receive(bytes, isLast: isLast)
        case .trailers(let stream, let trailers): self.stream(stream)?.receivedAll(trailers)
        case .reset(let stream, let reset):
            self.stream(stream)?.wasReset(reset)
            forget(stream)
        case .oversizedRequest(let stream):
            keep(HTTP2ServerStream(stream, of: self, head: nil)).answer(
                .text("the header section is larger than the limit\n", status: 431))
        case .drained(let stream): self.stream(stream)?.tunnel?.drained()
        case .settings, .goAway, .pong, .informational, .response, .promise: break
        }
    }

    private func begin(_ head: RequestHead, _ stream: HTTP2Stream) {
        let served = keep(HTTP2ServerStream(stream, of: self, head: head))
        let maximum = owner.context.maximumSize(of: head)
        if case .known(let length) = head.bodyLength, length > maximum {
            return served.answer(
                .text("the content is larger than \(maximum) bytes\n", status: .contentTooLarge))
        }
        served.begin(head)
    }

    private func stream(_ stream: HTTP2Stream) -> HTTP2ServerStream? {
        guard stream.slot < streams.count, let served = streams[stream.slot], served.stream == stream else {
            return nil
        }
        return served
    }

    private func keep(_ served: HTTP2ServerStream) -> HTTP2ServerStream {
        while streams.count <= served.stream.slot { streams.append(nil) }
        streams[served.stream.slot] = served
        return served
    }

    /// A stream is finished.
    func forget(_ stream: HTTP2Stream) {
        guard self.stream(stream) != nil else { return }
        streams[stream.slot] = nil
        lastAnswer = driver.lastRead
    }

    /// Promises a response to a request made by the server, and calls the handler for it. Returns false when the client
    /// does not accept pushes.
    func push(_ path: String, _ headers: Headers, for request: RequestHead, on parent: HTTP2Stream) -> Bool {
        let authority = request.headers["host"] ?? ""
        let promised: HTTP2Stream?
        do {
            promised = try driver.engine.promise(
                path: path, scheme: tls == nil ? "http" : "https", authority: authority, headers: headers, on: parent)
        } catch {
            owner.context.configuration.logger.warning("\(path.debugDescription) was not pushed: \(error)")
            return true
        }
        guard let promised else { return false }
        var complete = headers
        complete["host"] = authority
        begin(
            RequestHead(
                method: .get, targetBytes: ByteBuffer(string: path), version: .http2, headers: complete,
                bodyLength: .none, keepAlive: true, expectsContinue: false), promised)
        driver.flushSoon()
        return true
    }

    // MARK: Time and end

    private func armTimer() {
        let context = owner.context
        let span = min(context.headerTimeout, context.bodyTimeout, context.keepAliveTimeout)
        timer = owner.shard.timers.schedule(self, at: owner.shard.now + max(.milliseconds(50), span))
    }

    /// Checks for silence, stalled streams and idleness; the timer is not set again for each request.
    func timerFired() {
        timer = nil
        let now = owner.shard.now
        if !driver.engine.isSettled, now >= begun + owner.context.headerTimeout { return cutOff() }
        if driver.engine.streamCount == 0 {
            if now >= max(lastAnswer, begun) + owner.context.keepAliveTimeout { driver.closeWhenDrained() }
            if now >= driver.lastRead + owner.context.keepAliveTimeout + owner.context.bodyTimeout { return cutOff() }
        } else {
            for case let served? in streams { served.lookAfter(at: now) }
            driver.resetStalled(
                before: now - owner.context.bodyTimeout, minimumRate: configuration.minimumBodyRate,
                grace: max(BodyRate.grace, owner.context.bodyTimeout))
            guard isAlive(at: now) else { return cutOff() }
        }
        armTimer()
    }

    /// Whether a silent client is still alive: WebSockets and streaming calls may be idle, and are checked by a PING.
    private func isAlive(at now: NIODeadline) -> Bool {
        if let asked = pingSent, driver.lastRead <= asked { return now < asked + owner.context.bodyTimeout }
        pingSent = nil
        if now >= driver.lastRead + owner.context.keepAliveTimeout {
            pingSent = now
            driver.engine.ping()
            driver.flushSoon()
        }
        return true
    }

    func ended(_ error: (any Error)?) {
        if let timer { owner.shard.timers.cancel(timer) }
        timer = nil
        if let error = error as? HTTP2Error {
            owner.context.configuration.logger.debug("a client's connection was ended: \(error)")
        }
        let lost = streams
        streams = []
        for case let served? in lost { served.connectionEnded() }
        owner.closed(self)
    }

    func leave(_ code: WebSocketCloseCode) {
        for case let served? in streams { served.leave(code) }
    }

    func drain() {
        for case let served? in streams { served.leave() }
        driver.closeWhenDrained()
    }

    func cutOff() { driver.close() }
}
