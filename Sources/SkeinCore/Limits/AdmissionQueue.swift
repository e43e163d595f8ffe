// How many exchanges may be under way, and who is next when there are more: each key (an origin, a database) in turn, so
// that a thousand requests to one peer do not keep the one to another waiting.

import DequeModule

/// The order in which waiting requests are taken.
public enum QueueOrder: Sendable {
    /// Each peer in turn; requests to one peer in the order of their making.
    case fair
    /// At random, which spreads a load over many hosts (`qrandom`).
    case random
}

/// A concurrency limit and the queue before it. A value without tasks or locks.
package struct AdmissionQueue<Key: Hashable, Element> {
    private let limit: Int
    private let order: QueueOrder
    /// Requests that hold a slot.
    package private(set) var running = 0
    /// Requests that wait for one.
    package private(set) var waiting = 0
    private var turns = Deque<Key>()
    private var queues: [Key: Deque<Element>] = [:]
    private var pile: [Element] = []

    package init(limit: Int, order: QueueOrder) {
        self.limit = limit
        self.order = order
    }

    /// Takes a slot if there is one.
    package mutating func admit() -> Bool {
        guard running < limit else { return false }
        running += 1
        return true
    }

    /// Lets an element wait for a slot.
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

    /// Gives a slot back.
    /// - Returns: the element that takes it over, if one waits.
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
