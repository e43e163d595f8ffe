// Limits concurrent exchanges, and queues the rest fairly: each key (an origin, a database) in turn, so that a thousand
// requests to one peer do not delay the one to another.

import DequeModule

/// The order in which queued requests start.
public enum QueueOrder: Sendable {
    /// Each peer in turn; requests to one peer in the order of their creation.
    case fair
    /// At random, which spreads load over many hosts (`qrandom`).
    case random
}

/// A concurrency limit with a queue. A value without tasks or locks.
package struct AdmissionQueue<Key: Hashable, Element> {
    private let limit: Int
    private let order: QueueOrder
    /// Requests that hold a slot.
    package private(set) var running = 0
    /// Requests in the queue.
    package private(set) var waiting = 0
    private var turns = Deque<Key>()
    private var queues: [Key: Deque<Element>] = [:]
    private var pile: [Element] = []

    package init(limit: Int, order: QueueOrder) {
        self.limit = limit
        self.order = order
    }

    /// Takes a slot if one is free.
    package mutating func admit() -> Bool {
        guard running < limit else { return false }
        running += 1
        return true
    }

    /// Adds an element to the queue.
    package mutating func enqueue(_ element: Element, key: Key) {
        waiting += 1
        switch order {
        case .random: pile.append(element)
        case .fair:
            if queues[key] == nil {
                turns.append(key)
                queues[key] = [element]
            } else {
                queues[key]?.append(element)
            }
        }
    }

    /// Returns a slot.
    /// - Returns: the queued element that gets it, if any.
    package mutating func release() -> Element? {
        guard waiting > 0 else {
            running -= 1
            return nil
        }
        waiting -= 1
        switch order {
        case .random:
            pile.swapAt(Int.random(in: pile.indices), pile.count - 1)
            return pile.removeLast()
        case .fair:
            return takeTurn()
        }
    }

    private mutating func takeTurn() -> Element? {
        guard let key = turns.popFirst() else { return nil }
        let element = queues[key]?.popFirst()
        if queues[key]?.isEmpty ?? true {
            queues[key] = nil
        } else {
            turns.append(key)
        }
        return element
    }
}
