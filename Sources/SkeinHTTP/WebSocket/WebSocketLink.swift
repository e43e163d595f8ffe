// One connection of a WebSocket: the codec over a transport, the closing handshake, the checks for a dead peer.

import DequeModule
import NIOCore
import SkeinCore
import SkeinTransport
import SkeinWire

/// A connection from its first frame to its end.
///
/// Unchecked: every method is called on its shard's loop. What each message touches opts out of the run-time check of exclusive
/// access, which one thread does not need.
package final class WebSocketLink: TimerTarget, @unchecked Sendable {
    enum Phase {
        case open
        /// Our Close is sent: nothing more is sent, and the peer's Close is awaited.
        case closing
        /// Both Close frames were exchanged, or a frame violated the protocol: only the end of the connection is
        /// awaited.
        case lingering
        case ended
    }

    /// Output not yet taken by the transport above which senders wait.
    static let highWater = 64 << 10
    /// The minimum rate of a message in progress in bytes a second; below it, the connection is closed.
    static let slowestMessage = 1024

    let agreement: WebSocketHandshake.Agreement
    let role: WebSocketRole
    let shard: Shard
    let configuration: WebSocketConfiguration
    /// The receiver of messages; released at the end.
    @exclusivity(unchecked) var socket: WebSocket?
    @exclusivity(unchecked) var transport: (any ByteTransport)?
    @exclusivity(unchecked) var decoder: WebSocketDecoder
    @exclusivity(unchecked) var encoder: WebSocketEncoder
    @exclusivity(unchecked) var output = OutputBuffer(largestKept: WebSocketLink.highWater)
    @exclusivity(unchecked) var flushIsScheduled = false
    @exclusivity(unchecked) var isReading = false
    @exclusivity(unchecked) var isPaused = false
    @exclusivity(unchecked) var dropsMessages = false
    /// Whether a fragmented message is being sent.
    @exclusivity(unchecked) private(set) var isInMessage = false
    @exclusivity(unchecked) var phase = Phase.open
    @exclusivity(unchecked) var lastHeard: NIODeadline
    var timer: ShardTimers.Token?
    var pings = Deque<Ping>()
    var pingNumber: UInt64 = 0
    var keepAlive: NIODeadline?
    /// Bytes of unfinished messages that this link counts in the budget.
    @exclusivity(unchecked) var heldBytes = 0
    /// The start of the current check of the unfinished message, and its bytes at that time; nil while there is none.
    @exclusivity(unchecked) var messageMark: (at: NIODeadline, bytes: Int)?
    var timerAt = NIODeadline.distantFuture
    /// The memory limit for all peers together; nil for a client.
    package var budget: MemoryBudget?
    /// The Pong for the latest Ping, while the peer does not read (section 5.5.3 requires that one only).
    var owedPong: ByteBuffer?

    struct Ping {
        let number: UInt64
        let sent: NIODeadline
        let answered: @Sendable (Result<Duration, SkeinError>) -> Void
    }

    package init(
        _ role: WebSocketRole, _ agreement: WebSocketHandshake.Agreement, _ configuration: WebSocketConfiguration,
        shard: Shard,
        socket: WebSocket
    ) {
        self.role = role
        self.agreement = agreement
        self.configuration = configuration
        self.shard = shard
        self.socket = socket
        lastHeard = shard.now
        decoder = WebSocketDecoder(role, limits: configuration.limits, compression: agreement.compression)
        encoder = WebSocketEncoder(
            role, compression: agreement.compression, compressionThreshold: configuration.compression?.threshold ?? 0)
    }

    /// Starts on a transport.
    package func begin(on transport: any ByteTransport) {
        self.transport = transport
        if let interval = configuration.pingInterval { arm(interval) }
        socket?.opened(self)
    }

    // MARK: Receiving

    /// Receives bytes from the peer.
    package func receive(_ bytes: ByteBuffer) {
        guard phase == .open || phase == .closing else { return }
        lastHeard = shard.now
        decoder.append(bytes)
        takeEvents()
        noteHeld()
    }

    /// Counts the bytes of an incomplete message.
    func noteHeld() {
        let held = decoder.heldBytes
        if held == 0 {
            messageMark = nil
        } else if messageMark == nil, phase == .open {
            messageMark = (lastHeard, held)
            let moment = lastHeard + TimeAmount(configuration.messageTimeout)
            if timer == nil || moment < timerAt { arm(at: moment) }
        }
        guard held != heldBytes else { return }
        guard let budget else {
            heldBytes = held
            return
        }
        let isWithin = budget.change(by: held - heldBytes)
        heldBytes = held
        guard !isWithin, phase == .open || phase == .closing else { return }
        fail(WebSocketError(.tryAgainLater, "the server holds too much of messages that are not complete"))
    }

    /// The counted bytes are released.
    func releaseHeld() {
        budget?.change(by: -heldBytes)
        heldBytes = 0
        decoder.abandon()
    }

    func takeEvents() {
        isReading = true
        do {
            while !isPaused, phase == .open || phase == .closing, let event = try decoder.next() { handle(event) }
        } catch {
            fail(error)
        }
        isReading = false
    }

    func handle(_ event: WebSocketDecoder.Event) {
        switch event {
        case .message(let message):
            messageMark = nil
            guard !dropsMessages, socket?.deliver(message) == false else { return }
            // After our Close, the link waits for the peer's Close, and does not wait for a consumer of the messages
            // before it.
            if phase == .open { pause() } else { dropsMessages = true }
        case .ping(let payload):
            guard phase == .open else { return }
            if hasRoom { control(.pong, payload) } else { owedPong = payload }
        case .pong(let payload): answered(payload)
        case .close(let closing): peerClosed(closing)
        }
    }

    func pause() {
        isPaused = true
        transport?.setReading(false)
    }

    /// The consumer is ready for more.
    func resume() {
        guard isPaused else { return }
        isPaused = false
        takeEvents()
        noteHeld()
        flush()
        if !isPaused { transport?.setReading(true) }
    }

    // MARK: Sending

    /// Whether more can be sent without waiting.
    var hasRoom: Bool { output.count < Self.highWater && transport?.isWritable ?? false }

    /// Writes a message. Returns whether more can be sent right now; nil when nothing can be sent any more.
    func send(_ message: WebSocketMessage) throws(SkeinError) -> Bool? {
        guard phase == .open else { return nil }
        do {
            try encoder.write(message, into: &output.bytes)
        } catch {
            throw SkeinError(.exception, because: error.description, cause: error)
        }
        flushSoon()
        return hasRoom
    }

    /// Writes a message, if not too much waits already. Returns whether it did.
    func trySend(_ message: WebSocketMessage) -> Bool {
        guard !isInMessage, output.count < configuration.maximumUnsent, let _ = try? send(message) else { return false }
        return true
    }

    /// Writes a piece of a message. Returns the same as ``send(_:)``.
    func send(_ bytes: ByteBuffer, _ kind: WebSocketMessage.Kind, isFirst: Bool, isLast: Bool) -> Bool? {
        guard phase == .open else { return nil }
        encoder.writeFragment(kind, bytes, isFirst: isFirst, isLast: isLast, into: &output.bytes)
        isInMessage = !isLast
        flushSoon()
        return hasRoom
    }

    func control(_ opcode: WebSocketOpcode, _ payload: ByteBuffer) {
        encoder.writeControl(opcode, payload, into: &output.bytes)
        flushSoon()
    }

    /// Writes the messages of this tick at its end.
    func flushSoon() {
        guard !flushIsScheduled, !isReading else { return }
        flushIsScheduled = true
        shard.eventLoop.execute {
            self.flushIsScheduled = false
            self.flush()
        }
    }

    /// Writes the output, if the transport takes it.
    package func flush() {
        guard output.count > 0, let transport, transport.isWritable else { return }
        writeOutput()
        if transport.isWritable { socket?.becameWritable() }
    }

    func writeOutput() {
        if let bytes = output.take() { transport?.write(bytes) }
    }

    package func becameWritable() {
        if let owedPong {
            self.owedPong = nil
            if phase == .open { control(.pong, owedPong) }
        }
        if output.count == 0 { socket?.becameWritable() } else { flush() }
    }

    // MARK: The end

    static let closed = SkeinError(.connectionClosed, because: "the socket is closed")

    /// Sends a Close, and waits for the peer's.
    package func close(_ closing: WebSocketClosing) {
        guard phase == .open else { return }
        writeClose(closing)
        phase = .closing
        arm(configuration.closeTimeout)
        if isPaused {
            isPaused = false
            takeEvents()
            transport?.setReading(true)
        }
    }

    func writeClose(_ closing: WebSocketClosing) {
        encoder.writeClose(closing, into: &output.bytes)
        writeOutput()
    }

    func peerClosed(_ closing: WebSocketClosing) {
        if phase == .open { writeClose(closing) }
        tell(closing, nil)
        // The server closes the connection first (section 7.1.1), the client when that takes too long.
        if role == .server {
            linger()
        } else {
            phase = .lingering
            arm(min(configuration.closeTimeout, .seconds(2)))
        }
    }

    /// The peer violated the protocol: it gets a Close with the code, and nothing more is read.
    func fail(_ error: WebSocketError) {
        if phase == .open { writeClose(WebSocketClosing(error.code, error.reason)) }
        let code: SkeinError.Code =
            switch error.code {
            case .messageTooLarge: .contentTooLarge
            case .invalidContent: .invalidContent
            default: .bodyError
            }
        tell(
            WebSocketClosing(error.code, error.reason),
            SkeinError(
                code,
                because: error.code == .tryAgainLater ? error.reason : "the peer broke the protocol: \(error.reason)",
                cause: error))
        linger()
    }

    /// Ends our side and waits briefly for the peer's end, so that a TCP reset does not destroy our Close.
    func linger() {
        phase = .lingering
        releaseHeld()
        writeOutput()
        arm(.seconds(1))
        transport?.endOutput()
    }

    /// Closes the connection without a Close frame.
    package func cutOff() { transport?.close() }

    /// The connection is over.
    package func transportEnded(_ error: (any Error)?) {
        disarm()
        let failure =
            error.map { Connector.socketError($0, peer: "") }
            ?? SkeinError(.connectionClosed, because: "the connection ended without a Close")
        if phase != .lingering { tell(WebSocketClosing(.abnormal), phase == .open ? failure : nil) }
        phase = .ended
        transport = nil
        releaseHeld()
    }

    func tell(_ closing: WebSocketClosing, _ error: SkeinError?) {
        for ping in pings { ping.answered(.failure(error ?? Self.closed)) }
        pings = []
        guard let socket else { return }
        self.socket = nil
        socket.ended(self, closing, error)
    }
}

extension WebSocketLink: ByteTransportUser {
    // A peer that has ended its side sends nothing more, and a half-open socket is not allowed.
    package func inputEnded() { transport?.close() }

    package func received(_ head: ResponseHead) {}

    package func received(_ bytes: ByteBuffer, isLast: Bool) {
        receive(bytes)
        flush()
        if isLast { finish() }
    }

    package func received(trailers: Headers) { finish() }

    func finish() {
        let transport = self.transport
        transportEnded(nil)
        transport?.endOutput()
    }

    package func ended(_ error: (any Error)?) { transportEnded(error) }

    package func leave(_ code: WebSocketCloseCode) {
        close(WebSocketClosing(code, code == .serviceRestart ? "the server restarts" : "the server stops"))
    }
}
