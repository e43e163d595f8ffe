// A connection with calls of several callers, common to all protocols with ordered responses. Each protocol has its own
// connection type, which encodes calls and parses responses; `PipelineLink` handles I/O, timers, and its life.

import NIOCore
import SkeinCore

/// The interface of a pool to its connections.
package protocol PipelineOwner: AnyObject {
    var limits: PoolLimits { get }
    /// Whether an idle connection may close.
    var hasMoreThanNeeded: Bool { get }
    /// A connection has received a response.
    func hasRoom(_ connection: any PipelineConnection)
    func isLeaving(_ connection: any PipelineConnection)
    func isGone(_ connection: any PipelineConnection)
}

/// Whether calls wait for a connection of a pool: checked after each response.
package final class PoolDemand {
    @exclusivity(unchecked) package var hasWaiting = false
}

/// A connection of one protocol. Used on its channel's loop only.
package protocol PipelineConnection: CallCarrier, PoolMember, Sendable {
    var link: PipelineLink { get }
    /// Performs the handshake; `becomeReady` or `close(because:)` follows.
    func greet()
    /// Handles received bytes.
    func receive(_ bytes: ByteBuffer)
    /// Whether all calls without a response are over for their callers.
    var onlyAbandoned: Bool { get }
    /// Whether it can close, when it accepts no more calls.
    var isDone: Bool { get }
    /// Releases the calls without a response; those that are safe to retry are sent again.
    func loseCalls(_ reason: SkeinError)
    /// Checks whether the peer is alive; any progress is the response.
    func check()
    /// Writes the protocol's closing message. Not called when the connection fails with an error.
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
    /// A call is over for its caller; those of other callers must not be affected.
    package func abandon(_ call: any PipelinedCall) { link.abandoned() }
    package func close(because reason: SkeinError? = nil) { link.close(because: reason) }
    package func leave() { link.leave() }
}

/// A connection with the type of its calls.
package protocol PooledConnection: PipelineConnection {
    associatedtype Call: PipelinedCall, PoolCall
    /// Encodes a call into the link's `output` and adds it to the pipeline.
    func encode(_ call: Call)
}

extension PooledConnection {
    /// Sends a call with the other output of this tick.
    package func send(_ call: Call, at now: NIODeadline) {
        let link = link
        link.carries(call.core, by: self, at: now)
        encode(call)
        link.flushSoon()
    }
}

/// The part of a connection that does not depend on its protocol.
///
/// Unchecked: used on its channel's loop only.
package final class PipelineLink: ChannelInboundHandler, TimerTarget, @unchecked Sendable {
    package typealias InboundIn = ByteBuffer
    package typealias OutboundOut = ByteBuffer

    package let shard: Shard
    /// The connection, until it has closed: a deliberate reference cycle.
    package var connection: (any PipelineConnection)?
    /// The pool that is notified; nil while connecting, and for connections without a pool.
    @exclusivity(unchecked) package var pool: (any PipelineOwner)?
    @exclusivity(unchecked) package var demand: PoolDemand?
    /// Whether it is leased to one caller.
    @exclusivity(unchecked) package var isLeased = false
    @exclusivity(unchecked) private var machine: LinkMachine
    /// Succeeds when the connection accepts calls.
    private let ready: EventLoopPromise<Void>
    private let sending: ChannelOutput
    @exclusivity(unchecked) private var gate = ReadGate()
    @exclusivity(unchecked) private var timer: ShardTimers.Token?
    @exclusivity(unchecked) private var lossReason: SkeinError?
    package let peer: String

    /// - Parameter ready: succeeds when the connection accepts calls.
    package init(shard: Shard, peer: String, ready: EventLoopPromise<Void>) {
        self.shard = shard
        self.peer = peer
        sending = ChannelOutput(shard.eventLoop)
        machine = LinkMachine(at: shard.now)
        self.ready = ready
    }

    // MARK: Sending

    /// Whether it accepts calls.
    package var isUsable: Bool { machine.isUsable }
    /// Whether it has closed, or is closing because of a fault, so that nothing is read any more.
    package var isClosed: Bool { !machine.reads }
    /// The time of the last response, or, before one, of the first call.
    package var lastProgress: NIODeadline { machine.lastProgress }
    package var channel: (any Channel)? { sending.channel }
    /// The output that is written at the end of the tick.
    package var output: ByteBuffer {
        get { sending.bytes }
        _modify { yield &sending.bytes }
    }

    /// Calls without a response.
    private var underWay: Int { connection?.underWay ?? 0 }

    /// A call is about to be written.
    fileprivate func carries(_ call: CallCore, by carrier: any CallCarrier, at now: NIODeadline) {
        machine.sends(isFirst: underWay == 0, isUse: true, at: now)
        call.carrier = carrier
        call.attempts += 1
    }

    /// A command of the connection itself is about to be written.
    package func begins(at now: NIODeadline) { machine.sends(isFirst: underWay == 0, isUse: false, at: now) }

    /// The number of writes so far: output added at one count was sent when the count has changed. A response that
    /// arrives before its call was sent is invalid: a duplicate response must not be passed to the next caller.
    package var writes: Int { sending.writes }

    /// Writes bytes of the protocol itself.
    package func write(_ make: (inout ByteBuffer) -> Void) {
        make(&sending.bytes)
        sending.flushSoon()
    }

    /// Sends the bytes in ``output``, with the other output of this tick.
    package func flushSoon() { sending.flushSoon() }

    /// Waits until the socket is writable. On the loop.
    package func untilWritable() async throws(SkeinError) {
        if let lossReason { throw lossReason }
        do { try await sending.untilWritable() } catch { throw lossReason ?? gone }
        if let lossReason { throw lossReason }
    }

    // MARK: Life cycle

    /// Adds a connection to its channel, and starts the handshake.
    /// - Returns: the connection, when it accepts calls.
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

    /// A response is complete.
    package func madeProgress(at now: NIODeadline) {
        heard(at: now)
        guard let connection else { return }
        let isIdle = connection.underWay == 0
        if isIdle { closeIfDone() }
        if isIdle || demand?.hasWaiting == true, !isLeased, isUsable { pool?.hasRoom(connection) }
    }

    /// A sign of life was received.
    package func heard(at now: NIODeadline) {
        machine.heard(at: now)
    }

    /// Accepts no more calls; those in flight continue.
    package func leave() {
        guard machine.leave() else { return }
        if let connection { pool?.isLeaving(connection) }
        closeIfDone()
    }

    package func closeIfDone() {
        if machine.state == .leaving, connection?.isDone ?? true { close() }
    }

    /// A call without a response is over for its caller.
    package func abandoned() {
        // Nothing was received: the peer may be gone silently.
        if machine.lastProgress + .milliseconds(100) < shard.now { leave() }
        closeIfDone()
    }

    /// Closes the connection.
    /// - Parameter reason: the error for its calls.
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
        ready.fail(reason)  // no effect when it has succeeded
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

    /// Pauses reading while a consumer is slower than the peer.
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
