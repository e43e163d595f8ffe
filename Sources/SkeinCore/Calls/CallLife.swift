// The life of a call, whatever it speaks: it waits for its slot, runs, and ends once; and by when it has to. A value without clock and
// timer: its owner says what time it is, and sets the timer for the moment that each step returns.

import NIOCore

/// Where a call stands, and how long it may stand there.
package struct CallLife {
    package enum Phase: Equatable {
        /// Has to wait for its slot in the session's queue, or was just made.
        case waiting
        case running
        /// Its answer was handed out at the head; the content has the caller's deadline and no other.
        case streaming
        case over
    }

    /// What it means that the moment has come.
    package enum TimeUp: Equatable {
        /// Nothing yet: look again then.
        case wait(until: NIODeadline)
        /// Its own time limit, or the caller's deadline, passed in the queue.
        case ownLimitInQueue
        /// The queue does not move.
        case stuckInQueue
        case underWay
    }

    /// From the making, or, without one of the call's own, from the moment it has its slot; nil for none.
    private var timeout: TimeAmount?
    private var isOwnTimeout: Bool
    /// The deadline of the caller's task, which holds for all that follows.
    private let limit: NIODeadline
    /// By when those who wait for the response want it.
    private var responseLimit = NIODeadline.distantFuture
    /// When the call's own time limit ends, once it counts.
    private var ownLimit: NIODeadline?
    /// For when the timer is set.
    private var deadline = NIODeadline.distantFuture
    package private(set) var phase = Phase.waiting
    private var holdsSlot = false

    /// - Parameters:
    ///   - timeout: the call's own time limit, the wait for its slot included.
    ///   - standard: without one, from the moment it has its slot; nil when only deadlines count.
    ///   - limit: the deadline of the caller's task.
    package init(timeout: TimeAmount?, standard: TimeAmount?, limit: NIODeadline?) {
        self.timeout = timeout ?? standard
        isOwnTimeout = timeout != nil
        self.limit = limit ?? .distantFuture
    }

    package var isOver: Bool { phase == .over }
    /// Whether the caller's task has a deadline.
    package var hasLimit: Bool { limit < .distantFuture }
    private var callersLimit: NIODeadline { min(limit, responseLimit) }

    /// The call has another time limit of its own than it was made with; it counts unless one counts already.
    package mutating func allow(_ timeout: TimeAmount?) {
        guard let timeout, phase == .waiting else { return }
        self.timeout = timeout
        isOwnTimeout = true
    }

    /// There is no slot for it yet.
    /// - Returns: when to look; nil for never.
    package mutating func enqueue(at now: NIODeadline) -> NIODeadline? {
        guard let timeout else { return arm(callersLimit) }
        if isOwnTimeout { ownLimit = now + timeout }
        return arm(min(now + timeout, callersLimit))
    }

    /// It begins, with a slot of its own or within something that has one.
    package mutating func start(at now: NIODeadline, holdsSlot: Bool) -> NIODeadline? {
        phase = .running
        self.holdsSlot = holdsSlot
        return arm(min(ownLimit ?? timeout.map { now + $0 } ?? .distantFuture, callersLimit))
    }

    /// The response was handed out, and its content follows.
    package mutating func stream() -> NIODeadline? {
        phase = .streaming
        return arm(limit)
    }

    /// Somebody who waits wants the response by a moment.
    /// - Returns: the moment, if it comes before all others.
    package mutating func tighten(to moment: NIODeadline) -> NIODeadline? {
        guard phase == .waiting || phase == .running, moment < callersLimit else { return nil }
        responseLimit = moment
        return moment < deadline ? arm(moment) : nil
    }

    /// The moment has come.
    /// - Parameter lastRelease: when a slot of its queue became free last. While the queue moves, the standard time limit does not
    ///   count.
    package mutating func timeIsUp(at now: NIODeadline, lastRelease: NIODeadline) -> TimeUp {
        guard phase == .waiting else { return .underWay }
        guard ownLimit == nil else { return .ownLimitInQueue }
        if let timeout, lastRelease + timeout > now, callersLimit > now,
            let moment = arm(min(lastRelease + timeout, callersLimit))
        {
            return .wait(until: moment)
        }
        return callersLimit <= now ? .ownLimitInQueue : .stuckInQueue
    }

    /// It is over.
    /// - Returns: whether it held a slot; nil when it was over before.
    package mutating func end() -> Bool? {
        guard phase != .over else { return nil }
        phase = .over
        return holdsSlot
    }

    private mutating func arm(_ moment: NIODeadline) -> NIODeadline? {
        deadline = moment
        return moment < .distantFuture ? moment : nil
    }
}

/// The one timer of a call.
package struct CallTimer {
    private var token: ShardTimers.Token?

    package init() {}

    /// Sets it for a moment instead of the one it was set for; nil for none.
    package mutating func set(_ moment: NIODeadline?, _ target: any TimerTarget, on shard: Shard) {
        stop(on: shard)
        if let moment { token = shard.timers.schedule(target, at: moment) }
    }

    package mutating func stop(on shard: Shard) {
        if let token { shard.timers.cancel(token) }
        token = nil
    }

    /// It has fired.
    package mutating func fired() { token = nil }
}
