// A client that sends and collects bytes, without any protocol.

import NIOCore
import NIOPosix
import Synchronization

/// A bare socket.
public final class RawClient: Sendable {
    private let channel: any Channel
    private let received: Received

    private init(_ channel: any Channel, _ received: Received) {
        self.channel = channel
        self.received = received
    }

    /// Connects to a port of the loopback interface.
    /// - Parameter readsByItself: false for a client that leaves received bytes in the socket.
    public static func connect(_ port: Int, readsByItself: Bool = true) async throws -> RawClient {
        let received = Received()
        let channel = try await ClientBootstrap(group: SupportLoops.group)
            .channelOption(.autoRead, value: readsByItself)
            .channelOption(.allowRemoteHalfClosure, value: true)
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture { try channel.pipeline.syncOperations.addHandler(received) }
            }
            .connect(host: "127.0.0.1", port: port).get()
        return RawClient(channel, received)
    }

    /// Sends text.
    public func send(_ text: String) async throws { try await channel.writeAndFlush(ByteBuffer(string: text)) }

    /// Sends bytes.
    public func send(_ bytes: ByteBuffer) async throws { try await channel.writeAndFlush(bytes) }

    /// Closes its sending side, and continues to read.
    public func finishSending() async throws { try await channel.close(mode: .output) }

    /// Waits for the peer to close, and returns everything received.
    public func readToEnd() async -> String {
        try? await channel.closeFuture.get()
        return received.text
    }

    /// Waits for the peer to close, and returns everything received, as bytes.
    public func bytesToEnd() async -> ByteBuffer {
        try? await channel.closeFuture.get()
        return received.all
    }

    /// Waits until a text has been received.
    public func untilReceived(_ text: String) async throws {
        while !received.text.contains(text) {
            guard channel.isActive else { throw PeerError("the peer closed before it said \(text.debugDescription)") }
            try await channel.eventLoop.scheduleTask(in: .milliseconds(5)) {}.futureResult.get()
        }
    }

    /// Closes.
    public func close() async { try? await channel.close() }

    private final class Received: ChannelInboundHandler, Sendable {
        typealias InboundIn = ByteBuffer
        private let bytes = Mutex(ByteBuffer())

        var all: ByteBuffer { bytes.withLock { $0 } }
        var text: String { bytes.withLock { String(buffer: $0) } }

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            let piece = unwrapInboundIn(data)
            bytes.withLock { _ = $0.writeImmutableBuffer(piece) }
        }

        func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
            if case ChannelEvent.inputClosed? = event as? ChannelEvent { context.close(promise: nil) }
        }

        func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }
    }
}
