// Detects a dead peer of a WebSocket: Pings, silence, and messages that make no progress.

import DequeModule
import NIOCore
import SkeinCore
import SkeinTransport
import SkeinWire

extension WebSocketLink {
    /// Sends a Ping and reports the time until the Pong.
    func ping(_ answered: @escaping @Sendable (Result<Duration, SkeinError>) -> Void) {
        guard phase == .open else { return answered(.failure(Self.closed)) }
        pingNumber += 1
        pings.append(Ping(number: pingNumber, sent: shard.now, answered: answered))
        control(.ping, ByteBuffer(integer: pingNumber))
        arm(min(configuration.pingTimeout, configuration.pingInterval ?? configuration.pingTimeout))
    }

    func answered(_ payload: ByteBuffer) {
        keepAlive = nil
        guard payload.readableBytes == 8, let number = payload.getInteger(at: payload.readerIndex, as: UInt64.self),
            number <= pingNumber
        else { return }
        let now = shard.now
        // A Pong for a later Ping answers all earlier ones (section 5.5.3).
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

    func checkPeer() {
        let now = shard.now
        let timeout = TimeAmount(configuration.pingTimeout)
        let asked = [keepAlive, pings.first?.sent].compactMap(\.self).min()
        if let asked, asked + timeout <= now, lastHeard < asked {
            tell(
                WebSocketClosing(.abnormal),
                SkeinError(.timeout, because: "the peer did not answer a Ping within \(configuration.pingTimeout)"))
            phase = .lingering
            transport?.close()
            return
        }
        let messageEnds = messageMark.map { $0.at + TimeAmount(configuration.messageTimeout) }
        if let mark = messageMark, let messageEnds, messageEnds <= now {
            // While the application does not take earlier messages, the delay is not the peer's fault.
            guard
                isPaused
                    || heldBytes - mark.bytes >= Self.slowestMessage
                        * Int(configuration.messageTimeout.components.seconds)
            else { return fail(WebSocketError(.policyViolation, "a message was begun and does not come to its end")) }
            messageMark = (now, heldBytes)
            return checkPeer()
        }
        let asks: NIODeadline?
        if let interval = configuration.pingInterval {
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

    func arm(_ time: Duration) { arm(at: shard.now + TimeAmount(time)) }

    func arm(at moment: NIODeadline) {
        disarm()
        timerAt = moment
        timer = shard.timers.schedule(self, at: moment)
    }

    func disarm() {
        if let timer { shard.timers.cancel(timer) }
        timer = nil
    }
}
