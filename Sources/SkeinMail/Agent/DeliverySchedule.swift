// Decides which deliveries start next, and limits the concurrency of each destination: a value without clock and
// network.

import DequeModule
import HeapModule
import SkeinCore

/// The waiting messages of a spool, by destination.
struct DeliverySchedule {
    struct Limits: Sendable {
        /// The initial concurrency for a destination. Default: 5.
        var initial = 5
        /// The maximum concurrency for a destination. Default: 20.
        var maximum = 20
        /// The concurrency for all destinations together. Default: 100.
        var total = 100
        /// The minimum interval between two deliveries to a destination, in milliseconds. Default: 0.
        var interval = 0
        /// How long an unreachable destination is paused.
        var rest = Backoff(first: .seconds(60), longest: .seconds(1800))
    }

    /// A waiting delivery: a message, or its part for one destination.
    struct Entry: Sendable, Hashable {
        let id: MailID
        /// In milliseconds since 1970.
        var due: Int
        /// In seconds since 1970.
        let expires: UInt32
        /// The number of the intake of the message: entries of an earlier intake are void.
        let serial: UInt32
        var attempts: UInt16
        let priority: UInt8
    }

    /// The result of a delivery for its destination.
    enum Verdict: Sendable {
        /// The destination works, whatever its response to the message.
        case good
        /// It asks for less concurrency.
        case throttled
        /// It is unreachable.
        case unreachable
        /// Nothing was sent.
        case void
    }

    fileprivate struct Ready: Comparable {
        let entry: Entry
        static func < (left: Ready, right: Ready) -> Bool {
            (left.entry.priority, left.entry.due) < (right.entry.priority, right.entry.due)
        }
    }

    private struct Alarm: Comparable {
        let moment: Int
        let name: ByteKey
        static func < (left: Alarm, right: Alarm) -> Bool { left.moment < right.moment }
    }

    fileprivate struct Later: Comparable {
        let entry: Entry
        static func < (left: Later, right: Later) -> Bool { left.entry.due < right.entry.due }
    }

    fileprivate struct Destination {
        var ready = Heap<Ready>()
        var later = Heap<Later>()
        var running = 0
        var window: Double
        var failures = 0
        /// The end of the pause, in milliseconds since 1970.
        var restsUntil = 0
        /// Whether it was unreachable the last time.
        var isResting = false
        var lastStart = 0
        /// Whether it is in the queue of turns.
        var isInTurn = false
        /// Its alarms, the next one last.
        var alarms: [Int] = []

        var isEmpty: Bool { ready.isEmpty && later.isEmpty && running == 0 }
    }

    let limits: Limits
    private var destinations: [ByteKey: Destination] = [:]
    private(set) var running = 0
    /// Destinations that may start a delivery, in the order of their turns.
    private var turns = Deque<ByteKey>()
    /// When destinations must be checked again.
    private var alarms = Heap<Alarm>()
    private var lastLook = 0

    init(_ limits: Limits) { self.limits = limits }

    /// Waiting deliveries: messages, once for each of their destinations.
    var count: Int { destinations.values.reduce(0) { $0 + $1.ready.count + $1.later.count } }

    /// Adds a delivery to a destination.
    mutating func add(_ entry: Entry, to name: ByteKey) {
        destinations[name, default: Destination(window: Double(limits.initial))].later.insert(Later(entry: entry))
        setAlarm(entry.due, for: name)
    }

    /// The deliveries that start now, from each destination in turn.
    mutating func start(at now: Int) -> [(ByteKey, Entry)] {
        if now + 1000 < lastLook { clockWasSetBack(to: now) }
        lastLook = now
        while let first = alarms.min, first.moment <= now {
            alarms.removeMin()
            // The alarm of a destination that was removed is void.
            guard destinations[first.name]?.alarms.last == first.moment else { continue }
            destinations[first.name]?.alarms.removeLast()
            hasTurn(first.name)
        }
        var started: [(ByteKey, Entry)] = []
        while running < limits.total, let name = turns.popFirst() {
            destinations[name]?.isInTurn = false
            if let entry = destinations[name]?.next(at: now, limits) {
                running += 1
                started.append((name, entry))
                hasTurn(name)
            } else if let moment = destinations[name]?.waitsUntil(now, limits) {
                setAlarm(moment, for: name)
            }
        }
        return started
    }

    /// Pending alarms, for tests.
    var alarmCount: Int { alarms.count }

    /// Sets an alarm only if it is earlier than all others of the destination: later ones are set when these have
    /// passed. So a destination that is checked often does not collect alarms.
    private mutating func setAlarm(_ moment: Int, for name: ByteKey) {
        guard let destination = destinations[name], moment < destination.alarms.last ?? .max else { return }
        destinations[name]?.alarms.append(moment)
        alarms.insert(Alarm(moment: moment, name: name))
    }

    private mutating func hasTurn(_ name: ByteKey) {
        guard destinations[name]?.isInTurn == false else { return }
        destinations[name]?.isInTurn = true
        turns.append(name)
    }

