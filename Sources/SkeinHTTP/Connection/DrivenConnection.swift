// The machine behind a connection driven by hand. Responses are decoded when somebody asks for them; until then their
// bytes wait in the decoder, and beyond a limit in the peer.

import DequeModule
import NIOCore
import SkeinCore
import SkeinTransport
import SkeinWire

/// The state of an ``HTTPConnection``.
///
/// Unchecked: its methods run on the loop of its shard, in tasks that prefer the loop's executor, and the channel's there.
final class DrivenConnection: TimerTarget, @unchecked Sendable {
    private struct Pending {
        let method: HTTPMethod
        let target: String
        let expectsContinue: Bool
    }

    /// Where the reader stands in the current response.
    private enum Reading {
        case nothing
        case content
        case finished
    }

    private static let highWater = 256 << 10

    private let origin: Origin
    private let shard: Shard
    private let connectTimeout: Duration
    private let timeout: Duration
    private let limits: HTTP1Limits

    private var channel: (any Channel)?
    private var handler: DrivenChannelHandler?
    private var decoder: HTTP1ResponseDecoder
    private var pending = Deque<Pending>()
    private var reading = Reading.nothing
    private var leftover = ByteBuffer()
    private var following: HTTPConnection.Body = .none
    private var failure: SkeinError?
    private var output = ByteBuffer()
    private var flushIsScheduled = false
    private var reader: UnsafeContinuation<Void, Never>?
    private var writer: UnsafeContinuation<Void, Never>?
    private var timer: ShardTimers.Token?
    private var peerHasFinished = false
    private var isReadingPaused = false
    private var isPipelining = false

    init(origin: Origin, shard: Shard, connectTimeout: Duration, timeout: Duration, limits: HTTP1Limits) {
        self.origin = origin
        self.shard = shard
        self.connectTimeout = connectTimeout
        self.timeout = timeout
        self.limits = limits
        decoder = HTTP1ResponseDecoder(limits: limits)
    }

    var responsePending: Bool { !pending.isEmpty || reading == .content }
    var isConnected: Bool { channel != nil && failure == nil && !peerHasFinished }

    // MARK: Connecting

    func connect() async throws {
        guard channel == nil else { return }
        guard !responsePending, leftover.readableBytes == 0 else {
            throw failure
                ?? SkeinError(
                    .channelClosed, peer: origin.description,
                    because: "the server closed the connection with answers outstanding; read them, or disconnect()")
        }
        let handler = DrivenChannelHandler(self)
        reset()
        self.handler = handler
        channel = try await Connector.connect(to: origin.endpoint, on: shard.eventLoop, timeout: connectTimeout) {
            channel in
            channel.eventLoop.makeCompletedFuture { try channel.pipeline.syncOperations.addHandler(handler) }
        }.get()
    }

    func disconnect() {
        let old = channel
        channel = nil
        handler = nil
        reset()
        failure = stateError("the connection was ended by disconnect()")
        wake()
        failure = nil
        old?.close(promise: nil)
    }

    private func reset() {
        decoder = HTTP1ResponseDecoder(limits: limits)
        pending = []
        reading = .nothing
        leftover = ByteBuffer()
        following = .none
        failure = nil
        peerHasFinished = false
        isReadingPaused = false
        output.clear()
    }

    // MARK: Sending

    func sendRequest(
        _ method: HTTPMethod, _ target: String, _ headers: Headers, _ body: HTTPConnection.Body, expectContinue: Bool
    ) async throws {
        try Task.checkCancellation()
        if case .none = following {
        } else {
            throw stateError("the content of the request before is not complete; write the rest of it first")
        }
        if case .following(let count) = body, count < 0 { throw stateError("a content cannot have \(count) bytes") }
        try await connect()
        if let failure { throw failure }
        var headers = headers
        if expectContinue { headers["Expect"] = "100-continue" }
        do {
            try HTTP1Encoder.writeRequestHead(
                method: method, target: target, host: origin.authority, headers: headers, bodyLength: body.length,
                into: &output)
        } catch {
            throw SkeinError(.exception, peer: origin.description, because: error.description, cause: error)
        }
        decoder.expectResponse(to: method)
        pending.append(Pending(method: method, target: target, expectsContinue: expectContinue))
        if isPipelining, pending.count == 1 { wakeReader() }
        switch body {
        case .none: break
        case .bytes(let bytes): output.writeImmutableBuffer(bytes)
        case .following(0): break
        case .following, .followingChunks: following = body
        }
        try await flushOutput()
    }

