// One call of a back end whose connections many callers share: what is the same for all of them, whatever they speak.

import NIOCore

/// What carries a call that was sent.
package protocol CallCarrier: AnyObject {
    /// The call is over for whoever made it; what comes for it is thrown away.
    func abandon(_ call: PipelinedCall)
}

/// A call on its way to its answer: its slot, its time, its end. Each protocol has its own kind.
///
/// Unchecked: touched on its shard's loop only, but for what is set before it is submitted.
open class PipelinedCall: Exchange, TimerTarget, @unchecked Sendable {
    package final let session: Session
    package final let shard: Shard
    @exclusivity(unchecked) private var life: CallLife
    @exclusivity(unchecked) private var timer = CallTimer()
    /// The connection it was sent on.
    @exclusivity(unchecked) package final var carrier: (any CallCarrier)?
    /// How often it was sent.
    @exclusivity(unchecked) package final var attempts = 0

    /// - Parameters:
    ///   - timeout: the call's own time limit, the wait for its slot included.
    ///   - standard: without one, from the moment it gets its slot; nil when only the caller's deadline counts.
    @usableFromInline package init(session: Session, shard: Shard, timeout: Duration?, standard: Duration?) {
        self.session = session
        self.shard = shard
        life = CallLife(
            timeout: timeout.map { TimeAmount($0) }, standard: standard.map { TimeAmount($0) },
            limit: Deadline.current?.moment)
    }

    // MARK: What each kind does

    /// Whose turn it takes in the session's queue, and who is named in messages.
    open var peer: String { "" }
    /// Has its slot: goes to a connection.
    open func begin() {}
    /// Hands the failure to those who wait.
    open func publish(_ failure: SkeinError) {}
    /// No connection could be made for it; nothing of it was sent.
    open func couldNotConnect(_ error: SkeinError) { fail(error) }

    // MARK: The way

    package final var isOver: Bool { life.isOver }
    package final var queueKey: AnyHashable { peer }

    /// Starts, or waits for a slot in the session's queue.
    package final func submit() { session.submit(self, on: shard) }

    /// Starts without a slot, on behalf of something that has what it needs.
    package final func submitWithinAnother() {
        session.adopt()
        shard.run { self.start(holdsSlot: false) }
    }

    package final func enqueued() { timer.set(life.enqueue(at: shard.now), self, on: shard) }

    package final func start() { start(holdsSlot: true) }

    private func start(holdsSlot: Bool) {
        timer.set(life.start(at: shard.now, holdsSlot: holdsSlot), self, on: shard)
        begin()
    }

    package final func cancel(_ error: SkeinError) { shard.run { self.fail(error) } }

    package final func tighten(_ deadline: Deadline) {
        shard.run {
            if let moment = self.life.tighten(to: deadline.moment) { self.timer.set(moment, self, on: self.shard) }
        }
    }

    package final func timerFired() {
        timer.fired()
        let why: String
        switch life.timeIsUp(at: shard.now, lastRelease: session.lastRelease(on: shard)) {
        case .wait(let moment): return timer.set(moment, self, on: shard)
        case .ownLimitInQueue: why = "the time limit passed in the queue"
        case .stuckInQueue: why = "no call before it in the queue has ended in time"
        case .underWay where carrier == nil: why = "no connection was free within the time limit"
        case .underWay: why = "no answer came within the time limit; whether it was carried out is not known"
        }
        fail(SkeinError(.timeout, peer: peer, because: why))
    }

    /// Ends without an answer. On the loop.
    package final func fail(_ error: SkeinError) {
        guard !isOver else { return }
        let carrier = self.carrier
        end(bytes: 0, failed: true) { publish(error) }
        carrier?.abandon(self)
    }

    /// Fails in a later tick, so that a callback that makes the next call does not recurse.
    package final func failLater(_ error: SkeinError) { shard.eventLoop.execute { self.fail(error) } }

    /// Ends; once.
    /// - Parameter publish: hands the answer to those who wait.
    package final func end(bytes: Int, failed: Bool, publish: () -> Void) {
        guard let holdsSlot = life.end() else { return }
        carrier = nil
        timer.stop(on: shard)
        session.statistics.ended(bytes: bytes, failed: failed)
        if holdsSlot { session.released(on: shard) }
        publish()
        session.ended()
    }
}
