// Carries the bytes of a protocol other than request and response, such as WebSocket: over a connection that has left
// HTTP, or over an HTTP/2 stream.

import NIOCore
import SkeinCore
import SkeinTransport

/// Carries bytes both ways. Called on the loop.
package protocol ByteTransport: AnyObject {
    /// Whether the peer reads what is written.
    var isWritable: Bool { get }
    /// Writes bytes and flushes them.
    func write(_ bytes: ByteBuffer)
    /// Starts or stops reading; unread bytes stay with the peer.
    func setReading(_ isOn: Bool)
    /// Ends our side after the pending output; the peer's end is still awaited.
    func endOutput()
    /// Closes both sides now.
    func close()
}

/// The user of a transport. Called on the loop.
package protocol ByteTransportUser: HTTP2TunnelUser {
    /// Bytes have arrived on a connection.
    func receive(_ bytes: ByteBuffer)
    /// All bytes of one read have been delivered.
    func flush()
    /// The peer of a connection has ended its side.
    func inputEnded()
    /// The connection closes now, without waiting for pending work.
    func cutOff()
}

/// A transport over a whole connection.
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
        // After all pending output.
        context.writeAndFlush(wrapOutboundOut(ByteBuffer())).whenComplete { _ in
            self.context?.close(mode: .output, promise: nil)
        }
    }

    package func close() { context?.close(promise: nil) }
}