    func write(_ bytes: ByteBuffer) async throws {
        if let failure { throw failure }
        switch following {
        case .following(let left):
            guard bytes.readableBytes <= left else {
                throw stateError(
                    "\(bytes.readableBytes) bytes are more than the \(left) that are left of the announced content")
            }
            output.writeImmutableBuffer(bytes)
            following = left == bytes.readableBytes ? .none : .following(left - bytes.readableBytes)
        case .followingChunks: HTTP1Encoder.writeChunk(bytes, into: &output)
        case .none, .bytes: throw stateError("no content is due; announce it with sendRequest(body: .following(n))")
        }
        try await flushOutput()
    }

    func endBody() throws {
        if let failure { throw failure }
        guard case .followingChunks = following else {
            throw stateError("no content in chunks is due; announce it with sendRequest(body: .followingChunks)")
        }
        following = .none
        try HTTP1Encoder.writeLastChunk(trailers: nil, into: &output)
        scheduleFlush()
    }

    /// Requests sent in one tick leave in one write; a sender that is ahead of the socket waits for it.
    private func flushOutput() async throws {
        scheduleFlush()
        guard output.readableBytes > Self.highWater / 4 else { return }
        flush()
        while let channel, failure == nil, !channel.isWritable {
            guard writer == nil else { throw stateError("two tasks send on one connection; let one of them send") }
            await withUnsafeContinuation { writer = $0 }
        }
        if let failure { throw failure }
    }

    private func scheduleFlush() {
        guard !flushIsScheduled else { return }
        flushIsScheduled = true
        shard.eventLoop.execute {
            self.flushIsScheduled = false
            self.flush()
        }
    }

    private func flush() {
        guard output.readableBytes > 0 else { return }
        channel?.writeAndFlush(output, promise: nil)
        output.clear()
    }

    // MARK: Reading

    func readResponse() async throws -> HTTPConnection.Response {
        guard reading != .content else {
            throw stateError("the content of the response before was not read to its end; read it or disconnect")
        }
        guard let request = pending.first else { throw stateError("no response is pending; send a request first") }
        while true {
            switch try await nextEvent() {
            case .informational(let head):
                guard request.expectsContinue, head.status == .continue else { continue }
                pending[0] = Pending(method: request.method, target: request.target, expectsContinue: false)
                return HTTPConnection.Response(method: request.method, target: request.target, head: head)
            case .head(let head):
                pending.removeFirst()
                reading = .content
                if head.bodyLength == .none { try await finishContent() }
                // A refusal spares the content (RFC 9110, section 10.1.1).
                if request.expectsContinue, head.status.code >= 300 { following = .none }
                return HTTPConnection.Response(method: request.method, target: request.target, head: head)
            case .upgraded:
                throw fail(.protocolSwitchingFailed, "the server left HTTP")
            case .body, .end:
                throw fail(.responseHeaderError, "the server's answer is out of order")
            }
        }
    }

    func read(_ count: Int) async throws -> ByteBuffer {
        guard count > 0 else { return ByteBuffer() }
        while true {
            if let piece = leftover.readSlice(length: min(count, leftover.readableBytes)), piece.readableBytes > 0 {
                return piece
            }
            switch reading {
            case .nothing: throw stateError("no response was read; call readResponse() first")
            case .finished: return ByteBuffer()
            case .content: try await readPiece()
            }
        }
    }

    func readAll(upTo maximum: Int) async throws -> ByteBuffer {
        var whole = try await read(.max)
        while true {
            guard whole.readableBytes <= maximum else {
                throw fail(.contentTooLarge, "the content is larger than the limit of \(maximum) bytes")
            }
            let piece = try await read(.max)
            if piece.readableBytes == 0 { return whole }
            whole.writeImmutableBuffer(piece)
        }
    }

    /// Reads to the end of the current content and drops it.
    func finishContent() async throws {
        leftover.clear()
        while reading == .content {
            try await readPiece()
            leftover.clear()
        }
    }

    // MARK: Pipelining

    func beginPipeline() { isPipelining = true }

    func endPipeline() {
        isPipelining = false
        wakeReader()
    }

    /// The next response, or nil when the sender has ended and all is read.
    func nextPipelined() async throws -> HTTPConnection.Response? {
        while pending.isEmpty {
            guard isPipelining else { return nil }
            if let failure { throw failure }
            await waitForReader()
            try Task.checkCancellation()
        }
        return try await readResponse()
    }

