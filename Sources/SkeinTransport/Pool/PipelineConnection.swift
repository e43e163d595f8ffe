// A connection on which many callers' calls are under way: what is the same for every protocol that answers in order. Each protocol has
// its own connection, which writes calls and reads answers; `PipelineLink` carries its bytes, its time, and its life.

import NIOCore
import SkeinCore

/// The pool that a connection belongs to, as the connection sees it.
package protocol PipelineOwner: AnyObject {
    var limits: PoolLimits { get }
    /// Whether an idle connection may close.
    var hasMoreThanNeeded: Bool { get }
    /// A connection has received an answer.
    func hasRoom(_ connection: any PipelineConnection)
    func isLeaving(_ connection: any PipelineConnection)
    func isGone(_ connection: any PipelineConnection)
}

/// Whether calls wait for a connection of a pool: looked at after each answer.
package final class PoolDemand {
    @exclusivity(unchecked) package var hasWaiting = false
}

/// A connection of one protocol. Used on its channel's loop only.
package protocol PipelineConnection: CallCarrier, PoolMember, Sendable {
    var link: PipelineLink { get }
    /// Says what has to be said before calls; `becomeReady` or `close(because:)` follows.
    func greet()
    /// Takes what has arrived.
    func receive(_ bytes: ByteBuffer)
    /// Whether every call that has no answer yet is over for its caller.
    var onlyAbandoned: Bool { get }
    /// Whether it can close after it took its last call.
    var isDone: Bool { get }
    /// Lets go of the calls that have no answer, sending those again whose fate is sure.
    func loseCalls(_ reason: SkeinError)
    /// Asks whether the peer is there; any progress is the answer.
    func check()
    /// Writes what the protocol says before a connection ends. Not called when it ends for a reason that its calls are told.
    func sayGoodbye()
}

extension PipelineConnection {
    package var shard: Shard { link.shard }
    package var peer: String { link.peer }
    package var lastProgress: NIODeadline { link.lastProgress }
    package var isUsable: Bool { link.isUsable }
    package var isClosed: Bool { link.isClosed }
    package var isLeased: Bool { link.isLeased }

    package var isDone: Bool { onlyAbandoned }
    package func sayGoodbye() {}
    /// A call is over for its caller; those of others must not suffer.
    package func abandon(_ call: any PipelinedCall) { link.abandoned() }
    package func close(because reason: SkeinError? = nil) { link.close(because: reason) }
    package func leave() { link.leave() }
}

/// A connection with the type of its calls.
package protocol PooledConnection: PipelineConnection {
    associatedtype Call: PipelinedCall, PoolCall
    /// Writes a call into the link's `output` and remembers it.
    func encode(_ call: Call)
}

extension PooledConnection {
    /// Sends a call with all others of this tick.
    package func send(_ call: Call, at now: NIODeadline) {
        let link = link
        link.carries(call.core, by: self, at: now)
        encode(call)
        link.flushSoon()
    }
}

