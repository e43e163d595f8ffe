// The life of a connection to a back end, without I/O: whether it takes calls and reads answers, and when it is checked, closed for
// idleness, or given up. `PipelineLink` is its driver.

import NIOCore
import SkeinCore

/// The state of a connection.
package struct LinkMachine {
    package enum State: Equatable {
        case opening
        case open
        /// Takes no more calls and closes after the last one in flight.
        case leaving
        /// The channel is closing, which takes a moment over TLS. Answers are still read: more than one of the calls may have to be
        /// cancelled.
        case closing
        /// The channel is closing because of a fault. What arrives is ignored: it must not reach a caller.
        case failing
        case closed
    }

    /// What the driver does when the timer has fired.
    package enum Look: Equatable {
        case nothing
        /// Ask whether the peer is there.
        case check
        /// Close: nobody has used the connection for the idle time.
        case close
        /// Fail: the peer did not answer the check.
        case unanswered
        /// Fail: the peer does not answer, and no caller waits any more.
        case silent
    }

    package private(set) var state = State.opening
    /// When an answer came last, or, before that, when the first call was sent.
    package private(set) var lastProgress: NIODeadline
    /// When a call was sent last; a check is none.
    private var lastUse: NIODeadline
    private var checkIsUnderWay = false

    /// A connection that was just made.
    package init(at now: NIODeadline) {
        lastProgress = now
        lastUse = now
    }

    /// Whether it takes calls.
    package var isUsable: Bool { state == .open }
    /// Whether what arrives is read.
    package var reads: Bool { state != .failing && state != .closed }

    /// The handshake is over.
    /// - Returns: whether the connection takes calls now.
    package mutating func opened(at now: NIODeadline) -> Bool {
        guard state == .opening else { return false }
        state = .open
        lastProgress = now
        return true
    }

    /// A call, or a question of the connection's own, is about to be written.
    /// - Parameters:
    ///   - isFirst: whether no other is in flight.
    ///   - isUse: whether it is a call.
    package mutating func sends(isFirst: Bool, isUse: Bool, at now: NIODeadline) {
        if isFirst { lastProgress = now }
        if isUse { lastUse = now }
    }

    /// Something has arrived that shows that the peer is there.
    package mutating func heard(at now: NIODeadline) {
        lastProgress = now
        checkIsUnderWay = false
    }

    /// Takes no more calls from here on.
    /// - Returns: false when it took none already.
    package mutating func leave() -> Bool {
        guard state == .open else { return false }
        state = .leaving
        return true
    }

    /// The driver closes the channel.
    /// - Parameter isFault: whether the reason is a fault.
    /// - Returns: the state before; nil when the channel is closing or closed already.
    package mutating func close(isFault: Bool) -> State? {
        switch state {
        case .closed, .failing: return nil
        case .closing:
            if isFault { state = .failing }
            return nil
        case .opening, .open, .leaving:
            defer { state = isFault ? .failing : .closing }
            return state
        }
    }

    /// The channel has closed.
    /// - Returns: false when that is known already.
    package mutating func ended() -> Bool {
        defer { state = .closed }
        return state != .closed
    }

    /// The timer has fired, which it does at each check interval.
    /// - Parameters:
    ///   - limits: those of the pool.
    ///   - underWay: calls without an answer.
    ///   - isAbandoned: whether each of them is over for its caller.
    ///   - isRead: whether the connection is being read; if not, the peer's silence does not count.
    ///   - mayClose: whether an idle connection may close.
    package mutating func look(
        at now: NIODeadline, _ limits: PoolLimits, underWay: Int, isAbandoned: Bool, isRead: Bool, mayClose: Bool
    ) -> Look {
        guard state == .open || state == .leaving, isRead else { return .nothing }
        if checkIsUnderWay { return .unanswered }
        if underWay > 0 {
            return isAbandoned && lastProgress + TimeAmount(limits.checkInterval) <= now ? .silent : .nothing
        }
        guard state == .open else { return .nothing }
        if mayClose, lastUse + TimeAmount(limits.idleTimeout) <= now { return .close }
        checkIsUnderWay = true
        return .check
    }
}
