// One HTTP/1.1 connection of the server. Requests are answered one after the other, in order; what a client pipelines
// waits in the decoder. The connection carries bytes and keeps the time; the codec and the handler do the rest.

import NIOSSL
import SkeinTransport

/// A connection of a client.
///
/// Unchecked: every method is called on the loop of its channel; handlers' tasks prefer that loop's executor. What each
/// request touches opts out of the run-time check of exclusive access, which one thread does not need.
final class HTTP1ServerConnection: ChannelInboundHandler, RemovableChannelHandler, ServerConnection, Answerer,
    RequestChannel, BodySink,
    ByteStreamSource, TimerTarget, @unchecked Sendable
{
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    /// What the connection waits for, and with it, which deadline holds.
    enum Phase {
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
    struct Answering {
        let scope: RequestScope
        var body: BodyStream?
        var isReceived = false
        /// Whether the answer has begun.
        var isAnswered = false
        /// Whether all of it is written. Until then, it may be made of the content that comes.
        var isDone = false
        var isEndless = false
        var received = 0
        /// Bytes of the content at most.
        let maximum: Int
        /// When the content began.
        var begun = NIODeadline.distantFuture
        var owesContinue: Bool

        var head: RequestHead { _read { yield scope.head } }
    }

    /// Unread pipelined bytes above which the client is not read any more.
    static let highWater = 64 << 10
    /// How long a connection that rests may still bring a request when the server stops.
    static let lastChance = TimeAmount.milliseconds(200)

    let owner: ServerShard
    /// What encrypts the connection, if anything does.
    let encryption: NIOSSLServerHandler?
    @exclusivity(unchecked) var decoder: HTTP1RequestDecoder
    /// The first bytes of the connection, until they tell which HTTP it speaks.
    @exclusivity(unchecked) var prelude: ByteBuffer? = ByteBuffer()
    let output: ChannelOutput
    @exclusivity(unchecked) var gate = ReadGate()
    @exclusivity(unchecked) var phase = Phase.head
    @exclusivity(unchecked) var task: Task<Void, Never>?
    @exclusivity(unchecked) var isAdvancing = false
    var pausedAt = NIODeadline.distantPast
    @exclusivity(unchecked) var peerHasFinished = false
    @exclusivity(unchecked) var hasEndedOutput = false
    @exclusivity(unchecked) var served = 0
    /// The client, once it is known.
    @exclusivity(unchecked) private(set) var peer = ServerPeer(address: nil, number: 0)
    private(set) var isCounted = false
    @exclusivity(unchecked) var deadline = NIODeadline.distantFuture
    @exclusivity(unchecked) var timer: ShardTimers.Token?
    @exclusivity(unchecked) var timerAt = NIODeadline.distantFuture
    var regionIsUnderWay = false
    /// How long the client has let us wait for it to take the body that is being sent.
    var waited = TimeAmount.zero
    /// How the streamed body that is being sent is framed, and what follows it.
    var bodyIsChunked = false
    var trailers: Headers?

    init(owner: ServerShard, tls: NIOSSLServerHandler?) {
        self.owner = owner
        encryption = tls
        decoder = HTTP1RequestDecoder(limits: owner.context.configuration.limits)
        output = ChannelOutput(owner.shard.eventLoop)
    }

    var shard: Shard { owner.shard }
    var context: ChannelHandlerContext? { output.context }
    var remoteAddress: SocketAddress? { peer.address }
    var pace: BodyPace { owner.context.pace }
    var configuration: ServerConfiguration { _read { yield owner.context.configuration } }

    // MARK: The channel

    func handlerAdded(context: ChannelHandlerContext) { output.attach(context) }

    func channelActive(context: ChannelHandlerContext) {
        owner.opened(self)
        setDeadline(owner.context.headerTimeout)
        // Behind a balancer, the client's address is still to come.
        if !configuration.expectsProxyHeader || context.localAddress?.ipAddress == nil {
            welcome(context.remoteAddress)
        }
    }

    /// The client is known, and served or not.
    private func welcome(_ address: SocketAddress?) {
        peer = ServerPeer(address: address, number: owner.nextConnection())
        isCounted = true
        if let reason = owner.context.connectionOpened(from: address) { refuse(.serviceUnavailable, "\(reason)") }
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        switch phase {
        case .lingering, .closed: return
        case .idle:
            phase = .head
            deadline = shard.now + owner.context.headerTimeout
        case .head: break
        case .answering(let answering):
            let now = shard.now
            deadline = now + owner.context.bodyTimeout
            if !answering.isReceived, pace.isTooSlow(answering.received, since: answering.begun, at: now) {
                return refuseSlow(answering)
            }
        }
        guard let bytes = recogniseVersion(unwrapInboundIn(data)) else { return }
        decoder.append(bytes)
        advance()
    }

    func channelReadComplete(context: ChannelHandlerContext) { output.flush() }

    func channelWritabilityChanged(context: ChannelHandlerContext) {
        guard context.channel.isWritable else { return }
        setDeadline(owner.context.bodyTimeout)
        output.writabilityChanged()
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if let client = event as? ProxiedClient { return welcome(client.address ?? context.remoteAddress) }
        guard case ChannelEvent.inputClosed? = event as? ChannelEvent else {
            return context.fireUserInboundEventTriggered(event)
        }
        // The client has sent all it wants to send; what it has asked for is still answered.
        peerHasFinished = true
        switch phase {
        case .answering(let answering) where answering.isReceived && !answering.isEndless: break
        case .lingering where !hasEndedOutput: break
        case .idle, .head: linger()
        case .answering, .lingering, .closed: cutOff()
        }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }

    func channelInactive(context: ChannelHandlerContext) {
        // While a successor takes over, writing its first bytes may find out that the client is gone: that is for it to hear.
        guard output.context != nil else { return context.fireChannelInactive() }
        if case .answering(let answering) = phase {
            answering.body?.fail(SkeinError(.channelClosed, because: "the client closed the connection"))
            task?.cancel()
            owner.record(answering.scope)
        }
        phase = .closed
        if let timer { shard.timers.cancel(timer) }
        output.detach()
        owner.closed(self)
    }

    // MARK: Receiving

    /// Takes what the decoder has, until a request has to be answered first or the bytes are used up.
    func advance() {
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

    func takeEvent() throws(HTTP1Error) -> Bool {
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

    func begin(_ head: RequestHead) throws(HTTP1Error) {
        served += 1
        let scope = RequestScope(head, owner: owner, peer: peer, channel: self)
        let maximum = owner.context.maximumSize(of: head)
        if case .known(let length) = head.bodyLength, length > maximum {
            return refuse(.contentTooLarge, "the content is larger than \(maximum) bytes", to: scope)
        }
        var answering = Answering(scope: scope, maximum: maximum, owesContinue: head.expectsContinue)
        if head.bodyLength == .none {
            _ = try decoder.next()  // the end that follows at once
            if head.headers.known.contains(.upgrade), upgrade(head) { return }
            answering.isReceived = true
        } else {
            answering.body = BodyStream(source: self)
            answering.begun = shard.now
        }
        phase = .answering(answering)
        let request = ServerRequest(
            body: RequestBody(stream: answering.body, maximum: owner.context.maximumBodySize), scope: scope)
        if let task = handle(request) { self.task = task }
    }

    func receive(_ bytes: ByteBuffer, _ answering: Answering) {
        var answering = answering
        answering.received += bytes.readableBytes
        answering.scope.bytesReceived = answering.received
        let isTooLarge = answering.received > answering.maximum
        phase = .answering(answering)
        guard isTooLarge else {
            if answering.body?.push(bytes) == false { holdReading(.consumer) }
            return
        }
        answering.body?.fail(
            ServerError(.contentTooLarge, "the content is larger than \(answering.maximum) bytes"))
        if answering.isAnswered { cutOff() }
    }

    func receivedAll(_ trailers: Headers?) {
        guard case .answering(var answering) = phase else { return }
        answering.isReceived = true
        phase = .answering(answering)
        answering.body?.finish(trailers)
        if answering.isDone { finishExchange(answering) }
    }
}
