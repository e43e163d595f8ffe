// The life of a call of any protocol, without clock and timer: it waits for its slot, runs, and ends once, within its
// time limits. Each step returns the moment for which the owner sets the call's timer.

import NIOCore

/// The phase of a call and its time limits.
package struct CallLife {
    package enum Phase: Equatable {
        /// Waits for its slot in the session's queue.
        case waiting
        case running
        /// The response was published at its head. Only the caller's deadline limits the content.
        case streaming
        case over
    }

    /// The owner's action when the timer has fired.
    package enum TimeUp: Equatable {
        /// Set the timer again.
        case wait(until: NIODeadline)
        /// Fail: the call's own time limit or the caller's deadline passed in the queue.
        case ownLimitInQueue
        /// Fail: no slot of the queue became free for the standard time limit.
        case stuckInQueue
        /// Fail: the time limit passed while the call was running.
        case underWay
    }

    /// The call's own time limit, which counts from its start and includes the queue, or the standard one, which counts from the slot.
    private var timeout: TimeAmount?
    private var isOwnTimeout: Bool
    /// The deadline of the caller's task, for the response and its content.
    private let limit: NIODeadline
    /// The deadline of the tasks that wait for the response, for the response only.
    private var responseLimit = NIODeadline.distantFuture
    /// The end of the call's own time limit, if it was queued with one.
    private var ownLimit: NIODeadline?
    /// The moment for which the timer is set.
    private var deadline = NIODeadline.distantFuture
    package private(set) var phase = Phase.waiting
    private var holdsSlot = false

    /// - Parameters:
    ///   - timeout: the call's own time limit, including the queue.
    ///   - standard: the time limit of a call without its own, from its slot; nil for none.
    ///   - limit: the deadline of the caller's task.
    package init(timeout: TimeAmount?, standard: TimeAmount?, limit: NIODeadline?) {
        self.timeout = timeout ?? standard
        isOwnTimeout = timeout != nil
        self.limit = limit ?? .distantFuture
    }

    package var isOver: Bool { phase == .over }
    private var callersLimit: NIODeadline { min(limit, responseLimit) }

    /// Changes the call's own time limit, before it starts. A call that was queued with one keeps that.
    package mutating func allow(_ timeout: TimeAmount?) {
        guard let timeout, phase == .waiting else { return }
        self.timeout = timeout
        isOwnTimeout = true
    }

    /// The call is queued.
    /// - Returns: the moment for the timer; nil for none.
    package mutating func enqueue(at now: NIODeadline) -> NIODeadline? {
        guard let timeout else { return arm(callersLimit) }
        if isOwnTimeout { ownLimit = now + timeout }
        return arm(min(now + timeout, callersLimit))
    }

    /// The call starts.
    /// - Parameter holdsSlot: whether it has a slot of its own to give back.
    /// - Returns: the moment for the timer; nil for none.
    package mutating func start(at now: NIODeadline, holdsSlot: Bool) -> NIODeadline? {
        phase = .running
        self.holdsSlot = holdsSlot
        return arm(min(ownLimit ?? timeout.map { now + $0 } ?? .distantFuture, callersLimit))
    }

    /// The response was published, and its content follows.
    /// - Returns: the moment for the timer; nil for none.
    package mutating func stream() -> NIODeadline? {
        phase = .streaming
        return arm(limit)
    }

    /// A caller wants the response by a moment.
    /// - Returns: the moment for the timer, if it changes.
    package mutating func tighten(to moment: NIODeadline) -> NIODeadline? {
        guard phase == .waiting || phase == .running, moment < callersLimit else { return nil }
        responseLimit = moment
        return moment < deadline ? arm(moment) : nil
    }

    /// The timer has fired.
    /// - Parameter lastRelease: when a slot of the queue last became free. The standard time limit starts anew then, so that a long queue
    ///   that moves does not fail its calls.
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

    /// The call ends.
    /// - Returns: whether it holds a slot, which the owner gives back; nil when it had ended already.
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

    /// Sets the timer, or stops it if the moment is nil.
    package mutating func set(_ moment: NIODeadline?, _ target: any TimerTarget, on shard: Shard) {
        stop(on: shard)
        if let moment { token = shard.timers.schedule(target, at: moment) }
    }

    package mutating func stop(on shard: Shard) {
        if let token { shard.timers.cancel(token) }
        token = nil
    }

    /// The timer has fired.
    package mutating func fired() { token = nil }
}
