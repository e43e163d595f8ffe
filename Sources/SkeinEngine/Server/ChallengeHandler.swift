// A certificate authority that looks at the certificate of a name by a protocol of its own (RFC 8737). It is told from other clients by
// their first message, while there are such challenges.

import NIOCore
import NIOSSL

/// Waits for the first message of a TLS client: a certificate authority gets the certificate of its challenge, all others what the server
/// serves.
///
/// Unchecked: called on the loop of its channel only.
final class ChallengeHandler: ChannelInboundHandler, RemovableChannelHandler, @unchecked Sendable {
    typealias InboundIn = ByteBuffer
    typealias InboundOut = ByteBuffer

    private static let limit = TimeAmount.seconds(10)

    private let challenges: CertificateChallenges
    /// Adds the handlers of the server behind this one.
    private let serve: (any Channel) throws -> Void
    private var bytes = ByteBuffer()
    private var limit: Scheduled<Void>?

    init(_ challenges: CertificateChallenges, serve: @escaping (any Channel) throws -> Void) {
        self.challenges = challenges
        self.serve = serve
    }

    /// What is behind it hears of that when it is there.
    func channelActive(context: ChannelHandlerContext) {
        let channel = context.channel
        limit = context.eventLoop.scheduleTask(in: Self.limit) { channel.close(promise: nil) }
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        bytes.absorb(unwrapInboundIn(data))
        switch ClientHello.read(bytes) {
        case .incomplete: break
        case .hello(let hello) where hello.protocols == [CertificateChallenges.protocolName]:
            guard let tls = challenges.context(for: hello.serverName ?? "") else { return context.close(promise: nil) }
            // The handshake is all that the authority wants; it closes, or the time limit does.
            goOn(context) { channel in
                try channel.pipeline.syncOperations.addHandler(NIOSSLServerHandler(context: tls))
            }
        case .hello, .other:
            limit?.cancel()
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

    func channelInactive(context: ChannelHandlerContext) {
        limit?.cancel()
        context.fireChannelInactive()
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }
}
