// Performs the handshake with a proxy, and removes itself when the tunnel is open.

import NIOCore
import SkeinCore

/// The first handler of a channel until the proxy has opened the tunnel. Used on its channel's loop only.
final class TunnelHandshake: ChannelInboundHandler, RemovableChannelHandler {
    typealias InboundIn = ByteBuffer
    typealias InboundOut = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private var client: any TunnelClient
    private let peer: String
    private let promise: EventLoopPromise<Void>
    private var received = ByteBuffer()
    private var isOver = false

    init(_ client: any TunnelClient, peer: String, promise: EventLoopPromise<Void>) {
        self.client = client
        self.peer = peer
        self.promise = promise
    }

    func handlerAdded(context: ChannelHandlerContext) {
        context.writeAndFlush(wrapOutboundOut(client.begin()), promise: nil)
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        var piece = unwrapInboundIn(data)
        received.writeBuffer(&piece)
        do {
            while !isOver {
                switch try client.receive(&received) {
                case .wait: return
                case .send(let bytes): context.writeAndFlush(wrapOutboundOut(bytes), promise: nil)
                case .open: open(context)
                }
            }
        } catch {
            fail(error)
            context.close(promise: nil)
        }
    }

    private func open(_ context: ChannelHandlerContext) {
        isOver = true
        promise.succeed()  // the waiting caller has added its handlers when this returns
        if received.readableBytes > 0 { context.fireChannelRead(wrapInboundOut(received)) }
        context.pipeline.syncOperations.removeHandler(context: context, promise: nil)
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        fail(error)
        context.close(promise: nil)
    }

    func channelInactive(context: ChannelHandlerContext) {
        fail(
            SkeinError(
                .connectionFailed, peer: peer, because: "the proxy closed the connection before the tunnel was open"))
        context.fireChannelInactive()
    }

    private func fail(_ error: any Error) {
        guard !isOver else { return }
        isOver = true
        promise.fail(error)
    }
}
