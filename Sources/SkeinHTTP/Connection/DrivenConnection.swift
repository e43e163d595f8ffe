// The machine behind a manually driven connection. Responses are decoded on demand; until then their bytes wait in the
// decoder, and beyond a limit in the peer.

import DequeModule
import NIOCore
import SkeinCore
import SkeinTransport
import SkeinWire

/// The state of an ``HTTPConnection``.
///
/// Unchecked: its methods run on the loop of its shard, in tasks that prefer the loop's executor, and the channel's there.
final class DrivenConnection: TimerTarget, @unchecked Sendable {
    struct Pending {
        let method: HTTPMethod
        let target: String
        let expectsContinue: Bool
    }

    /// The reader's position in the current response.
    enum Reading {
        case nothing
        case content
        case finished
    }

    static let highWater = 256 << 10

    let origin: HTTPOrigin
    let shard: Shard
    let connectOptions: ConnectOptions
    let timeout: Duration
    let limits: HTTP1Limits
    let parsing: HTTPParsing

    let output: ChannelOutput
    var gate = ReadGate()
    var tls: TLSInfo?
    var handler: DrivenChannelHandler?
    var decoder: HTTP1ResponseDecoder
    var pending = Deque<Pending>()
    var reading = Reading.nothing
    var leftover = ByteBuffer()
    var following: HTTPConnection.Body = .none
    var failure: SkeinError?
    var reader: UnsafeContinuation<Void, Never>?
    var timer: ShardTimers.Token?
    var peerHasFinished = false
    var isPipelining = false

    init(
        origin: HTTPOrigin, shard: Shard, connectOptions: ConnectOptions, timeout: Duration, limits: HTTP1Limits,
        parsing: HTTPParsing
    ) {
        self.origin = origin
        self.shard = shard
        self.connectOptions = connectOptions
        self.timeout = timeout
        self.limits = limits
        self.parsing = parsing
        decoder = HTTP1ResponseDecoder(limits: limits, parsing: parsing)
        output = ChannelOutput(shard.eventLoop)
    }

    var channel: (any Channel)? { output.channel }
    var responsePending: Bool { !pending.isEmpty || reading == .content }
    var isConnected: Bool { channel != nil && failure == nil && !peerHasFinished }

    // MARK: Connecting

    func connect() async throws {
        guard channel == nil else { return }
        guard !responsePending, leftover.readableBytes == 0 else {
            throw failure
                ?? SkeinError(
                    .connectionClosed, peer: origin.description,
                    because: "the server closed the connection with answers outstanding; read them, or disconnect()")
        }
        let handler = DrivenChannelHandler(self)
        reset()
        self.handler = handler
        let connected = try await Connector.connect(to: origin.endpoint, on: shard.eventLoop, connectOptions)
            .flatMapThrowing { connected in
                guard connected.channel.isActive else {
                    throw SkeinError(
                        .connectionFailed, peer: self.origin.description,
                        because: "the server closed the connection at once")
                }
                guard self.handler === handler else {
                    connected.channel.close(promise: nil)
                    throw self.stateError("disconnect() closed the connection")
                }
                try connected.channel.pipeline.syncOperations.addHandler(handler)
                return connected
            }.get()
        tls = connected.tls
    }

    func disconnect() {
        let old = output.detach()
        handler = nil
        reset()
        failure = stateError("disconnect() closed the connection")
        wakeReader()
        failure = nil
        old?.close(promise: nil)
    }

    func reset() {
        decoder = HTTP1ResponseDecoder(limits: limits, parsing: parsing)
        pending = []
        reading = .nothing
        leftover = ByteBuffer()
        following = .none
        failure = nil
        peerHasFinished = false
        gate = ReadGate()
        output.bytes.clear()
    }

    // MARK: Channel events

    func received(_ bytes: ByteBuffer, by handler: DrivenChannelHandler) {
        guard handler === self.handler else { return }
        decoder.append(bytes)
        if reader != nil {
            wakeReader()
        } else if decoder.bufferedBytes >= Self.highWater {
            gate.hold(.backlog, channel)
        }
    }

    func failed(_ error: any Error, by handler: DrivenChannelHandler) {
        guard handler === self.handler else { return }
        if failure == nil { failure = Connector.socketError(error, peer: origin.description) }
        wake()
    }

    func ended(_ handler: DrivenChannelHandler) {
        guard handler === self.handler else { return }
        peerHasFinished = true
        output.detach()
        wakeReader()
    }

    func timerFired() {
        timer = nil
        failure = SkeinError(.timeout, peer: origin.description, because: "the server sent nothing for \(timeout)")
        channel?.close(promise: nil)
        wake()
    }

    func wake() {
        wakeReader()
        output.wake(ChannelError.ioOnClosedChannel)
    }

    func wakeReader() {
        let waiting = reader
        reader = nil
        waiting?.resume()
    }

    // MARK: Errors

    /// A failure that ends the connection.
    func fail(_ code: SkeinError.Code, _ message: String) -> SkeinError {
        let error = failure ?? SkeinError(code, peer: origin.description, because: message)
        failure = error
        channel?.close(promise: nil)
        return error
    }

    /// A call in the wrong order, which has no effect.
    func stateError(_ message: String) -> SkeinError {
        SkeinError(.exception, peer: origin.description, because: message)
    }
}

/// Carries bytes and events from the channel to the machine. Each connection has its own handler, so that the end of an
/// old connection does not affect the reader of a new one.
final class DrivenChannelHandler: ChannelInboundHandler, Sendable {
    typealias InboundIn = ByteBuffer

    let machine: DrivenConnection

    init(_ machine: DrivenConnection) { self.machine = machine }

    func handlerAdded(context: ChannelHandlerContext) { if machine.handler === self { machine.output.attach(context) } }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) { machine.received(unwrapInboundIn(data), by: self) }

    func channelWritabilityChanged(context: ChannelHandlerContext) {
        if machine.handler === self { machine.output.writabilityChanged() }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        machine.failed(error, by: self)
        context.close(promise: nil)
    }

    func channelInactive(context: ChannelHandlerContext) { machine.ended(self) }
}

extension HTTPConnection.Body {
    var length: BodyLength {
        switch self {
        case .none: .none
        case .bytes(let bytes): bytes.readableBytes == 0 ? .none : .known(bytes.readableBytes)
        case .following(let count): count == 0 ? .none : .known(count)
        case .followingChunks: .streamed
        }
    }
}
