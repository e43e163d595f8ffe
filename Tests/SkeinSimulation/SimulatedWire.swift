// One direction of a simulated connection: it cuts and delays bytes, and may stall or reset the connection at a given byte.

import NIOCore
import PeerSupport

/// What happens to the bytes of one direction.
package struct WirePlan: Sendable {
    /// Between a piece's sending and its arrival, at most.
    package var latency = 0...0
    /// Bytes of a piece, at most.
    package var largestPiece = 1 << 20
    /// The connection is reset when so many bytes have arrived.
    package var breaksAfter: Int?
    /// Nothing arrives for a time (ms) when so many bytes have arrived.
    package var stall: (after: Int, milliseconds: Int)?

    package init() {}
}

/// One direction of a connection.
///
/// Unchecked: a simulation has one thread.
package final class SimulatedWire: @unchecked Sendable {
    /// Bytes in flight and unread before the sender has to wait.
    private static let window = 64 << 10
    /// Bytes that may be cut into the smallest pieces.
    private static let finelyCut = 800

    private let loop: SimulatedLoop
    private let plan: WirePlan
    private var random: SeededGenerator
    /// Called with each delivery, for the hash of the run.
    private let note: (Int, Int) -> Void
    weak var sender: SimulatedChannel?
    weak var receiver: SimulatedChannel?
    private var held = 0
    private var arrived = 0
    /// Bytes that the sender has given.
    private(set) var sent = 0
    private var watches: [(offset: Int, work: () -> Void)] = []
    private var lastArrival: NIODeadline
    private var hasStalled = false
    private var isEnded = false
    private(set) var isBroken = false
    /// The other direction, which breaks with this one.
    weak var reverse: SimulatedWire?

    package init(
        _ loop: SimulatedLoop, _ plan: WirePlan, random: SeededGenerator, note: @escaping (Int, Int) -> Void
    ) {
        self.loop = loop
        self.plan = plan
        self.random = random
        self.note = note
        lastArrival = loop.now
    }

    /// Bytes that fit in.
    var room: Int { isBroken ? .max : max(0, Self.window - held) }

    /// Takes bytes of the sender.
    func take(_ bytes: ByteBuffer) {
        guard !isBroken, !isEnded else { return }
        held += bytes.readableBytes
        var rest = bytes
        while rest.readableBytes > 0 {
            // Only heads and the beginning of the content are cut into small pieces; the rest would only cost time.
            let largest = sent < Self.finelyCut ? plan.largestPiece : max(plan.largestPiece, 48 << 10)
            let length = min(rest.readableBytes, random.number(1...largest))
            guard let piece = rest.readSlice(length: length) else { return }
            sent += length
            var moment = max(lastArrival, loop.now + .milliseconds(Int64(random.number(plan.latency))))
            if let stall = plan.stall, sent > stall.after, !hasStalled {
                hasStalled = true
                moment = moment + .milliseconds(Int64(stall.milliseconds))
            }
            lastArrival = moment
            loop.at(moment) { self.deliver(piece) }
        }
    }

    private func deliver(_ piece: ByteBuffer) {
        guard !isBroken else { return }
        arrived += piece.readableBytes
        // Before the receiver gets the bytes.
        while let due = watches.firstIndex(where: { $0.offset <= arrived }) { watches.remove(at: due).work() }
        note(piece.readableBytes, Int(truncatingIfNeeded: loop.now.uptimeNanoseconds))
        if let limit = plan.breaksAfter, arrived >= limit { return breakOff() }
        guard let receiver, receiver.isOpen else { return breakOff() }
        receiver.arrived(piece)
    }

    /// Calls a closure when so many bytes have arrived, before the receiver gets them.
    func whenArrived(_ offset: Int, _ work: @escaping () -> Void) { watches.append((offset, work)) }

    /// The receiver has read bytes: there is room for more.
    func wasRead(_ count: Int) {
        held -= count
        loop.execute { self.sender?.send() }
    }

    /// The sender has ended.
    func end() {
        guard !isEnded, !isBroken else { return }
        isEnded = true
        let channel = receiver
        lastArrival = max(lastArrival, loop.now + .milliseconds(Int64(random.number(plan.latency))))
        loop.at(lastArrival) {
            if !self.isBroken { channel?.inputEnded() }
        }
    }

    /// The receiver was closed; bytes in flight are answered with a reset.
    func receiverIsGone() { if held > 0, !isEnded { breakOff() } }

    /// Resets the connection for both ends.
    func breakOff() {
        guard !isBroken else { return }
        isBroken = true
        reverse?.breakOff()
        let (first, second) = (sender, receiver)
        loop.execute {
            first?.wasReset()
            second?.wasReset()
        }
    }
}