    /// Deliveries that were due at a time that the clock repeats are due now.
    private mutating func clockWasSetBack(to now: Int) {
        let names = Array(destinations.keys)
        alarms = Heap()
        for name in names {
            destinations[name]?.clockWasSetBack(by: lastLook - now)
            setAlarm(now, for: name)
        }
    }

    /// A delivery has ended.
    /// - Returns: the waiting deliveries of an unreachable destination whose lifetime is over.
    mutating func ended(_ name: ByteKey, _ verdict: Verdict, at now: Int) -> [Entry] {
        running -= 1
        guard destinations[name] != nil else { return [] }
        var expired: [Entry] = []
        destinations[name]?.end(verdict, at: now, limits, &expired)
        hasTurn(name)
        return expired
    }

    /// Removes destinations without waiting deliveries and pauses.
    mutating func tidy(at now: Int) {
        let unused = destinations.filter { $0.value.isEmpty && $0.value.restsUntil <= now }
        guard !unused.isEmpty else { return }
        for name in unused.keys { destinations[name] = nil }
        turns.removeAll { unused[$0] != nil }
    }

    /// Destinations with the numbers of waiting and current deliveries, those with the most first.
    func overview(limit: Int, at now: Int) -> [(name: String, waiting: Int, running: Int, isResting: Bool)] {
        destinations.map { name, destination in
            (
                name.text, destination.ready.count + destination.later.count, destination.running,
                destination.restsUntil > now
            )
        }.sorted { ($1.1, $0.0) < ($0.1, $1.0) }.prefix(limit).map { $0 }
    }
}

extension DeliverySchedule.Destination {
    fileprivate mutating func next(at now: Int, _ limits: DeliverySchedule.Limits) -> DeliverySchedule.Entry? {
        while let first = later.min, first.entry.due <= now {
            later.removeMin()
            ready.insert(.init(entry: first.entry))
        }
        guard running < Int(window), restsUntil <= now, lastStart + limits.interval <= now else { return nil }
        // After a pause, a single delivery tests the destination.
        guard !isResting || running == 0 else { return nil }
        guard let entry = ready.popMin()?.entry else { return nil }
        running += 1
        lastStart = now
        return entry
    }

    /// When it can start another delivery; nil when none waits, or one must end first.
    fileprivate func waitsUntil(_ now: Int, _ limits: DeliverySchedule.Limits) -> Int? {
        guard running < Int(window), !isResting || running == 0, let due = ready.isEmpty ? later.min?.entry.due : now
        else {
            return nil
        }
        let moment = max(due, restsUntil, lastStart + limits.interval)
        return moment > now ? moment : nil
    }

    fileprivate mutating func clockWasSetBack(by time: Int) {
        alarms = []
        restsUntil -= time
        lastStart -= time
        later = Heap(
            later.unordered.map { waiting in
                var entry = waiting.entry
                entry.due -= time
                return .init(entry: entry)
            })
    }

    fileprivate mutating func end(
        _ verdict: DeliverySchedule.Verdict, at now: Int, _ limits: DeliverySchedule.Limits,
        _ expired: inout [DeliverySchedule.Entry]
    ) {
        running -= 1
        switch verdict {
        case .void: break
        case .good:
            failures = 0
            isResting = false
            // The window grows by one after a window of successes.
            window = min(Double(limits.maximum), window + 1 / window)
        case .throttled:
            window = max(1, window / 2)
        case .unreachable:
            window = Double(limits.initial)
            if restsUntil <= now {
                failures += 1
                restsUntil = now + Int(limits.rest.delay(after: failures) / .milliseconds(1))
            }
            isResting = true
            let seconds = UInt32(clamping: now / 1000)
            guard ready.unordered.contains(where: { $0.entry.expires < seconds }) else { return }
            let all = ready.unordered
            expired += all.filter { $0.entry.expires < seconds }.map(\.entry)
            ready = Heap(all.filter { $0.entry.expires >= seconds })
        }
    }
}

/// When a message is retried, and when it is given up.
package struct RetryPolicy: Sendable {
    /// The first and the longest delay. Default: 5 min, and 4 h.
    package var backoff = Backoff(first: .seconds(300), longest: .seconds(4 * 3600))

    package init() {}

    package enum Decision: Equatable, Sendable {
        /// In milliseconds since 1970.
        case at(Int)
        case never
    }

    /// - Parameters:
    ///   - attempts: the number of attempts.
    ///   - isGreylisted: whether the server greylists, for which most require a delay of five minutes.
    ///   - expires: the end of the message's lifetime, in milliseconds since 1970.
    package func decision(attempts: Int, isGreylisted: Bool = false, expires: Int, now: Int) -> Decision {
        if now >= expires { return .never }
        let delay =
            isGreylisted && attempts <= 2
            ? backoff.first * Double.random(in: 1.02...1.2) : backoff.delay(after: attempts)
        let wait = Int(delay / .milliseconds(1))
        // The last attempt is made just before the end instead of not at all.
        return .at(max(now + 1000, min(now + wait, expires)))
    }
}