/// The part of a connection that does not depend on its protocol.
///
/// Unchecked: touched on its channel's loop only.
package final class PipelineLink: ChannelInboundHandler, TimerTarget, @unchecked Sendable {
    package typealias InboundIn = ByteBuffer
    package typealias OutboundOut = ByteBuffer

    package let shard: Shard
    /// The connection, until it has closed: they hold each other.
    package var connection: (any PipelineConnection)?
    /// Who is told what becomes of it; nil while it is made, and when nobody cares.
    @exclusivity(unchecked) package var pool: (any PipelineOwner)?
    @exclusivity(unchecked) package var demand: PoolDemand?
    /// Whether somebody has it alone.
    @exclusivity(unchecked) package var isLeased = false
    @exclusivity(unchecked) private var machine: LinkMachine
    /// Succeeds when calls can be sent.
    private let ready: EventLoopPromise<Void>
    private let sending: ChannelOutput
    @exclusivity(unchecked) private var gate = ReadGate()
    @exclusivity(unchecked) private var timer: ShardTimers.Token?
    @exclusivity(unchecked) private var lossReason: SkeinError?
    package let peer: String

    /// - Parameter ready: succeeds when calls can be sent.
    package init(shard: Shard, peer: String, ready: EventLoopPromise<Void>) {
        self.shard = shard
        self.peer = peer
        sending = ChannelOutput(shard.eventLoop)
        machine = LinkMachine(at: shard.now)
        self.ready = ready
    }

    // MARK: Sending

    /// Whether it takes calls.
    package var isUsable: Bool { machine.isUsable }
    /// Whether it has ended, or ends for a fault, so that nothing is read any more.
    package var isClosed: Bool { !machine.reads }
    /// When an answer came last, or, before that, when the first call was sent.
    package var lastProgress: NIODeadline { machine.lastProgress }
    package var channel: (any Channel)? { sending.channel }
    /// What is written at the end of the tick.
    package var output: ByteBuffer {
        get { sending.bytes }
        _modify { yield &sending.bytes }
    }

    /// Calls without an answer.
    private var underWay: Int { connection?.underWay ?? 0 }

    /// A call is about to be written.
    fileprivate func carries(_ call: CallCore, by carrier: any CallCarrier, at now: NIODeadline) {
        machine.sends(isFirst: underWay == 0, isUse: true, at: now)
        call.carrier = carrier
        call.attempts += 1
    }

    /// A question of the connection's own is about to be written.
    package func begins(at now: NIODeadline) { machine.sends(isFirst: underWay == 0, isUse: false, at: now) }

    /// The number of writes so far: what was written into ``output`` at one count has left when the count has changed. An answer that
    /// arrives before its call has left is none: a server that answers twice must not answer the next caller.
    package var writes: Int { sending.writes }

    /// Sends bytes of the protocol's own.
    package func write(_ make: (inout ByteBuffer) -> Void) {
        make(&sending.bytes)
        sending.flushSoon()
    }

    /// Sends what was written into ``output``, with all else of this tick.
    package func flushSoon() { sending.flushSoon() }

    /// Waits until the peer takes more. On the loop.
    package func untilWritable() async throws(SkeinError) {
        if let lossReason { throw lossReason }
        do { try await sending.untilWritable() } catch { throw lossReason ?? gone }
        if let lossReason { throw lossReason }
    }

    // MARK: Life

    /// Puts a connection into the channel that was made for it, and greets.
    /// - Returns: the connection, when it takes calls.
    package static func begin<Connection: PipelineConnection>(
        on connected: Connected, _ shard: Shard, within limit: Duration,
        _ make: (EventLoopPromise<Void>) -> Connection
    ) -> EventLoopFuture<Connection> {
        let ready = shard.eventLoop.makePromise(of: Void.self)
        let connection = make(ready)
        let link = connection.link
        link.connection = connection
        do {
            guard connected.channel.isActive else {
                throw SkeinError(
                    .connectionFailed, peer: link.peer, because: "the server closed the connection at once")
            }
            try connected.channel.pipeline.syncOperations.addHandler(link)
            connection.greet()
        } catch {
            link.close(because: error as? SkeinError ?? Connector.socketError(error, peer: link.peer))
        }
        let timer = shard.eventLoop.scheduleTask(in: TimeAmount(limit)) {
            link.close(
                because: SkeinError(
                    .timeout, peer: link.peer, because: "the server did not begin the session in time"))
        }
        ready.futureResult.whenComplete { _ in timer.cancel() }
        return ready.futureResult.map { connection }
    }

    /// The handshake is over.
    package func becomeReady() {
        if machine.opened(at: shard.now) { ready.succeed() }
    }

    /// An answer is complete.
    package func madeProgress(at now: NIODeadline) {
        heard(at: now)
        guard let connection else { return }
        let isIdle = connection.underWay == 0
        if isIdle { closeIfDone() }
        if isIdle || demand?.hasWaiting == true, !isLeased, isUsable { pool?.hasRoom(connection) }
    }

    /// Something has come that shows that the peer is there.
    package func heard(at now: NIODeadline) {
        machine.heard(at: now)
    }

    /// Takes no more calls; those under way have their time.
    package func leave() {
        guard machine.leave() else { return }
        if let connection { pool?.isLeaving(connection) }
        closeIfDone()
    }

    package func closeIfDone() {
        if machine.state == .leaving, connection?.isDone ?? true { close() }
    }

    /// A call whose answer is still to come is over for its caller.
    package func abandoned() {
        // Nothing at all was heard: the peer may be gone without a word.
        if machine.lastProgress + .milliseconds(100) < shard.now { leave() }
        closeIfDone()
    }

    /// Ends it.
    /// - Parameter reason: what its calls are told.
    package func close(because reason: SkeinError? = nil) {
        if lossReason == nil { lossReason = reason }
        guard let before = machine.close(isFault: reason != nil) else { return }
        if before == .open, let connection { pool?.isLeaving(connection) }
        if reason == nil, sending.context != nil {
            connection?.sayGoodbye()
            sending.flush()
        }
        if let context = sending.context { context.close(promise: nil) } else { ended() }
    }

    private var gone: SkeinError {
        SkeinError(.connectionClosed, peer: peer, because: "the server closed the connection")
    }

    private func ended() {
        guard machine.ended() else { return }
        if let timer { shard.timers.cancel(timer) }
        timer = nil
        let reason = lossReason ?? gone
        ready.fail(reason)  // does nothing when it has succeeded
        let (pool, connection) = (pool, connection)
        self.pool = nil
        self.connection = nil
        guard let connection else { return }
        pool?.isGone(connection)
        connection.loseCalls(reason)
    }

    package func handlerAdded(context: ChannelHandlerContext) { sending.attach(context) }

    package func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        if machine.reads { connection?.receive(unwrapInboundIn(data)) }
    }

    package func channelWritabilityChanged(context: ChannelHandlerContext) {
        sending.writabilityChanged()
    }

    package func errorCaught(context: ChannelHandlerContext, error: any Error) {
        close(because: Connector.socketError(error, peer: peer))
    }

    package func channelInactive(context: ChannelHandlerContext) {
        sending.detach()
        ended()
    }

    /// Reads nothing while somebody is slower than the peer.
    package func pauseReading(_ isPaused: Bool) {
        if isPaused { gate.hold(.consumer, channel) } else { gate.release(.consumer, channel) }
    }

    // MARK: Time

    package func armTimer() {
        guard let pool else { return }
        timer = shard.timers.schedule(self, at: shard.now + TimeAmount(pool.limits.checkInterval))
    }

    package func timerFired() {
        timer = nil
        guard let pool, let connection else { return }
        let look = machine.look(
            at: shard.now, pool.limits, underWay: connection.underWay, isAbandoned: connection.onlyAbandoned,
            isRead: gate.isOpen, mayClose: !isLeased && pool.hasMoreThanNeeded)
        switch look {
        case .nothing: break
        case .check: connection.check()
        case .close: return close()
        case .unanswered: return fail("the server did not answer a liveness check")
        case .silent: return fail("the server does not answer")
        }
        armTimer()
    }

    private func fail(_ message: String) { close(because: SkeinError(.timeout, peer: peer, because: message)) }
}
