// Certificate authorities that validate a name by an ALPN protocol of their own (RFC 8737). While such challenges are
// pending, they are detected by their ClientHello.

import NIOCore
import NIOSSL

/// Waits for the ClientHello: a certificate authority gets the certificate of its challenge, all other clients the
/// server's TLS.
///
/// Unchecked: called on the loop of its channel only.
final class ChallengeHandler: ChannelInboundHandler, RemovableChannelHandler, @unchecked Sendable {
    typealias InboundIn = ByteBuffer
    typealias InboundOut = ByteBuffer

    private static let limit = TimeAmount.seconds(10)

    private let challenges: CertificateChallenges
    private let context: ServerContext
    private var address: SocketAddress?
    /// Whether the connection is counted by this handler.
    private var isCounted = false
    /// Adds the handlers of the server after this one.
    private let serve: (any Channel) throws -> Void
    private var bytes = ByteBuffer()
    private var limit: Scheduled<Void>?

    init(_ challenges: CertificateChallenges, _ context: ServerContext, serve: @escaping (any Channel) throws -> Void) {
        self.challenges = challenges
        self.context = context
        self.serve = serve
    }

    /// The event is sent to the next handlers when they are added.
    func channelActive(context: ChannelHandlerContext) {
        let channel = context.channel
        address = context.remoteAddress
        isCounted = true
        guard self.context.connectionOpened(from: address) == nil else { return context.close(promise: nil) }
        limit = context.eventLoop.scheduleTask(in: Self.limit) { channel.close(promise: nil) }
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        bytes.absorb(unwrapInboundIn(data))
        switch ClientHello.read(bytes) {
        case .incomplete: break
        case .hello(let hello) where hello.protocols == [CertificateChallenges.protocolName]:
            guard let tls = challenges.context(for: hello.serverName ?? "") else { return context.close(promise: nil) }
            // The authority only needs the handshake; it closes the connection, or the time limit does.
            let (server, address) = (self.context, address)
            isCounted = false
            context.channel.closeFuture.whenComplete { _ in server.connectionClosed(from: address) }
            goOn(context) { channel in
                try channel.pipeline.syncOperations.addHandler(NIOSSLServerHandler(context: tls))
            }
        case .hello, .other:
            limit?.cancel()
            notCounted()  // the server's own handler counts it
            goOn(context, serve)
        }
    }

    private func goOn(_ context: ChannelHandlerContext, _ add: (any Channel) throws -> Void) {
        do {
            try add(context.channel)
        } catch {
            return context.close(promise: nil)
        }
        context.fireChannelActive()
        context.fireChannelRead(wrapInboundOut(bytes))
        context.fireChannelReadComplete()
        context.pipeline.syncOperations.removeHandler(context: context, promise: nil)
    }

    private func notCounted() {
        if isCounted { context.connectionClosed(from: address) }
        isCounted = false
    }

    func channelInactive(context: ChannelHandlerContext) {
        limit?.cancel()
        notCounted()
        context.fireChannelInactive()
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }
}
