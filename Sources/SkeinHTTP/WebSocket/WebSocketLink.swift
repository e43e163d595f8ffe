// One connection of a WebSocket: the codec over a transport, the closing handshake, the questions whether the peer is there.

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
    private enum Phase {
        case open
        /// Our Close is sent: nothing more is, and the peer's is waited for.
        case closing
        /// Both are there, or one that broke a rule: only the end of the connection is waited for.
        case lingering
        case ended
    }

    /// Bytes that are not with the transport yet above which senders wait.
    private static let highWater = 64 << 10
    /// Bytes a second of a message that has begun, below which its peer is given up.
    private static let slowestMessage = 1024

    let agreement: WebSocketHandshake.Agreement
    private let role: WebSocketRole
    private let shard: Shard
    private let options: WebSocketOptions
    /// Who hears of messages; let go of at the end.
    @exclusivity(unchecked) private var socket: WebSocket?
    @exclusivity(unchecked) private var transport: (any WebSocketTransport)?
    @exclusivity(unchecked) private var decoder: WebSocketDecoder
    @exclusivity(unchecked) private var encoder: WebSocketEncoder
    @exclusivity(unchecked) private var output = OutputBuffer(largestKept: WebSocketLink.highWater)
    @exclusivity(unchecked) private var flushIsScheduled = false
    @exclusivity(unchecked) private var isReading = false
    @exclusivity(unchecked) private var isPaused = false
    @exclusivity(unchecked) private var dropsMessages = false
    /// Whether a message has begun of which more fragments are to be sent.
    @exclusivity(unchecked) private(set) var isInMessage = false
    @exclusivity(unchecked) private var phase = Phase.open
    @exclusivity(unchecked) private var lastHeard: NIODeadline
    private var timer: ShardTimers.Token?
    private var pings = Deque<Ping>()
    private var pingNumber: UInt64 = 0
    private var keepAlive: NIODeadline?
    /// Bytes of unfinished messages that are counted in the budget for this one.
    @exclusivity(unchecked) private var heldBytes = 0
    /// The time since which the unfinished message is watched, and its bytes at that time; nil while there is none.
    @exclusivity(unchecked) private var messageMark: (at: NIODeadline, bytes: Int)?
    private var timerAt = NIODeadline.distantFuture
    /// What all peers together may make us hold; nil for a client.
    package var budget: MemoryBudget?
    /// The answer to the latest Ping, while the peer does not take it (section 5.5.3 asks for that one only).
    private var owedPong: ByteBuffer?

    private struct Ping {
        let number: UInt64
        let sent: NIODeadline
        let answered: @Sendable (Result<Duration, SkeinError>) -> Void
    }

    package init(
        _ role: WebSocketRole, _ agreement: WebSocketHandshake.Agreement, _ options: WebSocketOptions, shard: Shard,
        socket: WebSocket
    ) {
        self.role = role
        self.agreement = agreement
        self.options = options
        self.shard = shard
        self.socket = socket
        lastHeard = shard.now
        decoder = WebSocketDecoder(role, limits: options.limits, compression: agreement.compression)
        encoder = WebSocketEncoder(
            role, compression: agreement.compression, compressionThreshold: options.compression?.threshold ?? 0)
    }

    /// Begins to speak.
    package func begin(on transport: any WebSocketTransport) {
        self.transport = transport
        if let interval = options.pingInterval { arm(interval) }
        socket?.opened(self)
    }

    // MARK: Receiving

    /// Takes bytes of the peer.
    package func receive(_ bytes: ByteBuffer) {
        guard phase == .open || phase == .closing else { return }
        lastHeard = shard.now
        decoder.append(bytes)
        takeEvents()
        noteHeld()
    }

    /// Counts what the peer makes us hold of a message whose end is not here.
    private func noteHeld() {
        let held = decoder.heldBytes
        if held == 0 {
            messageMark = nil
        } else if messageMark == nil, phase == .open {
            messageMark = (lastHeard, held)
            let moment = lastHeard + TimeAmount(options.messageTimeout)
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

    /// What was held is not any more.
    private func releaseHeld() {
        budget?.change(by: -heldBytes)
        heldBytes = 0
        decoder.abandon()
    }

    private func takeEvents() {
        isReading = true
        do {
            while !isPaused, phase == .open || phase == .closing, let event = try decoder.next() { handle(event) }
        } catch {
            fail(error)
        }
        isReading = false
    }

    private func handle(_ event: WebSocketDecoder.Event) {
        switch event {
        case .message(let message):
            messageMark = nil
            guard !dropsMessages, socket?.deliver(message) == false else { return }
            // Behind our Close, the peer's is waited for, and not for somebody who takes what stands before it.
            if phase == .open { pause() } else { dropsMessages = true }
        case .ping(let payload):
            guard phase == .open else { return }
            if hasRoom { control(.pong, payload) } else { owedPong = payload }
        case .pong(let payload): answered(payload)
        case .close(let closing): peerClosed(closing)
        }
    }

    private func pause() {
        isPaused = true
        transport?.setReading(false)
    }

    /// The consumer has caught up.
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
        guard !isInMessage, output.count < options.maximumUnsent, let _ = try? send(message) else { return false }
        return true
    }

    /// Writes a piece of a message. Returns as ``send(_:)``.
    func send(_ bytes: ByteBuffer, _ kind: WebSocketMessage.Kind, isFirst: Bool, isLast: Bool) -> Bool? {
        guard phase == .open else { return nil }
        encoder.writeFragment(kind, bytes, isFirst: isFirst, isLast: isLast, into: &output.bytes)
        isInMessage = !isLast
        flushSoon()
        return hasRoom
    }

    private func control(_ opcode: WebSocketOpcode, _ payload: ByteBuffer) {
        encoder.writeControl(opcode, payload, into: &output.bytes)
        flushSoon()
    }

    /// Writes at the end of this tick what its messages have brought.
    private func flushSoon() {
        guard !flushIsScheduled, !isReading else { return }
        flushIsScheduled = true
        shard.eventLoop.execute {
            self.flushIsScheduled = false
            self.flush()
        }
    }

    /// Writes what there is, if the peer takes it.
    package func flush() {
        guard output.count > 0, let transport, transport.isWritable else { return }
        writeOutput()
        if transport.isWritable { socket?.becameWritable() }
    }

    private func writeOutput() {
        if let bytes = output.take() { transport?.write(bytes) }
    }

    package func becameWritable() {
        if let owedPong {
            self.owedPong = nil
            if phase == .open { control(.pong, owedPong) }
        }
        if output.count == 0 { socket?.becameWritable() } else { flush() }
    }

    // MARK: Is the peer there?

    /// Asks the peer and tells how long its answer took.
    func ping(_ answered: @escaping @Sendable (Result<Duration, SkeinError>) -> Void) {
        guard phase == .open else { return answered(.failure(Self.closed)) }
        pingNumber += 1
        pings.append(Ping(number: pingNumber, sent: shard.now, answered: answered))
        control(.ping, ByteBuffer(integer: pingNumber))
        arm(min(options.pingTimeout, options.pingInterval ?? options.pingTimeout))
    }

    private func answered(_ payload: ByteBuffer) {
        keepAlive = nil
        guard payload.readableBytes == 8, let number = payload.getInteger(at: payload.readerIndex, as: UInt64.self),
            number <= pingNumber
        else { return }
        let now = shard.now
        // An answer to a later one is an answer to all before it (section 5.5.3).
        while let ping = pings.first, ping.number <= number {
            pings.removeFirst()
            ping.answered(.success(.nanoseconds((now - ping.sent).nanoseconds)))
        }
    }

    package func timerFired() {
        timer = nil
        switch phase {
        case .open: checkPeer()
        case .closing:
            // The peer does not answer our Close.
            tell(WebSocketClosing(.abnormal), nil)
            linger()
        case .lingering: transport?.close()
        case .ended: break
        }
    }

    private func checkPeer() {
        let now = shard.now
        let timeout = TimeAmount(options.pingTimeout)
        let asked = [keepAlive, pings.first?.sent].compactMap(\.self).min()
        if let asked, asked + timeout <= now, lastHeard < asked {
            tell(
                WebSocketClosing(.abnormal),
                SkeinError(.timeout, because: "the peer did not answer a Ping within \(options.pingTimeout)"))
            phase = .lingering
            transport?.close()
            return
        }
        let messageEnds = messageMark.map { $0.at + TimeAmount(options.messageTimeout) }
        if let mark = messageMark, let messageEnds, messageEnds <= now {
            // While the application does not take earlier messages, the delay is not the peer's.
            guard
                isPaused
                    || heldBytes - mark.bytes >= Self.slowestMessage * Int(options.messageTimeout.components.seconds)
            else { return fail(WebSocketError(.policyViolation, "a message was begun and does not come to its end")) }
            messageMark = (now, heldBytes)
            return checkPeer()
        }
        let asks: NIODeadline?
        if let interval = options.pingInterval {
            let silentAt = lastHeard + TimeAmount(interval)
            if keepAlive == nil, silentAt <= now {
                keepAlive = now
                control(.ping, ByteBuffer())
            }
            asks = keepAlive.map { $0 + timeout } ?? silentAt
        } else {
            asks = pings.isEmpty ? nil : now + timeout
        }
        if let next = [asks, messageEnds].compactMap(\.self).min() { arm(at: next) }
    }

    private func arm(_ time: Duration) { arm(at: shard.now + TimeAmount(time)) }

    private func arm(at moment: NIODeadline) {
        disarm()
        timerAt = moment
        timer = shard.timers.schedule(self, at: moment)
    }

    private func disarm() {
        if let timer { shard.timers.cancel(timer) }
        timer = nil
    }

    // MARK: The end

    static let closed = SkeinError(.channelClosed, because: "the socket is closed")

    /// Says that we are done, and waits for the peer's word.
    package func close(_ closing: WebSocketClosing) {
        guard phase == .open else { return }
        writeClose(closing)
        phase = .closing
        arm(options.closeTimeout)
        if isPaused {
            isPaused = false
            takeEvents()
            transport?.setReading(true)
        }
    }

    private func writeClose(_ closing: WebSocketClosing) {
        encoder.writeClose(closing, into: &output.bytes)
        writeOutput()
    }

    private func peerClosed(_ closing: WebSocketClosing) {
        if phase == .open { writeClose(closing) }
        tell(closing, nil)
        // The server ends the connection first (section 7.1.1), the client when that takes too long.
        if role == .server {
            linger()
        } else {
            phase = .lingering
            arm(min(options.closeTimeout, .seconds(2)))
        }
    }

    /// The peer broke a rule: it is told which, and nothing more is read of it.
    private func fail(_ error: WebSocketError) {
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

    /// Ends our side and waits a moment for the peer's end, so that a reset does not destroy our Close.
    private func linger() {
        phase = .lingering
        releaseHeld()
        writeOutput()
        arm(.seconds(1))
        transport?.endOutput()
    }

    /// Ends the connection without a word.
    package func cutOff() { transport?.close() }

    /// The connection is over.
    package func transportEnded(_ error: (any Error)?) {
        disarm()
        let failure =
            error.map { Connector.socketError($0, peer: "") }
            ?? SkeinError(.channelClosed, because: "the connection ended without a Close")
        if phase != .lingering { tell(WebSocketClosing(.abnormal), phase == .open ? failure : nil) }
        phase = .ended
        transport = nil
        releaseHeld()
    }

    private func tell(_ closing: WebSocketClosing, _ error: SkeinError?) {
        for ping in pings { ping.answered(.failure(error ?? Self.closed)) }
        pings = []
        guard let socket else { return }
        self.socket = nil
        socket.ended(self, closing, error)
    }
}

extension WebSocketLink: HTTP2TunnelUser {
    package func received(_ head: ResponseHead) {}

    package func received(_ bytes: ByteBuffer, isLast: Bool) {
        receive(bytes)
        flush()
        if isLast { finish() }
    }

    package func received(trailers: Headers) { finish() }

    private func finish() {
        let transport = self.transport
        transportEnded(nil)
        transport?.endOutput()
    }

    package func ended(_ error: (any Error)?) { transportEnded(error) }

    package func leave() { close(WebSocketClosing(.goingAway, "the server stops")) }
}
