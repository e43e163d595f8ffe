// One end of a simulated connection: a channel that behaves as one over a TCP socket does. It has send and receive buffers with
// back-pressure, and can be closed, half-closed and reset.

import NIOCore

/// A channel over a simulated wire.
///
/// Unchecked: a simulation has one thread.
package final class SimulatedChannel: Channel, ChannelCore, NIOSynchronousChannelOptions, @unchecked Sendable {
    /// NIO's default water marks of a channel's writability.
    private static let waterMarks = (low: 32 << 10, high: 64 << 10)
    private static let largestRead = 64 << 10

    package let eventLoop: any EventLoop
    package let allocator = ByteBufferAllocator()
    private let closePromise: EventLoopPromise<Void>
    package private(set) lazy var pipeline = ChannelPipeline(channel: self)
    package let localAddress: SocketAddress?
    package let remoteAddress: SocketAddress?
    package var parent: (any Channel)? { nil }
    package private(set) var isActive = false
    package private(set) var isWritable = true
    package private(set) var isOpen = true
    private var allowsHalfClosure = false
    /// The channel's autoRead option.
    package private(set) var readsByItself = true

    // Sending
    package let outbound: SimulatedWire
    private var unflushed: [(ByteBuffer, EventLoopPromise<Void>?)] = []
    private var flushed: [(ByteBuffer, EventLoopPromise<Void>?)] = []
    private var unsent = 0
    /// Bytes that were written, over the whole life of the channel.
    package private(set) var bytesWritten = 0
    private var outputIsEnded = false

    // Receiving
    package let inbound: SimulatedWire
    private var received: [ByteBuffer] = []
    private var receivedBytes = 0
    private var inputHasEnded = false
    private var endIsTold = false
    private var readIsWanted = false
    /// Bytes that were read, over the whole life of the channel.
    package private(set) var bytesRead = 0

    package init(
        _ eventLoop: any EventLoop, inbound: SimulatedWire, outbound: SimulatedWire, local: Int, remote: Int
    ) throws {
        self.eventLoop = eventLoop
        self.inbound = inbound
        self.outbound = outbound
        closePromise = eventLoop.makePromise()
        localAddress = try SocketAddress(ipAddress: "127.0.0.1", port: local)
        remoteAddress = try SocketAddress(ipAddress: "127.0.0.1", port: remote)
        inbound.receiver = self
        outbound.sender = self
    }

    package var _channelCore: any ChannelCore { self }
    package var closeFuture: EventLoopFuture<Void> { closePromise.futureResult }

    /// The connection is established.
    package func begin() {
        isActive = true
        pipeline.fireChannelRegistered()
        pipeline.fireChannelActive()
        readIfWanted()
    }

    // MARK: Writing

    package func write0(_ data: NIOAny, promise: EventLoopPromise<Void>?) {
        guard isOpen, !outputIsEnded else {
            promise?.fail(isOpen ? ChannelError.outputClosed : ChannelError.ioOnClosedChannel)
            return
        }
        let bytes: ByteBuffer = unwrapData(data)
        unflushed.append((bytes, promise))
        unsent += bytes.readableBytes
        bytesWritten += bytes.readableBytes
        if unsent > Self.waterMarks.high, isWritable {
            isWritable = false
            pipeline.fireChannelWritabilityChanged()
        }
    }

    package func flush0() {
        flushed += unflushed
        unflushed = []
        guard !outbound.isBroken else { return fail(IOError(errnoCode: 32, reason: "write")) }
        send()
    }

    /// Moves bytes to the wire, as far as its window allows.
    func send() {
        while isOpen, let (bytes, promise) = flushed.first {
            let room = outbound.room
            guard room > 0 || bytes.readableBytes == 0 else { return }
            var rest = bytes
            let piece = rest.readSlice(length: min(room, rest.readableBytes)) ?? ByteBuffer()
            if piece.readableBytes > 0 { outbound.take(piece) }
            unsent -= piece.readableBytes
            if rest.readableBytes > 0 {
                flushed[0].0 = rest
            } else {
                flushed.removeFirst()
                promise?.succeed()
            }
            if !isWritable, unsent < Self.waterMarks.low {
                isWritable = true
                pipeline.fireChannelWritabilityChanged()
            }
        }
        if flushed.isEmpty, outputIsEnded || !isOpen { outbound.end() }
    }

    // MARK: Reading

    package func read0() {
        readIsWanted = true
        eventLoop.execute { self.readIfWanted() }
    }

    private func readIfWanted() {
        guard isActive, readsByItself || readIsWanted || inputHasEnded else { return }
        guard receivedBytes > 0 else {
            if inputHasEnded { endInput() }
            return
        }
        readIsWanted = false
        var budget = Self.largestRead
        while isActive, budget > 0, !received.isEmpty {
            let bytes = received.removeFirst()
            budget -= bytes.readableBytes
            receivedBytes -= bytes.readableBytes
            bytesRead += bytes.readableBytes
            inbound.wasRead(bytes.readableBytes)
            pipeline.fireChannelRead(bytes)
        }
        guard isActive else { return }
        pipeline.fireChannelReadComplete()
        if receivedBytes > 0 || inputHasEnded { eventLoop.execute { self.readIfWanted() } }
    }

    private func endInput() {
        guard !endIsTold else { return }
        endIsTold = true
        if allowsHalfClosure {
            pipeline.fireUserInboundEventTriggered(ChannelEvent.inputClosed)
        } else {
            close0(error: ChannelError.eof, mode: .all, promise: nil)
        }
    }

    /// Bytes have come through the wire.
    func arrived(_ bytes: ByteBuffer) {
        received.append(bytes)
        receivedBytes += bytes.readableBytes
        readIfWanted()
    }

    /// The peer has sent its last byte.
    func inputEnded() {
        inputHasEnded = true
        readIfWanted()
    }

    /// The connection was reset: unread bytes are lost.
    func wasReset() {
        received = []
        receivedBytes = 0
        guard isOpen else { return }
        fail(IOError(errnoCode: 104, reason: "read"))
    }

    private func fail(_ error: any Error) {
        pipeline.fireErrorCaught(error)
        close0(error: error, mode: .all, promise: nil)
    }

    // MARK: The end

    package func close0(error: any Error, mode: CloseMode, promise: EventLoopPromise<Void>?) {
        guard isOpen else {
            promise?.fail(ChannelError.alreadyClosed)
            return
        }
        switch mode {
        case .output:
            outputIsEnded = true
            send()
            promise?.succeed()
            pipeline.fireUserInboundEventTriggered(ChannelEvent.outputClosed)
        case .input: promise?.fail(ChannelError.operationUnsupported)
        case .all:
            isOpen = false
            isActive = false
            for (_, promise) in flushed + unflushed { promise?.fail(error) }
            flushed = []
            unflushed = []
            // A close with unread bytes is a reset.
            if receivedBytes > 0 { outbound.breakOff() } else { outbound.end() }
            inbound.receiverIsGone()
            promise?.succeed()
            pipeline.fireChannelInactive()
            pipeline.fireChannelUnregistered()
            eventLoop.execute {
                self.removeHandlers(pipeline: self.pipeline)
                self.closePromise.succeed()
            }
        }
    }

    // MARK: Options

    package func setOption<Option: ChannelOption>(_ option: Option, value: Option.Value) throws {
        switch option {
        case _ as ChannelOptions.Types.AutoReadOption:
            guard let isOn = value as? Bool else { return }
            readsByItself = isOn
            if isOn { eventLoop.execute { self.readIfWanted() } }
        case _ as ChannelOptions.Types.AllowRemoteHalfClosureOption: allowsHalfClosure = value as? Bool ?? false
        default: break
        }
    }

    package func getOption<Option: ChannelOption>(_ option: Option) throws -> Option.Value {
        switch option {
        case _ as ChannelOptions.Types.AutoReadOption: if let value = readsByItself as? Option.Value { return value }
        case _ as ChannelOptions.Types.AllowRemoteHalfClosureOption:
            if let value = allowsHalfClosure as? Option.Value { return value }
        default: break
        }
        throw ChannelError.operationUnsupported
    }

    package var syncOptions: (any NIOSynchronousChannelOptions)? { self }

    package func setOption<Option: ChannelOption>(_ option: Option, value: Option.Value) -> EventLoopFuture<Void> {
        eventLoop.makeCompletedFuture { try (self as any NIOSynchronousChannelOptions).setOption(option, value: value) }
    }

    package func getOption<Option: ChannelOption>(_ option: Option) -> EventLoopFuture<Option.Value> {
        eventLoop.makeCompletedFuture { try (self as any NIOSynchronousChannelOptions).getOption(option) }
    }

    // MARK: Unsupported operations

    package func localAddress0() throws -> SocketAddress {
        try localAddress ?? { throw ChannelError.unknownLocalAddress }()
    }
    package func remoteAddress0() throws -> SocketAddress {
        try remoteAddress ?? { throw ChannelError.operationUnsupported }()
    }
    package func register0(promise: EventLoopPromise<Void>?) { promise?.succeed() }
    package func registerAlreadyConfigured0(promise: EventLoopPromise<Void>?) { promise?.succeed() }
    package func bind0(to: SocketAddress, promise: EventLoopPromise<Void>?) {
        promise?.fail(ChannelError.operationUnsupported)
    }
    package func connect0(to: SocketAddress, promise: EventLoopPromise<Void>?) {
        promise?.fail(ChannelError.operationUnsupported)
    }
    package func triggerUserOutboundEvent0(_ event: Any, promise: EventLoopPromise<Void>?) {
        promise?.fail(ChannelError.operationUnsupported)
    }
    package func channelRead0(_ data: NIOAny) {}
    package func errorCaught0(error: any Error) {}
}