    private func waitForReader() async {
        await withTaskCancellationHandler {
            await withUnsafeContinuation { reader = $0 }
        } onCancel: {
            shard.run { self.wakeReader() }
        }
    }

    private func readPiece() async throws {
        switch try await nextEvent() {
        case .body(let bytes): leftover = bytes
        case .end(_, let reusable):
            reading = .finished
            if !reusable { channel?.close(promise: nil) }
        case .informational, .head, .upgraded: throw fail(.bodyError, "the server's answer is out of order")
        }
    }

    /// The next event of the codec, as soon as its bytes are here.
    private func nextEvent() async throws -> HTTP1ResponseDecoder.Event {
        while true {
            do {
                if let event = try decoder.next() { return event }
                if peerHasFinished, let event = try decoder.finish() { return event }
            } catch .truncated {
                throw fail(.bodyError, "the connection ended in the middle of the answer")
            } catch {
                throw fail(error.concernsHead ? .responseHeaderError : .bodyError, "the answer is malformed: \(error)")
            }
            if let failure { throw failure }
            if peerHasFinished { throw fail(.noData, "the server closed the connection without an answer") }
            guard reader == nil else { throw stateError("two tasks read from one connection; let one of them read") }
            flush()
            if isReadingPaused { setReading(true) }
            timer = shard.timers.schedule(self, at: .now() + TimeAmount(timeout))
            await waitForReader()
            if let timer { shard.timers.cancel(timer) }
            timer = nil
            try Task.checkCancellation()
        }
    }

    // MARK: What the channel says

    fileprivate func received(_ bytes: ByteBuffer, by handler: DrivenChannelHandler) {
        guard handler === self.handler else { return }
        decoder.append(bytes)
        if reader != nil {
            wakeReader()
        } else if decoder.bufferedBytes >= Self.highWater {
            setReading(false)
        }
    }

    func becameWritable() { wakeWriter() }

    fileprivate func failed(_ error: any Error, by handler: DrivenChannelHandler) {
        guard handler === self.handler else { return }
        if failure == nil { failure = Connector.socketError(error, peer: origin.description) }
        wake()
    }

    fileprivate func ended(_ handler: DrivenChannelHandler) {
        guard handler === self.handler else { return }
        peerHasFinished = true
        channel = nil
        wake()
    }

    func timerFired() {
        timer = nil
        failure = SkeinError(.timeout, peer: origin.description, because: "the server sent nothing for \(timeout)")
        channel?.close(promise: nil)
        wake()
    }

    private func setReading(_ isOn: Bool) {
        isReadingPaused = !isOn
        try? channel?.syncOptions?.setOption(.autoRead, value: isOn)
    }

    private func wake() {
        wakeReader()
        wakeWriter()
    }

    private func wakeReader() {
        let waiting = reader
        reader = nil
        waiting?.resume()
    }

    private func wakeWriter() {
        let waiting = writer
        writer = nil
        waiting?.resume()
    }

    // MARK: Errors

    /// A failure that ends the connection.
    private func fail(_ code: SkeinError.Code, _ message: String) -> SkeinError {
        let error = failure ?? SkeinError(code, peer: origin.description, because: message)
        failure = error
        channel?.close(promise: nil)
        return error
    }

    /// A call in the wrong order, which changes nothing.
    private func stateError(_ message: String) -> SkeinError {
        SkeinError(.exception, peer: origin.description, because: message)
    }
}

/// Carries bytes and news from the channel to the machine. A new one for each connection made, so that the end of an old
/// connection says nothing to the new one's reader.
private final class DrivenChannelHandler: ChannelInboundHandler, Sendable {
    typealias InboundIn = ByteBuffer

    private let machine: DrivenConnection

    init(_ machine: DrivenConnection) { self.machine = machine }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) { machine.received(unwrapInboundIn(data), by: self) }

    func channelWritabilityChanged(context: ChannelHandlerContext) {
        if context.channel.isWritable { machine.becameWritable() }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        machine.failed(error, by: self)
        context.close(promise: nil)
    }

    func channelInactive(context: ChannelHandlerContext) { machine.ended(self) }
}

extension HTTPConnection.Body {
    fileprivate var length: BodyLength {
        switch self {
        case .none: .none
        case .bytes(let bytes): bytes.readableBytes == 0 ? .none : .known(bytes.readableBytes)
        case .following(let count): count == 0 ? .none : .known(count)
        case .followingChunks: .streamed
        }
    }
}
