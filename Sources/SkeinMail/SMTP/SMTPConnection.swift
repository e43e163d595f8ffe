// The I/O and timers of a connection to a mail server: the driver of its machine.

import NIOCore
import NIOPosix
import SkeinCore
import SkeinTransport

/// Time limits for a server (RFC 5321, section 4.5.3.2).
public struct SMTPTimeouts: Sendable, Hashable {
    /// For name resolution and connecting. Default: 30 s.
    public var connect: Duration = .seconds(30)
    /// For the greeting and the replies to EHLO, STARTTLS, AUTH, MAIL and RCPT. Default: 5 min.
    public var command: Duration = .seconds(300)
    /// For the reply to DATA. Default: 2 min.
    public var data: Duration = .seconds(120)
    /// For sending a piece of the content. Default: 3 min.
    public var block: Duration = .seconds(180)
    /// For the reply to the end of the content. Default: 10 min.
    public var final: Duration = .seconds(600)

    /// For a whole message with its recipients, plus a second for each 8 KiB. Default: half an hour.
    public var message: Duration = .seconds(1800)

    /// The time limits of RFC 5321.
    public init() {}

    /// For interactive use: half a minute for each.
    public static var interactive: SMTPTimeouts {
        var timeouts = SMTPTimeouts()
        timeouts.connect = .seconds(15)
        timeouts.command = .seconds(30)
        timeouts.data = .seconds(30)
        timeouts.block = .seconds(30)
        timeouts.final = .seconds(120)
        return timeouts
    }

    func limit(of phase: SMTPClientMachine.Phase) -> Duration? {
        switch phase {
        case .greeting, .hello, .startTLS, .handshake, .authentication, .mail, .recipients, .reset: command
        case .data: data
        case .content: block
        case .final: final
        case .leaving: .seconds(2)
        case .idle, .closed: nil
        }
    }
}

/// A connection to a mail server.
///
/// Unchecked: used on its channel's loop only.
final class SMTPConnection: ChannelInboundHandler, @unchecked Sendable {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    let peer: String
    /// Messages that were sent on it.
    private(set) var count = 0

    private let loop: any EventLoop
    private let timeouts: SMTPTimeouts
    private let tls: ConnectOptions.TLS?
    private let tlsName: String
    private var machine: SMTPClientMachine
    private var decoder = SMTPReplyDecoder()
    private var context: ChannelHandlerContext?
    private var ready: EventLoopPromise<SMTPConnection>?
    private var sending: (promise: EventLoopPromise<SMTPOutcome>, content: any SMTPContent)?
    private var stuffing: DotStuffing?
    private var timer: Scheduled<Void>?
    /// For the whole message: the other limits do not bound a server that always replies just in time.
    private var messageTimer: Scheduled<Void>?

    private init(
        peer: String, loop: any EventLoop, settings: SMTPClientMachine.Settings, timeouts: SMTPTimeouts,
        tls: ConnectOptions.TLS?, tlsName: String, ready: EventLoopPromise<SMTPConnection>
    ) {
        self.peer = peer
        self.loop = loop
        self.timeouts = timeouts
        self.tls = tls
        self.tlsName = tlsName
        self.ready = ready
        machine = SMTPClientMachine(settings)
    }

    /// Connects and performs the setup, until messages can be sent.
    /// - Parameters:
    ///   - startTLS: the TLS options for STARTTLS.
    ///   - options: the connection options; with TLS, it is used from the first byte.
    /// - Returns: the connection; fails with a `SkeinError`, whose cause is an ``SMTPRefusal`` when the server has
    ///   refused.
    static func connect(
        to endpoint: Endpoint, on loop: any EventLoop, _ options: ConnectOptions, startTLS: ConnectOptions.TLS?,
        settings: SMTPClientMachine.Settings, timeouts: SMTPTimeouts
    ) -> EventLoopFuture<SMTPConnection> {
        Connector.connect(to: endpoint, on: loop, options).flatMap { connected in
            let ready = loop.makePromise(of: SMTPConnection.self)
            var settings = settings
            if connected.tls != nil {
                settings.isProtected = true
                settings.tls = .asItIs
            }
            let connection = SMTPConnection(
                peer: "\(endpoint)", loop: loop, settings: settings, timeouts: timeouts, tls: startTLS,
                tlsName: endpoint.host, ready: ready)
            do {
                try connected.channel.pipeline.syncOperations.addHandler(connection)
            } catch {
                connected.channel.close(promise: nil)
                ready.fail(Connector.socketError(error, peer: "\(endpoint)"))
            }
            return ready.futureResult
        }
    }

    /// Whether a message can be sent.
    var isIdle: Bool { machine.phase == .idle && sending == nil }
    /// Whether the connection is in TLS.
    var isSecure: Bool { machine.isSecure }

