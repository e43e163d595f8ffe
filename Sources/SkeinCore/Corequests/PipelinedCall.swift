// One call of a back end whose connections many callers share: what is the same for all of them, whatever they speak.

import NIOCore

/// What carries a call that was sent.
package protocol CallCarrier: AnyObject {
    /// The call is over for whoever made it; what comes for it is thrown away.
    func abandon(_ call: PipelinedCall)
}

/// A call on its way to its answer: its place, its time, its end. Each protocol has its own kind.
///
/// Unchecked: touched on its shard's loop only, but for what is set before it is submitted.
open class PipelinedCall: Exchange, TimerTarget, @unchecked Sendable {
    package final let session: Session
    package final let shard: Shard
    private let timeout: TimeAmount?
    /// Whether the time limit is the call's own, which the wait for its place counts towards.
    private let isOwnTimeout: Bool
    private var ownLimit: NIODeadline?
    @exclusivity(unchecked) private var hasBegun = false
    /// The caller's deadline.
    @exclusivity(unchecked) private var limit: NIODeadline?
    /// For when the timer is set.
    @exclusivity(unchecked) private var deadline: NIODeadline?
    @exclusivity(unchecked) private var timer: ShardTimers.Token?
    @exclusivity(unchecked) private var holdsPlace = false
    @exclusivity(unchecked) package final private(set) var isOver = false
    /// The connection it was sent on.
    @exclusivity(unchecked) package final var carrier: (any CallCarrier)?
    /// How often it was sent.
    @exclusivity(unchecked) package final var attempts = 0

    /// - Parameters:
    ///   - timeout: the call's own time limit, the wait for its place included.
    ///   - standard: without one, from the moment it gets its place; nil when only the caller's deadline counts.
    @usableFromInline package init(session: Session, shard: Shard, timeout: Duration?, standard: Duration?) {
        self.session = session
        self.shard = shard
        self.timeout = (timeout ?? standard).map { TimeAmount($0) }
        isOwnTimeout = timeout != nil
        limit = Deadline.current?.moment
    }

    // MARK: What each kind does

    /// Whose turn it takes in the session's queue, and who is named in messages.
    open var peer: String { "" }
    /// Has its place: goes to a connection.
    open func begin() {}
    /// Hands the failure to those who wait.
    open func publish(_ failure: SkeinError) {}
    /// No connection could be made for it; nothing of it was sent.
    open func couldNotConnect(_ error: SkeinError) { fail(error) }

    // MARK: The way

    package final var queueKey: AnyHashable { peer }

    /// Starts, or waits for a place in the session's queue.
    package final func submit() { session.submit(self, on: shard) }

    /// Starts without a place, on behalf of something that has what it needs.
    package final func submitWithinAnother() {
        session.adopt()
        shard.run {
            self.armFromNow()
            self.begin()
        }
    }

    package final func enqueued() {
        if let timeout, isOwnTimeout { ownLimit = shard.now + timeout }
        let wait = ownLimit ?? timeout.map { shard.now + $0 } ?? .distantFuture
        let moment = min(wait, limit ?? .distantFuture)
        if moment < .distantFuture { arm(moment) }
    }

    package final func start() {
        holdsPlace = true
        armFromNow()
        begin()
    }

    private func armFromNow() {
        hasBegun = true
        let moment = min(ownLimit ?? timeout.map { shard.now + $0 } ?? .distantFuture, limit ?? .distantFuture)
        if moment < .distantFuture { arm(moment) } else { disarm() }
    }

    package final func cancel(_ error: SkeinError) { shard.run { self.fail(error) } }

    package final func tighten(_ deadline: Deadline) {
        shard.run {
            guard !self.isOver, deadline.moment < self.limit ?? .distantFuture else { return }
            self.limit = deadline.moment
            if deadline.moment < self.deadline ?? .distantFuture { self.arm(deadline.moment) }
        }
    }

    package final func timerFired() {
        timer = nil
        if !hasBegun, ownLimit == nil, let timeout,
            let moment = session.waitsOn(for: timeout, until: limit ?? .distantFuture, on: shard)
        {
            return arm(moment)
        }
        fail(
            SkeinError(
                .timeout, peer: peer,
                because: !hasBegun
                    ? "no call before it in the queue has ended in time"
                    : carrier == nil
                        ? "no connection was free within the time limit"
                        : "no answer came within the time limit; whether it was carried out is not known"))
    }

    private func arm(_ moment: NIODeadline) {
        disarm()
        deadline = moment
        timer = shard.timers.schedule(self, at: moment)
    }

    private func disarm() {
        if let timer { shard.timers.cancel(timer) }
        timer = nil
        deadline = nil
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
        isOver = true
        carrier = nil
        disarm()
        session.statistics.ended(bytes: bytes, failed: failed)
        if holdsPlace { session.released(on: shard) }
        publish()
        session.ended()
    }
}
