// One socket to one DNS server, with concurrent queries.

import NIOCore
import NIOPosix

/// A connected UDP socket with a random port, so that the kernel drops packets from other senders.
///
/// Unchecked: used on its loop only.
final class DNSSocket: ChannelInboundHandler, @unchecked Sendable {
    typealias InboundIn = AddressedEnvelope<ByteBuffer>
    typealias OutboundOut = AddressedEnvelope<ByteBuffer>

    private static let vector = 32
    /// More than the size announced by EDNS.
    private static let messageSize = 2048

    private struct Pending {
        let question: DNSQuestion
        let answered: (Result<DNSResponse, any Error>) -> Void
    }

    private let server: SocketAddress
    private var channel: (any Channel)?
    private var pending: [UInt16: Pending] = [:]
    private var uses = 0
    private var flushIsScheduled = false
    private var failure: (any Error)?

    init(_ server: SocketAddress) { self.server = server }

    /// Whether it may be used for one more query: after a thousand, a new port is used.
    var isFresh: Bool { uses < 1000 && pending.count < 512 && failure == nil }

    func open(on eventLoop: any EventLoop) -> EventLoopFuture<Void> {
        DatagramBootstrap(group: eventLoop)
            // Several messages per system call, in both directions.
            .channelOption(.datagramVectorReadMessageCount, value: Self.vector)
            .channelOption(
                .recvAllocator, value: FixedSizeRecvByteBufferAllocator(capacity: Self.vector * Self.messageSize)
            )
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture { try channel.pipeline.syncOperations.addHandler(self) }
            }
            .connect(to: server).map { self.channel = $0 }
    }

    /// Sends a query. A response may never arrive; ``forget(_:)`` releases the ID.
    /// - Returns: the ID of the query.
    func ask(
        _ question: DNSQuestion, extended: Bool, _ answered: @escaping (Result<DNSResponse, any Error>) -> Void
    ) -> UInt16 {
        uses += 1
        var id = UInt16.random(in: .min ... .max)
        while pending[id] != nil { id = UInt16.random(in: .min ... .max) }
        pending[id] = Pending(question: question, answered: answered)
        let envelope = AddressedEnvelope(remoteAddress: server, data: question.message(id: id, extended: extended))
        channel?.write(envelope, promise: nil)
        flushSoon()
        return id
    }

    private func flushSoon() {
        guard !flushIsScheduled, let channel else { return }
        flushIsScheduled = true
        channel.eventLoop.execute {
            self.flushIsScheduled = false
            channel.flush()
        }
    }

    func forget(_ id: UInt16) {
        pending[id] = nil
        closeIfUsed()
    }

    func close() {
        failure = failure ?? ChannelError.ioOnClosedChannel
        channel?.close(promise: nil)
    }

    private func closeIfUsed() {
        if !isFresh, pending.isEmpty { close() }
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        // A malformed message, an unknown ID, or another question means a forged response.
        guard let response = try? DNSResponse(unwrapInboundIn(data).data), let waiting = pending[response.id],
            response.question == waiting.question || (response.question == nil && response.code == .formatError)
        else { return }
        pending[response.id] = nil
        waiting.answered(.success(response))
        closeIfUsed()
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        failure = error
        context.close(promise: nil)
    }

    func channelInactive(context: ChannelHandlerContext) {
        failure = failure ?? ChannelError.ioOnClosedChannel
        let lost = pending
        pending = [:]
        for waiting in lost.values { waiting.answered(.failure(failure ?? ChannelError.ioOnClosedChannel)) }
    }
}

/// One query over TCP, each message after its length (RFC 1035, section 4.2.2).
final class DNSOverTCP: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private let question: DNSQuestion
    private let promise: EventLoopPromise<DNSResponse>
    private let id = UInt16.random(in: .min ... .max)
    private var received = ByteBuffer()
    private var isOver = false

    private init(_ question: DNSQuestion, _ promise: EventLoopPromise<DNSResponse>) {
        self.question = question
        self.promise = promise
    }

    static func ask(
        _ question: DNSQuestion, _ server: SocketAddress, on eventLoop: any EventLoop, timeout: TimeAmount
    ) -> EventLoopFuture<DNSResponse> {
        let promise = eventLoop.makePromise(of: DNSResponse.self)
        ClientBootstrap(group: eventLoop).connectTimeout(timeout)
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(DNSOverTCP(question, promise))
                }
            }
            .connect(to: server).whenComplete { result in
                switch result {
                case .failure(let error): promise.fail(error)
                case .success(let channel):
                    let limit = eventLoop.scheduleTask(in: timeout) { channel.close(promise: nil) }
                    channel.closeFuture.whenComplete { _ in limit.cancel() }
                }
            }
        return promise.futureResult
    }

    func channelActive(context: ChannelHandlerContext) {
        var message = question.message(id: id, extended: true)
        var framed = ByteBuffer()
        framed.writeInteger(UInt16(message.readableBytes))
        framed.writeBuffer(&message)
        context.writeAndFlush(wrapOutboundOut(framed), promise: nil)
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        var piece = unwrapInboundIn(data)
        received.writeBuffer(&piece)
        guard let length = received.getInteger(at: received.readerIndex, as: UInt16.self),
            let message = received.getSlice(at: received.readerIndex + 2, length: Int(length))
        else { return }
        do {
            let response = try DNSResponse(message)
            guard response.id == id, response.question == question else { throw DNSError.notAResponse }
            finish(.success(response))
        } catch {
            finish(.failure(error))
        }
        context.close(promise: nil)
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        finish(.failure(error))
        context.close(promise: nil)
    }

    func channelInactive(context: ChannelHandlerContext) { finish(.failure(ChannelError.ioOnClosedChannel)) }

    private func finish(_ result: Result<DNSResponse, any Error>) {
        guard !isOver else { return }
        isOver = true
        promise.completeWith(result)
    }
}
