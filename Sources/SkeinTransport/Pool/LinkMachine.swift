// The life of a connection to a back end, without I/O: whether it accepts calls and reads responses, and when it is
// checked, closed when idle, or failed. `PipelineLink` is its driver.

import NIOCore
import SkeinCore

/// The state of a connection.
package struct LinkMachine {
    package enum State: Equatable {
        case opening
        case open
        /// Accepts no more calls and closes after the last one in flight.
        case leaving
        /// The channel is closing, which takes a moment over TLS. Responses are still read: several calls may have to
        /// be cancelled.
        case closing
        /// The channel is closing because of a fault. Received bytes are ignored: they must not reach a caller.
        case failing
        case closed
    }

    /// The driver's action when the timer has fired.
    package enum Look: Equatable {
        case nothing
        /// Check whether the peer is alive.
        case check
        /// Close: the connection was idle for the idle timeout.
        case close
        /// Fail: the peer did not respond to the check.
        case unanswered
        /// Fail: the peer does not respond, and no caller waits any more.
        case silent
    }

    package private(set) var state = State.opening
    /// The time of the last response, or, before one, of the first call.
    package private(set) var lastProgress: NIODeadline
    /// The time of the last call; checks do not count.
    private var lastUse: NIODeadline
    private var checkIsUnderWay = false

    /// A connection that was just made.
    package init(at now: NIODeadline) {
        lastProgress = now
        lastUse = now
    }

    /// Whether it accepts calls.
    package var isUsable: Bool { state == .open }
    /// Whether received bytes are read.
    package var reads: Bool { state != .failing && state != .closed }

    /// The handshake is over.
    /// - Returns: whether the connection accepts calls now.
    package mutating func opened(at now: NIODeadline) -> Bool {
        guard state == .opening else { return false }
        state = .open
        lastProgress = now
        return true
    }

    /// A call, or a check of the connection itself, is about to be written.
    /// - Parameters:
    ///   - isFirst: whether no other is in flight.
    ///   - isUse: whether it is a call.
    package mutating func sends(isFirst: Bool, isUse: Bool, at now: NIODeadline) {
        if isFirst { lastProgress = now }
        if isUse { lastUse = now }
    }

    /// A sign of life was received.
    package mutating func heard(at now: NIODeadline) {
        lastProgress = now
        checkIsUnderWay = false
    }

    /// Accepts no more calls from now on.
    /// - Returns: false when it accepted none already.
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
    ///   - limits: the limits of the pool.
    ///   - underWay: calls without a response.
    ///   - isAbandoned: whether all of them are over for their callers.
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
