// Whose turn it is to send: by urgency first, then in turns or one after the other (RFC 9218, section 10).

import DequeModule

/// The streams that have something to send and a window for it.
struct SendSchedule {
    private var queues = [Deque<Int>](repeating: [], count: 8)
    /// A bit for each urgency that has a stream.
    private var occupied: UInt8 = 0

    var isEmpty: Bool { occupied == 0 }

    /// Puts a stream behind the others of its urgency.
    mutating func append(_ slot: Int, urgency: Int) {
        queues[urgency].append(slot)
        occupied |= 1 << UInt8(urgency)
    }

    /// Puts a stream before the others of its urgency: it had its turn and keeps it.
    mutating func prepend(_ slot: Int, urgency: Int) {
        queues[urgency].prepend(slot)
        occupied |= 1 << UInt8(urgency)
    }

    /// Takes the stream whose turn it is.
    mutating func next() -> Int? {
        guard occupied != 0 else { return nil }
        let urgency = occupied.trailingZeroBitCount
        let slot = queues[urgency].popFirst()
        if queues[urgency].isEmpty { occupied &= ~(1 << UInt8(urgency)) }
        return slot
    }

    /// Takes a stream out, wherever it stands.
    mutating func remove(_ slot: Int, urgency: Int) {
        queues[urgency].removeAll { $0 == slot }
        if queues[urgency].isEmpty { occupied &= ~(1 << UInt8(urgency)) }
    }
}
