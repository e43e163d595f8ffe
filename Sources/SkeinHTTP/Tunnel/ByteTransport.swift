// What carries the bytes of something that is no request with its response, such as a WebSocket: a connection that has left HTTP, or a
// stream of HTTP/2.

import NIOCore
import SkeinCore
import SkeinTransport

/// Carries bytes both ways. Called on the loop.
package protocol ByteTransport: AnyObject {
    /// Whether the peer takes what is written.
    var isWritable: Bool { get }
    /// Writes bytes and flushes them.
    func write(_ bytes: ByteBuffer)
    /// Reads on, or leaves bytes with the peer.
    func setReading(_ isOn: Bool)
    /// Ends our side behind what has been written; the peer's end is still waited for.
    func endOutput()
    /// Ends it all now.
    func close()
}

/// What speaks through a transport. Called on the loop.
package protocol ByteTransportUser: HTTP2TunnelUser {
    /// Bytes have arrived on a connection.
    func receive(_ bytes: ByteBuffer)
    /// What has arrived at once is received.
    func flush()
    /// The peer of a connection has ended its side.
    func inputEnded()
    /// The connection ends now, whatever is under way.
    func cutOff()
}

/// A connection of its own.
///
/// Unchecked: every method is called on the loop of its channel.
package final class TransportChannelHandler: ChannelInboundHandler, ByteTransport, @unchecked Sendable {
    package typealias InboundIn = ByteBuffer
    package typealias OutboundOut = ByteBuffer

    private let user: any ByteTransportUser
    @exclusivity(unchecked) private var context: ChannelHandlerContext?
    private var failure: (any Error)?
    private var hasEndedOutput = false

    package init(_ user: any ByteTransportUser) { self.user = user }

    package func handlerAdded(context: ChannelHandlerContext) { self.context = context }

    package func channelRead(context: ChannelHandlerContext, data: NIOAny) { user.receive(unwrapInboundIn(data)) }

    package func channelReadComplete(context: ChannelHandlerContext) { user.flush() }

    package func channelWritabilityChanged(context: ChannelHandlerContext) {
        if context.channel.isWritable { user.becameWritable() }
    }

    package func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if case ChannelEvent.inputClosed? = event as? ChannelEvent { user.inputEnded() }
    }

    package func errorCaught(context: ChannelHandlerContext, error: any Error) {
        failure = failure ?? error
        context.close(promise: nil)
    }

    package func channelInactive(context: ChannelHandlerContext) {
        self.context = nil
        user.ended(failure)
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
