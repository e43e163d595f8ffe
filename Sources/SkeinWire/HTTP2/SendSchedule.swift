// The order of sending: by urgency first, then round robin or sequentially (RFC 9218, section 10).

import DequeModule

/// The streams that have content and an open window.
struct SendSchedule {
    private var queues = [Deque<Int>](repeating: [], count: 8)
    /// A bit for each urgency with a stream.
    private var occupied: UInt8 = 0

    var isEmpty: Bool { occupied == 0 }

    /// Adds a stream after the others of its urgency.
    mutating func append(_ slot: Int, urgency: Int) {
        queues[urgency].append(slot)
        occupied |= 1 << UInt8(urgency)
    }

    /// Adds a stream before the others of its urgency: it continues its turn.
    mutating func prepend(_ slot: Int, urgency: Int) {
        queues[urgency].prepend(slot)
        occupied |= 1 << UInt8(urgency)
    }

    /// Removes the next stream.
    mutating func next() -> Int? {
        guard occupied != 0 else { return nil }
        let urgency = occupied.trailingZeroBitCount
        let slot = queues[urgency].popFirst()
        if queues[urgency].isEmpty { occupied &= ~(1 << UInt8(urgency)) }
        return slot
    }

    /// Removes a stream from any position.
    mutating func remove(_ slot: Int, urgency: Int) {
        queues[urgency].removeAll { $0 == slot }
        if queues[urgency].isEmpty { occupied &= ~(1 << UInt8(urgency)) }
    }
}
