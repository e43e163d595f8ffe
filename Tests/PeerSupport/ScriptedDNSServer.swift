// A scripted DNS server over UDP, which counts the queries.

import NIOCore
import NIOPosix
import Synchronization

/// Answers questions by a script.
public final class ScriptedDNSServer: ChannelInboundHandler, Sendable {
    public typealias InboundIn = AddressedEnvelope<ByteBuffer>
    public typealias OutboundOut = AddressedEnvelope<ByteBuffer>

    /// The responses to a query, as whole messages.
    public typealias Script = @Sendable (_ question: ByteBuffer, _ number: Int) -> [ByteBuffer]

    private let script: Script
    private let count = Mutex(0)
    private let channel = Mutex<(any Channel)?>(nil)
    /// The address that it listens on, as `ADDRESS:PORT`.
    public var address: String { channel.withLock { "127.0.0.1:\($0?.localAddress?.port ?? 0)" } }
    /// The number of queries.
    public var questions: Int { count.withLock { $0 } }

    private init(_ script: @escaping Script) { self.script = script }

    public static func start(_ script: @escaping Script) async throws -> ScriptedDNSServer {
        let server = ScriptedDNSServer(script)
        let channel = try await DatagramBootstrap(group: SupportLoops.group)
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture { try channel.pipeline.syncOperations.addHandler(server) }
            }
            .bind(host: "127.0.0.1", port: 0).get()
        server.channel.withLock { $0 = channel }
        return server
    }

    public func stop() async { try? await channel.withLock { $0 }?.close() }

    public func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        let envelope = unwrapInboundIn(data)
        let number = count.withLock { count in
            defer { count += 1 }
            return count
        }
        for answer in script(envelope.data, number) {
            context.writeAndFlush(
                wrapOutboundOut(AddressedEnvelope(remoteAddress: envelope.remoteAddress, data: answer)), promise: nil)
        }
    }

    /// A response with one address, made from the query itself.
    public static func answer(_ question: ByteBuffer, address: [UInt8], flags: UInt16 = 0x8180) -> ByteBuffer {
        var answer = question
        answer.setInteger(flags, at: answer.readerIndex + 2)
        answer.setInteger(UInt16(0), at: answer.readerIndex + 10)
        // Without the EDNS record at the end of the query.
        answer.moveWriterIndex(to: answer.writerIndex - 11)
        let type = answer.getInteger(at: answer.writerIndex - 4, as: UInt16.self)
        guard type == (address.count == 4 ? 1 : 28) else { return answer }
        answer.setInteger(UInt16(1), at: answer.readerIndex + 6)
        answer.writeMultipleIntegers(UInt16(0xC00C), type ?? 1, UInt16(1), UInt32(60), UInt16(address.count))
        answer.writeBytes(address)
        return answer
    }
}
