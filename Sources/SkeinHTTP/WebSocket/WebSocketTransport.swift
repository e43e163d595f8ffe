// What carries the bytes of a WebSocket: a connection that has left HTTP, or a stream of HTTP/2.

import NIOCore
import SkeinCore
import SkeinTransport

/// Carries the bytes of one socket. Called on the loop.
package protocol WebSocketTransport: AnyObject {
    /// Whether the peer takes what is written.
    var isWritable: Bool { get }
    /// Writes bytes and flushes them.
    func write(_ bytes: ByteBuffer)
    /// Lets bytes come, or leaves them with the peer.
    func setReading(_ isOn: Bool)
    /// Ends our side behind what has been written; the peer's end is still waited for.
    func endOutput()
    /// Ends it all now.
    func close()
}

/// A connection of its own.
///
/// Unchecked: every method is called on the loop of its channel.
package final class WebSocketChannelHandler: ChannelInboundHandler, WebSocketTransport, @unchecked Sendable {
    package typealias InboundIn = ByteBuffer
    package typealias OutboundOut = ByteBuffer

    private let link: WebSocketLink
    @exclusivity(unchecked) private var context: ChannelHandlerContext?
    private var failure: (any Error)?
    private var hasEndedOutput = false

    package init(_ link: WebSocketLink) { self.link = link }

    package func handlerAdded(context: ChannelHandlerContext) { self.context = context }

    package func channelRead(context: ChannelHandlerContext, data: NIOAny) { link.receive(unwrapInboundIn(data)) }

    package func channelReadComplete(context: ChannelHandlerContext) { link.flush() }

    package func channelWritabilityChanged(context: ChannelHandlerContext) {
        if context.channel.isWritable { link.becameWritable() }
    }

    package func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        // A peer that has ended its side has nothing more to say, and a socket with one side is none.
        if case ChannelEvent.inputClosed? = event as? ChannelEvent { context.close(promise: nil) }
    }

    package func errorCaught(context: ChannelHandlerContext, error: any Error) {
        failure = failure ?? error
        context.close(promise: nil)
    }

    package func channelInactive(context: ChannelHandlerContext) {
        self.context = nil
        link.transportEnded(failure)
    }

    package var isWritable: Bool { context?.channel.isWritable ?? false }

    package func write(_ bytes: ByteBuffer) { context?.writeAndFlush(wrapOutboundOut(bytes), promise: nil) }

    package func setReading(_ isOn: Bool) { try? context?.channel.syncOptions?.setOption(.autoRead, value: isOn) }

    package func endOutput() {
        guard let context, !hasEndedOutput else { return }
        hasEndedOutput = true
        setReading(true)
        // Behind everything that the socket has not taken yet.
        context.writeAndFlush(wrapOutboundOut(ByteBuffer())).whenComplete { _ in
            self.context?.close(mode: .output, promise: nil)
        }
    }

    package func close() { context?.close(promise: nil) }
}
