// One call on a shared connection of a back end: the parts common to all protocols.

import NIOCore

/// The connection of a call that was sent.
package protocol CallCarrier: AnyObject {
    /// The call is over for its caller; its response is discarded.
    func abandon(_ call: any PipelinedCall)
}

/// The part of a call that does not depend on its protocol: its slot in the session, its deadline, its carrier.
package final class CallCore {
    package let session: Session
    package let shard: Shard
    @exclusivity(unchecked) fileprivate var life: CallLife
    @exclusivity(unchecked) fileprivate var timer = CallTimer()
    /// The connection it was sent on.
    @exclusivity(unchecked) package var carrier: (any CallCarrier)?
    /// The number of attempts.
    @exclusivity(unchecked) package var attempts = 0

    /// - Parameters:
    ///   - timeout: the call's own time limit, including the wait for its slot.
    ///   - standard: the time limit without one, from the moment it gets its slot; nil when only the caller's deadline
    ///     counts.
    package init(session: Session, shard: Shard, timeout: Duration?, standard: Duration?) {
        self.session = session
        self.shard = shard
        life = CallLife(
            timeout: timeout.map { TimeAmount($0) }, standard: standard.map { TimeAmount($0) },
            limit: Deadline.current?.moment)
    }
}

/// A call from its submission to its end. Each protocol has its own type. Used on its shard's loop only, except for
/// setup before submission.
package protocol PipelinedCall: Exchange, TimerTarget {
    var core: CallCore { get }
    /// The key in the session's queue, and the name in messages.
    var peer: String { get }
    /// Has its slot: is sent on a connection.
    func begin()
    /// Delivers the failure to the waiting callers.
    func publish(_ failure: SkeinError)
    /// No connection could be established for it; nothing of it was sent.
    func couldNotConnect(_ error: SkeinError)
}

extension PipelinedCall {
    package var session: Session { core.session }
    package var shard: Shard { core.shard }
    package var isOver: Bool { core.life.isOver }
    package var queueKey: AnyHashable { peer }

    package func couldNotConnect(_ error: SkeinError) { fail(error) }

    /// Starts, or waits for a slot in the session's queue.
    package func submit() {
        let core = core
        core.session.submit(self, on: core.shard)
    }

    /// Starts without a slot, on behalf of an exchange that has one.
    package func submitWithinAnother() {
        session.adopt()
        shard.run { self.start(holdsSlot: false) }
    }

    package func enqueued() { core.timer.set(core.life.enqueue(at: shard.now), self, on: shard) }

    package func start() { start(holdsSlot: true) }

    private func start(holdsSlot: Bool) {
        let core = core
        core.timer.set(core.life.start(at: core.shard.now, holdsSlot: holdsSlot), self, on: core.shard)
        begin()
    }

    package func cancel(_ error: SkeinError) { shard.run { self.fail(error) } }

    package func tighten(_ deadline: Deadline) {
        shard.run {
            if let moment = self.core.life.tighten(to: deadline.moment) {
                self.core.timer.set(moment, self, on: self.shard)
            }
        }
    }

    package func timerFired() {
        core.timer.fired()
        let why: String
        switch core.life.timeIsUp(at: shard.now, lastRelease: session.lastRelease(on: shard)) {
        case .wait(let moment): return core.timer.set(moment, self, on: shard)
        case .ownLimitInQueue: why = "the time limit passed in the queue"
        case .stuckInQueue: why = "the calls ahead of it in the queue did not end in time"
        case .underWay where core.carrier == nil: why = "no connection was free within the time limit"
        case .underWay: why = "no answer came within the time limit; it is not known whether the server carried it out"
        }
        fail(SkeinError(.timeout, peer: peer, because: why))
    }

    /// Ends without a response. On the loop.
    package func fail(_ error: SkeinError) {
        guard !isOver else { return }
        let carrier = core.carrier
        end(bytes: 0, failed: true) { publish(error) }
        carrier?.abandon(self)
    }

    /// Fails in a later tick, so that a callback that starts the next call does not recurse.
    package func failLater(_ error: SkeinError) { shard.eventLoop.execute { self.fail(error) } }

    /// Ends; once.
    /// - Parameter publish: delivers the response to the waiting callers.
    package func end(bytes: Int, failed: Bool, publish: () -> Void) {
        let core = core
        guard let holdsSlot = core.life.end() else { return }
        core.carrier = nil
        core.timer.stop(on: core.shard)
        core.session.statistics.ended(bytes: bytes, failed: failed)
        if holdsSlot { core.session.released(on: core.shard) }
        publish()
        core.session.ended()
    }
}
