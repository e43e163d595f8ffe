// The timing wheel of one event loop, which wakes the loop only when a timer may be due.

import NIOCore

/// The target of a timer.
package protocol TimerTarget: AnyObject {
    /// The timer has fired. Called on the loop.
    func timerFired()
}

/// The timers of one event loop.
///
/// Unchecked: every method asserts that it is called on the loop.
package final class ShardTimers: @unchecked Sendable {
    package typealias Token = TimerWheel<any TimerTarget>.Token

    private let eventLoop: any EventLoop
    @exclusivity(unchecked) private var wheel: TimerWheel<any TimerTarget>
    @exclusivity(unchecked) private var wakeAt: NIODeadline?

    init(_ eventLoop: any EventLoop) {
        self.eventLoop = eventLoop
        wheel = TimerWheel(tick: .milliseconds(10), now: eventLoop.now)
    }

    /// The number of set timers.
    package var count: Int { wheel.count }

    /// Sets a timer; it fires up to 10 ms late, never early.
    package func schedule(_ target: any TimerTarget, at deadline: NIODeadline) -> Token {
        eventLoop.assertInEventLoop()
        let token = wheel.schedule(target, at: deadline)
        wakeNoLater(than: deadline)
        return token
    }

    /// Cancels a timer.
    package func cancel(_ token: Token) {
        eventLoop.assertInEventLoop()
        wheel.cancel(token)
    }

    private func wakeNoLater(than deadline: NIODeadline) {
        if let wakeAt, wakeAt <= deadline { return }
        wakeAt = deadline
        // Somewhat later than the deadline, so that the wheel's rounding has passed by then.
        eventLoop.scheduleTask(deadline: deadline + .milliseconds(10)) { self.wake(deadline) }
    }

    private func wake(_ planned: NIODeadline) {
        guard wakeAt == planned else { return }
        wakeAt = nil
        // A fired timer may cancel others that are due, too.
        for token in wheel.due(now: eventLoop.now) { wheel.take(token)?.timerFired() }
        if let next = wheel.nextLook { wakeNoLater(than: next) }
    }
}
