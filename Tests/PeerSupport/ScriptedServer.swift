// A server that sends exactly what a test specifies, for behaviour that no correct server has.

import NIOCore
import NIOPosix
import Synchronization

#if canImport(Glibc)
    import Glibc
#elseif canImport(Darwin)
    import Darwin
#endif

/// Answers each connection by a script of bytes.
public final class ScriptedServer: Sendable {
    /// The reaction to data from a connection.
    public enum Step: Sendable {
        /// Send bytes.
        case send(String)
        /// Send bytes that are not text.
        case sendBytes(ByteBuffer)
        /// Close the connection in order.
        case close
        /// Close the connection with a reset.
        case reset
        /// Wait for the next bytes.
        case wait
        /// Wait for bytes that contain a text, however they are split.
        case until(String)
        /// Stop reading from the socket.
        case stopReading
    }

    private let channel: any Channel
    private let counter: Counter

    /// The port it listens on.
    public let port: Int

    /// Starts a server.
    /// - Parameter script: the steps for the n-th connection, taken when it has sent its first bytes.
    public static func start(_ script: @escaping @Sendable (Int) -> [Step]) async throws -> ScriptedServer {
        let count = Counter()
        let channel = try await ServerBootstrap(group: SupportLoops.group)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(ScriptHandler(script(count.next())))
                }
            }
            .bind(host: "127.0.0.1", port: 0).get()
        guard let port = channel.localAddress?.port else { throw PeerError("no port was bound") }
        return ScriptedServer(channel, port: port, counter: count)
    }

    private init(_ channel: any Channel, port: Int, counter: Counter) {
        self.channel = channel
        self.port = port
        self.counter = counter
    }

    /// The number of connections so far.
    public var connectionCount: Int { counter.value }

    /// Stops listening.
    public func stop() async { try? await channel.close() }
}

private final class Counter: Sendable {
    private let count = Atomic<Int>(0)
    var value: Int { count.load(ordering: .relaxed) }
    func next() -> Int { count.wrappingAdd(1, ordering: .relaxed).oldValue }
}

private final class ScriptHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private var steps: [ScriptedServer.Step]
    private var received = ""

    init(_ steps: [ScriptedServer.Step]) { self.steps = steps }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        received += String(buffer: unwrapInboundIn(data))
        while !steps.isEmpty {
            switch steps.removeFirst() {
            case .until(let text):
                guard let range = received.firstRange(of: text) else {
                    return steps.insert(.until(text), at: 0)
                }
                received = String(received[range.upperBound...])
            case .send(let text): context.writeAndFlush(wrapOutboundOut(ByteBuffer(string: text)), promise: nil)
            case .sendBytes(let bytes): context.writeAndFlush(wrapOutboundOut(bytes), promise: nil)
            // If the socket were closed without reading, the system would reset the connection while the peer still
            // sends.
            case .close: context.close(mode: .output, promise: nil)
            case .reset:
                // With a linger time of zero, close() sends a reset.
                (context.channel as? any SocketOptionProvider)?.setSoLinger(linger(l_onoff: 1, l_linger: 0))
                    .assumeIsolated().whenComplete { _ in context.close(promise: nil) }
            case .wait: return
            case .stopReading: try? context.channel.syncOptions?.setOption(.autoRead, value: false)
            }
        }
    }
}
