// A hashed timing wheel for many timers. Setting and cancelling a timer costs a few memory accesses and no allocation,
// unlike a heap of closures; in exchange, timers fire up to one tick late.

import NIOCore

/// Timers in slots of one tick each. A value without a clock: the owner passes the time.
package struct TimerWheel<Target> {
    /// Identifies a timer; after the timer has fired or was cancelled, the token is invalid.
    package struct Token: Sendable {
        fileprivate let index: Int32
        fileprivate let generation: UInt32
    }

    private struct Entry {
        var target: Target?
        var tick: UInt64
        var next: Int32
        var previous: Int32
        var generation: UInt32
    }

    private static var none: Int32 { -1 }

    private let tickLength: UInt64
    private var slots: [Int32]
    private var entries: [Entry] = []
    private var free: Int32 = -1
    private var lastTick: UInt64
    /// The number of set timers.
    package private(set) var count = 0

    /// An empty wheel.
    /// - Parameters:
    ///   - tick: the resolution.
    ///   - slots: the number of ticks of one revolution; later deadlines wait for several revolutions.
    ///   - now: the time at the start.
    package init(tick: TimeAmount, slots: Int = 512, now: NIODeadline) {
        tickLength = UInt64(tick.nanoseconds)
        self.slots = Array(repeating: Self.none, count: slots)
        lastTick = now.uptimeNanoseconds / tickLength
    }

    /// Sets a timer.
    /// - Returns: the token that cancels it.
    package mutating func schedule(_ target: Target, at deadline: NIODeadline) -> Token {
        // Rounded up: a timer may be late, never early.
        let tick = max(lastTick + 1, (deadline.uptimeNanoseconds + tickLength - 1) / tickLength)
        let slot = Int(tick % UInt64(slots.count))
        let index: Int32
        if free != Self.none {
            index = free
            free = entries[Int(index)].next
        } else {
            index = Int32(entries.count)
            entries.append(Entry(target: nil, tick: 0, next: Self.none, previous: Self.none, generation: 0))
        }
        let head = slots[slot]
        entries[Int(index)].target = target
        entries[Int(index)].tick = tick
        entries[Int(index)].next = head
        entries[Int(index)].previous = Self.none
        if head != Self.none { entries[Int(head)].previous = index }
        slots[slot] = index
        count += 1
        return Token(index: index, generation: entries[Int(index)].generation)
    }

    /// Cancels a timer; does nothing when it has fired.
    package mutating func cancel(_ token: Token) {
        guard entries[Int(token.index)].generation == token.generation else { return }
        _ = remove(token.index)
    }

    /// Removes a due timer; nil when it was cancelled meanwhile, by another timer that fired before it.
    package mutating func take(_ token: Token) -> Target? {
        guard entries[Int(token.index)].generation == token.generation else { return nil }
        return remove(token.index)
    }

    /// Every due timer, to be removed one by one before the next call.
    package mutating func due(now: NIODeadline) -> [Token] {
        let nowTick = now.uptimeNanoseconds / tickLength
        guard nowTick > lastTick else { return [] }
        var due: [Token] = []
        for tick in (lastTick + 1)...min(nowTick, lastTick + UInt64(slots.count)) {
            var index = slots[Int(tick % UInt64(slots.count))]
            while index != Self.none {
                let entry = entries[Int(index)]
                if entry.tick <= nowTick { due.append(Token(index: index, generation: entry.generation)) }
                index = entry.next
            }
        }
        lastTick = nowTick
        return due
    }

    /// Removes every due timer.
    package mutating func expire(now: NIODeadline) -> [Target] { due(now: now).compactMap { take($0) } }

    /// The moment of the next check, or nil when no timer is set.
    package var nextLook: NIODeadline? {
        guard count > 0 else { return nil }
        let turn = UInt64(slots.count)
        for tick in (lastTick + 1)...(lastTick + turn) where slots[Int(tick % turn)] != Self.none {
            return .uptimeNanoseconds(tick * tickLength)
        }
        return nil
    }

    private mutating func remove(_ index: Int32) -> Target? {
        let entry = entries[Int(index)]
        if entry.previous == Self.none {
            slots[Int(entry.tick % UInt64(slots.count))] = entry.next
        } else {
            entries[Int(entry.previous)].next = entry.next
        }
        if entry.next != Self.none { entries[Int(entry.next)].previous = entry.previous }
        entries[Int(index)].target = nil
        entries[Int(index)].generation &+= 1
        entries[Int(index)].next = free
        free = index
        count -= 1
        return entry.target
    }
}