    /// Sends a message; only while the connection is idle.
    func send(_ envelope: SMTPEnvelope, _ content: any SMTPContent) -> EventLoopFuture<SMTPOutcome> {
        count += 1
        let promise = loop.makePromise(of: SMTPOutcome.self)
        sending = (promise, content)
        let limit = timeouts.message + .seconds(content.size >> 13)
        messageTimer = loop.scheduleTask(in: TimeAmount(limit)) { self.perform(.timedOut) }
        perform(.send(envelope))
        return promise.futureResult
    }

    /// Ends the connection with QUIT.
    func leave() { perform(.leave) }

    // MARK: Actions of the machine

    private func perform(_ event: SMTPClientMachine.Event) {
        let actions = machine.receive(event)
        var needsFlush = false
        for action in actions {
            switch action {
            case .write(let text):
                context?.write(wrapOutboundOut(ByteBuffer(string: text)), promise: nil)
                needsFlush = true
            case .startTLS: startTLS()
            case .ready:
                ready?.succeed(self)
                ready = nil
            case .writeContent(let dotStuffed):
                stuffing = dotStuffed ? DotStuffing() : nil
                needsFlush = false
                writeContent()
            case .finish(let results, let fate):
                let promise = sending?.promise
                sending = nil
                messageTimer?.cancel()
                // The observer of the end may use the connection again.
                loop.execute { promise?.succeed(SMTPOutcome(results: results, fate: fate)) }
            case .fail(let error):
                ready?.fail(SkeinError(error.code, peer: peer, because: error.message, cause: error.cause))
                ready = nil
            case .close: context?.close(promise: nil)
            }
        }
        if needsFlush { context?.flush() }
        // In any case, nothing more is read or buffered.
        if machine.phase == .closed { context?.close(promise: nil) }
        arm()
    }

    private func arm() {
        timer?.cancel()
        timer = timeouts.limit(of: machine.phase).map { limit in
            loop.scheduleTask(in: TimeAmount(limit)) { self.perform(.timedOut) }
        }
    }

    private func startTLS() {
        guard let context, let tls, !decoder.hasRest else {
            return perform(
                .lost(
                    SkeinError(
                        .tlsHandshakeFailed, peer: peer,
                        because: "bytes in clear text followed the answer to STARTTLS")))
        }
        TLSHandshake.begin(on: context.channel, tls, host: tlsName, peer: peer, isFirst: true).assumeIsolated()
            .whenComplete {
                result in
                switch result {
                case .success: self.perform(.secured)
                case .failure(let error):
                    self.perform(
                        .lost(
                            error as? SkeinError
                                ?? SkeinError(.tlsHandshakeFailed, peer: self.peer, because: "\(error)"))
                    )
                    context.close(promise: nil)
                }
            }
    }

    // MARK: The content

    private func writeContent() {
        guard let sending else { return }
        sending.content.next(on: loop).assumeIsolated().whenComplete { result in
            // The transaction may be over, and another one may have started.
            guard self.sending?.content === sending.content, let context = self.context else { return }
            switch result {
            case .failure(let error):
                self.perform(
                    .contentFailed(
                        error as? SkeinError ?? SkeinError(.exception, because: "the message cannot be read: \(error)"))
                )
            case .success(let piece?):
                var bytes = piece
                if self.stuffing != nil {
                    bytes = ByteBuffer()
                    bytes.reserveCapacity(piece.readableBytes + 64)
                    self.stuffing?.write(piece, to: &bytes)
                }
                let isWritable = context.channel.isWritable && piece.readableBytes < 64 << 10
                guard isWritable else {
                    let written = self.loop.makePromise(of: Void.self)
                    written.futureResult.whenSuccess {
                        self.arm()
                        self.writeContent()
                    }
                    return context.writeAndFlush(self.wrapOutboundOut(bytes), promise: written)
                }
                context.write(self.wrapOutboundOut(bytes), promise: nil)
                self.writeContent()
            case .success(nil):
                if self.stuffing != nil {
                    var end = ByteBuffer()
                    self.stuffing?.end(&end)
                    context.write(self.wrapOutboundOut(end), promise: nil)
                }
                context.flush()
                self.perform(.contentWritten)
            }
        }
    }

    // MARK: The channel

    func handlerAdded(context: ChannelHandlerContext) {
        self.context = context
        arm()
    }

    func handlerRemoved(context: ChannelHandlerContext) { self.context = nil }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard machine.phase != .closed else { return }
        decoder.append(unwrapInboundIn(data))
        do throws(SkeinError) {
            while machine.phase != .closed, let reply = try decoder.next() { perform(.received(reply)) }
        } catch {
            perform(.lost(SkeinError(error.code, peer: peer, because: error.message)))
            context.close(promise: nil)
        }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        perform(.lost(Connector.socketError(error, peer: peer)))
        context.close(promise: nil)
    }

    func channelInactive(context: ChannelHandlerContext) {
        perform(.lost(SkeinError(.connectionClosed, peer: peer, because: "the server has closed the connection")))
        timer?.cancel()
        messageTimer?.cancel()
        context.fireChannelInactive()
    }
}
