// For protocols that negotiate TLS in clear text.

import NIOCore
import SkeinCore

/// A request of fixed bytes with a response of one byte.
package struct TLSNegotiation: Sendable {
    let request: [UInt8]
    let yes: UInt8
    let no: UInt8
    /// Whether a refusal fails the attempt.
    let isRequired: Bool

    package init(_ request: [UInt8], yes: UInt8, no: UInt8, isRequired: Bool) {
        self.request = request
        self.yes = yes
        self.no = no
        self.isRequired = isRequired
    }
}

/// Performs the negotiation, and removes itself. Used on its channel's loop only.
final class TLSNegotiationHandler: ChannelInboundHandler, RemovableChannelHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private let negotiation: TLSNegotiation
    private let peer: String
    private let promise: EventLoopPromise<Bool>
    private var isOver = false

    init(_ negotiation: TLSNegotiation, peer: String, promise: EventLoopPromise<Bool>) {
        self.negotiation = negotiation
        self.peer = peer
        self.promise = promise
    }

    func handlerAdded(context: ChannelHandlerContext) {
        context.writeAndFlush(wrapOutboundOut(ByteBuffer(bytes: negotiation.request)), promise: nil)
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        let answer = unwrapInboundIn(data).readableBytesView
        guard !isOver else { return context.close(promise: nil) }
        isOver = true
        // Bytes after the response were not protected: an attacker may have injected them.
        guard answer.count == 1, let byte = answer.first, byte == negotiation.yes || byte == negotiation.no else {
            promise.fail(refusal("the server's answer to the request for TLS is malformed"))
            return context.close(promise: nil)
        }
        if byte == negotiation.no, negotiation.isRequired {
            promise.fail(refusal("the server does not speak TLS, which is required here"))
            return context.close(promise: nil)
        }
        context.pipeline.syncOperations.removeHandler(context: context, promise: nil)
        promise.succeed(byte == negotiation.yes)
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        if !isOver { promise.fail(error) }
        isOver = true
        context.close(promise: nil)
    }

    func channelInactive(context: ChannelHandlerContext) {
        if !isOver { promise.fail(refusal("the server closed the connection after the request for TLS")) }
        isOver = true
        context.fireChannelInactive()
    }

    private func refusal(_ message: String) -> SkeinError {
        SkeinError(.tlsHandshakeFailed, peer: peer, because: message)
    }
}
