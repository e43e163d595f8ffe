// One HTTP/1.1 connection of the server: the driver of `HTTP1ServerMachine`. Requests are answered one after the other;
// pipelined ones wait in the decoder.

import NIOCore
import NIOSSL
import SkeinCore
import SkeinHTTP
import SkeinTransport
import SkeinWire

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

    /// The current request.
    struct Current {
        let scope: RequestScope
        /// The content; nil for none.
        var body: BodyStream?
    }

    /// Unread pipelined bytes above which reading stops.
    static let highWater = 64 << 10

    let owner: ServerShard
    /// The TLS handler of the connection, if any.
    let encryption: NIOSSLServerHandler?
    @exclusivity(unchecked) var decoder: HTTP1RequestDecoder
    /// The first bytes of the connection, until the HTTP version is known.
    @exclusivity(unchecked) var prelude: ByteBuffer? = ByteBuffer()
    let output: ChannelOutput
    @exclusivity(unchecked) var gate = ReadGate()
    @exclusivity(unchecked) var machine: HTTP1ServerMachine
    @exclusivity(unchecked) var current: Current?
    @exclusivity(unchecked) var task: Task<Void, Never>?
    @exclusivity(unchecked) var isAdvancing = false
    /// The client, once it is known.
    @exclusivity(unchecked) private(set) var peer = ServerPeer(address: nil, number: 0)
    private(set) var isCounted = false
    @exclusivity(unchecked) var timer: ShardTimers.Token?
    @exclusivity(unchecked) var timerAt = NIODeadline.distantFuture
    var regionIsUnderWay = false
    /// How long the client has not read the body that is being sent.
    var waited = TimeAmount.zero
    /// The framing of the streamed body that is being sent, and its trailers.
    var bodyIsChunked = false
    var trailers: Headers?

    init(owner: ServerShard, tls: NIOSSLServerHandler?) {
        self.owner = owner
        encryption = tls
        decoder = HTTP1RequestDecoder(limits: owner.context.configuration.limits)
        output = ChannelOutput(owner.shard.eventLoop)
        machine = HTTP1ServerMachine(owner.context.connectionLimits, at: owner.shard.now)
    }

    /// Whether the current request is cancelled when the client has ended its side.
    var leavesWithClient = false
    var shard: Shard { owner.shard }
    var context: ChannelHandlerContext? { output.context }
    var remoteAddress: SocketAddress? { peer.address }
    var rate: BodyRate { owner.context.rate }
    var configuration: ServerConfiguration { _read { yield owner.context.configuration } }

    // MARK: The channel

    func handlerAdded(context: ChannelHandlerContext) { output.attach(context) }

    func channelActive(context: ChannelHandlerContext) {
        owner.opened(self)
        armTimer()
        // Behind a load balancer, the client's address is not known yet.
        if !configuration.expectsProxyHeader || context.localAddress?.ipAddress == nil {
            welcome(context.remoteAddress)
        }
    }

    /// The client is known; it is accepted or refused.
    private func welcome(_ address: SocketAddress?) {
        peer = ServerPeer(address: address, number: owner.nextConnection())
        isCounted = true
        if let reason = owner.context.connectionOpened(from: address) { refuse(.serviceUnavailable, "\(reason)") }
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        switch machine.receive(at: shard.now) {
        case .decode: break
        case .ignore: return
        case .refuse: return refuseSlow()
        }
        guard let bytes = recogniseVersion(unwrapInboundIn(data)) else { return }
        decoder.append(bytes)
        advance()
    }

    func channelReadComplete(context: ChannelHandlerContext) { output.flush() }

    func channelWritabilityChanged(context: ChannelHandlerContext) {
        guard context.channel.isWritable else { return }
        madeProgress()
        output.writabilityChanged()
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if let client = event as? ProxiedClient { return welcome(client.address ?? context.remoteAddress) }
        guard case ChannelEvent.inputClosed? = event as? ChannelEvent else {
            return context.fireUserInboundEventTriggered(event)
        }
        perform(machine.inputClosed())
        armLeaving()
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }

    func channelInactive(context: ChannelHandlerContext) {
        // While a successor takes over, writing its first bytes may find that the client is gone: the successor handles
        // that.
        guard output.context != nil else { return context.fireChannelInactive() }
        if machine.request != nil, let current {
            current.body?.fail(SkeinError(.connectionClosed, because: "the client closed the connection"))
            task?.cancel()
            owner.record(current.scope)
        }
        machine.end()
        current = nil  // it has a reference to this connection
        if let timer { shard.timers.cancel(timer) }
        output.detach()
        owner.closed(self)
    }

    // MARK: Receiving

    /// Consumes the decoder's input, until a request has to be answered first or the bytes are used up.
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
        switch machine.expectation {
        case .head:
            guard case .head(let head)? = try decoder.next() else { return false }
            try begin(head)
        case .content:
            switch try decoder.next() {
            case .body(let bytes): receive(bytes)
            case .end(let trailers):
                let isOver = machine.receiveEnd()
                current?.body?.finish(trailers)
                if isOver { nextRequest() }
            case .head, nil: return false
            }
        case .nothing: return false
        }
        return true
    }

    private func begin(_ head: RequestHead) throws(HTTP1Error) {
        let scope = RequestScope(head, owner: owner, peer: peer, channel: self)
        let maximum = owner.context.maximumSize(of: head)
        guard machine.receiveHead(head, maximum: maximum, at: shard.now) else {
            return refuse(.contentTooLarge, "the content is larger than \(maximum) bytes", to: scope)
        }
        var body: BodyStream?
        if head.bodyLength == .none {
            _ = try decoder.next()  // the end, which follows at once
            if head.headers.known.contains(.upgrade), upgrade(head) { return }
        } else {
            body = BodyStream(source: self)
        }
        current = Current(scope: scope, body: body)
        let request = ServerRequest(
            body: RequestBody(stream: body, maximum: owner.context.maximumBodySize), scope: scope)
        if let task = handle(request) { self.task = task }
    }

    private func receive(_ bytes: ByteBuffer) {
        guard let current else { return }
        current.scope.bytesReceived += bytes.readableBytes
        switch machine.receiveContent(bytes.readableBytes, at: shard.now) {
        case .deliver: if current.body?.push(bytes) == false { holdReading(.consumer) }
        case .discard: break
        case .stop: cutOff()
        case .tooLarge:
            let maximum = machine.request?.exchange.maximum ?? 0
            current.body?.fail(ServerError(.contentTooLarge, "the content is larger than \(maximum) bytes"))
            if machine.request?.exchange.isPending == false { cutOff() }
        }
    }

    /// Ends the connection in the machine's way.
    func perform(_ end: HTTP1ServerMachine.End) {
        switch end {
        case .nothing: break
        case .linger: linger()
        case .closeOutput:
            context?.close(mode: .output, promise: nil)
            armTimer()
        case .cutOff: cutOff()
        }
    }
}
