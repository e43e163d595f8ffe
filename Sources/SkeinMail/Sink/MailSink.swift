// A mail server for development: it accepts every message, and shows or stores it.

import Logging
import NIOCore
import NIOPosix
import SkeinCore
import SkeinTransport
import Synchronization

/// Receives mail and passes it to a handler.
public final class MailSink: Sendable {
    private static let connectionLimit = 200
    /// Bytes of messages being received on all connections.
    private static let memoryLimit = 512 << 20

    private let name: String
    private let handle: @Sendable (ReceivedMail) throws -> Void
    private let logger: Logger
    private let state = Mutex(State())

    private struct State {
        var channel: (any Channel)?
        var connections = 0
        var held = 0
    }

    /// - Parameters:
    ///   - name: the name in the greeting.
    ///   - handle: called with each message, on an event loop; an error that it throws is sent to the client.
    public init(
        name: String = SystemName.host, logger: Logger = .screen(label: "mail sink"),
        _ handle: @escaping @Sendable (ReceivedMail) throws -> Void
    ) {
        self.name = name
        self.logger = logger
        self.handle = handle
    }

    /// Starts to listen.
    /// - Returns: the port.
    /// - Throws: code 714 on failure.
    public func start(host: String = "127.0.0.1", port: Int) async throws(SkeinError) -> Int {
        do {
            let channel = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
                .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
                .childChannelInitializer { channel in
                    channel.eventLoop.makeCompletedFuture {
                        try channel.pipeline.syncOperations.addHandler(SinkConnection(self.name, self))
                    }
                }
                .bind(host: host, port: port).get()
            state.withLock { $0.channel = channel }
            return channel.localAddress?.port ?? port
        } catch {
            throw SkeinError(
                .connectionFailed, peer: "\(host):\(port)", because: "the sink cannot listen there: \(error)",
                cause: error)
        }
    }

    /// Accepts no more connections.
    public func stop() async {
        let channel = state.withLock { $0.channel }
        try? await channel?.close()
    }

    fileprivate func opened() -> Bool {
        state.withLock { state in
            state.connections += 1
            return state.connections <= Self.connectionLimit
        }
    }

    fileprivate func closed(held: Int) {
        state.withLock { state in
            state.connections -= 1
            state.held -= held
        }
    }

    /// - Returns: whether there is room.
    fileprivate func holds(more: Int) -> Bool {
        state.withLock { state in
            state.held += more
            return state.held <= Self.memoryLimit
        }
    }

    fileprivate func take(_ mail: ReceivedMail) -> String {
        do {
            try handle(mail)
            return "250 2.0.0 the message is taken\r\n"
        } catch {
            logger.error("a message was not accepted: \(error)")
            return "451 4.3.0 the message cannot be kept\r\n"
        }
    }
}

/// A connection to a sink. Used on its channel's loop only.
private final class SinkConnection: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private let sink: MailSink
    private var machine: SMTPServerMachine
    private var held = 0
    private var isOver = false
    private var timer: Scheduled<Void>?

    init(_ name: String, _ sink: MailSink) {
        self.sink = sink
        machine = SMTPServerMachine(name: name)
    }

    func channelActive(context: ChannelHandlerContext) {
        guard sink.opened() else {
            write("421 4.7.0 there are too many connections\r\n", context)
            context.flush()
            return context.close(promise: nil)
        }
        write(machine.greeting, context)
        context.flush()
        arm(context)
    }

    private func arm(_ context: ChannelHandlerContext) {
        timer?.cancel()
        let channel = context.channel
        timer = context.eventLoop.scheduleTask(in: .minutes(5)) { channel.close(promise: nil) }
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        arm(context)
        for action in machine.receive(unwrapInboundIn(data)) {
            switch action {
            case .reply(let text): write(text, context)
            case .message(let mail): write(sink.take(mail), context)
            case .close:
                context.flush()
                context.close(promise: nil)
            }
        }
        guard !isOver else { return }
        let now = machine.held
        if !sink.holds(more: now - held) {
            write("421 4.3.1 there is too little memory\r\n", context)
            context.flush()
            held = now
            return context.close(promise: nil)
        }
        held = now
    }

    func channelReadComplete(context: ChannelHandlerContext) { context.flush() }

    func channelInactive(context: ChannelHandlerContext) {
        timer?.cancel()
        isOver = true
        sink.closed(held: held)
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }

    private func write(_ text: String, _ context: ChannelHandlerContext) {
        context.write(wrapOutboundOut(ByteBuffer(string: text)), promise: nil)
    }
}
