// The timing wheel of one event loop, woken by the loop only when a timer may be due.

import NIOCore

/// What a timer wakes.
package protocol TimerTarget: AnyObject {
    /// The moment has come. Called on the loop.
    func timerFired()
}

/// The deadlines of one event loop.
///
/// Unchecked: every method is called on the loop, which is asserted, so that its state has one thread.
package final class ShardTimers: @unchecked Sendable {
    package typealias Token = TimerWheel<any TimerTarget>.Token

    private let eventLoop: any EventLoop
    @exclusivity(unchecked) private var wheel: TimerWheel<any TimerTarget>
    @exclusivity(unchecked) private var wakeAt: NIODeadline?

    init(_ eventLoop: any EventLoop) {
        self.eventLoop = eventLoop
        wheel = TimerWheel(tick: .milliseconds(10), now: eventLoop.now)
    }

    /// The timers that are set.
    package var count: Int { wheel.count }

    /// Sets a timer; it fires up to 10 ms late, never early.
    package func schedule(_ target: any TimerTarget, at deadline: NIODeadline) -> Token {
        eventLoop.assertInEventLoop()
        let token = wheel.schedule(target, at: deadline)
        wakeNoLater(than: deadline)
        return token
    }

    /// Takes a timer back.
    package func cancel(_ token: Token) {
        eventLoop.assertInEventLoop()
        wheel.cancel(token)
    }

    private func wakeNoLater(than deadline: NIODeadline) {
        if let wakeAt, wakeAt <= deadline { return }
        wakeAt = deadline
        // Some ticks later than asked, so that the wheel's own rounding has passed by then.
        eventLoop.scheduleTask(deadline: deadline + .milliseconds(10)) { self.wake(deadline) }
    }

    private func wake(_ planned: NIODeadline) {
        guard wakeAt == planned else { return }
        wakeAt = nil
        // One may take others back that are due, too.
        for token in wheel.due(now: eventLoop.now) { wheel.take(token)?.timerFired() }
        if let next = wheel.nextLook { wakeNoLater(than: next) }
    }
}
