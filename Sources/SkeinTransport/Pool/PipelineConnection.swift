// A connection on which many callers' calls are under way: what is the same for every protocol that answers in order.

import NIOCore
import SkeinCore

/// The pool that a connection belongs to, as the connection sees it.
package protocol PipelineOwner: AnyObject {
    var limits: PoolLimits { get }
    /// Whether calls wait for a connection.
    var hasWaiting: Bool { get }
    /// Whether an idle connection may close.
    var hasMoreThanNeeded: Bool { get }
    /// A connection has received an answer.
    func hasRoom(_ connection: PipelineConnection)
    func isLeaving(_ connection: PipelineConnection)
    func isGone(_ connection: PipelineConnection)
}

/// A connection with the type of its calls.
package protocol PooledConnection: PipelineConnection, PoolMember {
    associatedtype Call: PipelinedCall, PoolCall
    /// Writes a call into `output` and remembers it.
    func encode(_ call: Call)
}

extension PipelinedCall: PoolCall {}

extension PooledConnection {
    /// Sends a call with all others of this tick.
    package func send(_ call: Call, at now: NIODeadline) {
        carry(call, at: now)
        encode(call)
        flushSoon()
    }
}

/// A connection to a back end. Each protocol has its own kind, which writes calls into `output` and reads answers.
///
/// Unchecked: touched on its channel's loop only.
open class PipelineConnection: ChannelInboundHandler, CallCarrier, TimerTarget, @unchecked Sendable {
    public typealias InboundIn = ByteBuffer
    public typealias OutboundOut = ByteBuffer

    private enum State {
        case opening(EventLoopPromise<Void>)
        case open
        /// Takes no more calls and ends with those it has.
        case leaving
        case closed
    }

    package final let shard: Shard
    /// Who is told what becomes of it; nil while it is made, and when nobody cares.
    @exclusivity(unchecked) package final var pool: (any PipelineOwner)?
    /// Whether somebody has it alone.
    @exclusivity(unchecked) package final var isLeased = false
    @exclusivity(unchecked) private var state: State
    private let sending: ChannelOutput
    @exclusivity(unchecked) private var gate = ReadGate()
    /// When an answer came last, or, before that, when the first call was sent.
    @exclusivity(unchecked) package final var lastProgress: NIODeadline
    /// When a call was sent last; a check is none.
    @exclusivity(unchecked) private var usedLast: NIODeadline
    @exclusivity(unchecked) private var timer: ShardTimers.Token?
    @exclusivity(unchecked) private var lossReason: SkeinError?
    @exclusivity(unchecked) private var checkIsUnderWay = false
    package final let peer: String

    /// - Parameter ready: succeeds when calls can be sent.
    @usableFromInline package init(shard: Shard, peer: String, ready: EventLoopPromise<Void>) {
        self.shard = shard
        self.peer = peer
        sending = ChannelOutput(shard.eventLoop)
        lastProgress = shard.now
        usedLast = lastProgress
        state = .opening(ready)
    }

    // MARK: What each kind does

    /// Says what has to be said before calls; `becomeReady` or `close(because:)` follows.
    open func greet() {}
    /// Takes what has arrived.
    open func receive(_ bytes: ByteBuffer) {}
    /// The calls that have no answer yet.
    open var underWay: Int { 0 }
    /// Whether every call that has no answer yet is over for its caller.
    open var onlyAbandoned: Bool { underWay == 0 }
    /// Lets go of the calls that have no answer, sending those again whose fate is sure.
    open func loseCalls(_ reason: SkeinError) {}
    /// Asks whether the peer is there; any progress is the answer.
    open func check() {}
    /// Writes what the protocol says before a connection ends.
    ///
    /// Not called when it ends for a reason that its calls are told.
    open func sayGoodbye() {}
    /// A call whose answer is still to come is over for its caller. Those of others must not suffer.
    open func abandon(_ call: PipelinedCall) {
        // Nothing at all was heard: the peer may be gone without a word.
        if lastProgress + .milliseconds(100) < shard.now { leave() }
        closeIfDone()
    }

    // MARK: Sending

    /// Whether it takes calls.
    package final var isUsable: Bool { if case .open = state { true } else { false } }
    package final var isClosed: Bool { if case .closed = state { true } else { false } }
    package final var channel: (any Channel)? { sending.channel }
    /// What is written at the end of the tick.
    package final var output: ByteBuffer {
        get { sending.bytes }
        _modify { yield &sending.bytes }
    }

    /// A call is about to be written.
    fileprivate final func carry(_ call: PipelinedCall, at now: NIODeadline) {
        if underWay == 0 { lastProgress = now }
        usedLast = now
        call.carrier = self
        call.attempts += 1
    }

    /// Sends bytes of the protocol's own.
    package final func write(_ make: (inout ByteBuffer) -> Void) {
        make(&sending.bytes)
        sending.flushSoon()
    }

    /// Sends what was written into ``output``, with all else of this tick.
    package final func flushSoon() { sending.flushSoon() }

    /// Waits until the peer takes more. On the loop.
    package final func untilWritable() async throws(SkeinError) {
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
        do {
            guard connected.channel.isActive else {
                throw SkeinError(
                    .connectionFailed, peer: connection.peer, because: "the server closed the connection at once")
            }
            try connected.channel.pipeline.syncOperations.addHandler(connection)
            connection.greet()
        } catch {
            ready.fail(error)
        }
        let timer = shard.eventLoop.scheduleTask(in: TimeAmount(limit)) {
            connection.close(
                because: SkeinError(
                    .timeout, peer: connection.peer, because: "the server did not begin the session in time"))
        }
        ready.futureResult.whenComplete { _ in timer.cancel() }
        return ready.futureResult.map { connection }
    }

    /// The handshake is over.
    package final func becomeReady() {
        guard case .opening(let promise) = state else { return }
        state = .open
        lastProgress = shard.now
        promise.succeed()
    }

    /// An answer is complete.
    package final func madeProgress(at now: NIODeadline) {
        heard(at: now)
        if underWay == 0 { closeIfDone() }
        if let pool, !isLeased, isUsable, underWay == 0 || pool.hasWaiting { pool.hasRoom(self) }
    }

    /// Something has come that shows that the peer is there.
    package final func heard(at now: NIODeadline) {
        lastProgress = now
        checkIsUnderWay = false
    }

    /// Takes no more calls; those under way have their time.
    package final func leave() {
        guard case .open = state else { return }
        state = .leaving
        pool?.isLeaving(self)
        closeIfDone()
    }

    package final func closeIfDone() {
        if case .leaving = state, onlyAbandoned { close() }
    }

    /// Ends it.
    /// - Parameter reason: what its calls are told.
    package final func close(because reason: SkeinError? = nil) {
        if case .closed = state { return }
        if lossReason == nil { lossReason = reason }
        if reason == nil, sending.context != nil {
            sayGoodbye()
            sending.flush()
        }
        if let context = sending.context { context.close(promise: nil) } else { ended() }
    }

    private var gone: SkeinError {
        SkeinError(.channelClosed, peer: peer, because: "the server closed the connection")
    }

    private func ended() {
        if case .closed = state { return }
        let before = state
        state = .closed
        if let timer { shard.timers.cancel(timer) }
        timer = nil
        let reason = lossReason ?? gone
        if case .opening(let promise) = before { promise.fail(reason) }
        let pool = self.pool
        self.pool = nil  // they hold each other
        pool?.isGone(self)
        loseCalls(reason)
    }

    public func handlerAdded(context: ChannelHandlerContext) { sending.attach(context) }

    public func channelRead(context: ChannelHandlerContext, data: NIOAny) { receive(unwrapInboundIn(data)) }

    public func channelWritabilityChanged(context: ChannelHandlerContext) {
        sending.writabilityChanged()
    }

    public func errorCaught(context: ChannelHandlerContext, error: any Error) {
        if lossReason == nil { lossReason = Connector.socketError(error, peer: peer) }
        context.close(promise: nil)
    }

    public func channelInactive(context: ChannelHandlerContext) {
        sending.detach()
        ended()
    }

    /// Reads nothing while somebody is slower than the peer.
    package final func pauseReading(_ isPaused: Bool) {
        if isPaused { gate.hold(.consumer, channel) } else { gate.release(.consumer, channel) }
    }

    // MARK: Time

    package final func armTimer() {
        guard let pool else { return }
        timer = shard.timers.schedule(self, at: shard.now + TimeAmount(pool.limits.checkInterval))
    }

    package final func timerFired() {
        timer = nil
        guard let pool, !isClosed else { return }
        if checkIsUnderWay, gate.isOpen {
            return close(because: SkeinError(.timeout, peer: peer, because: "the server did not say that it is there"))
        }
        if underWay == 0, isUsable, gate.isOpen {
            if !isLeased, usedLast + TimeAmount(pool.limits.idleTimeout) <= shard.now, pool.hasMoreThanNeeded {
                return close()
            }
            checkIsUnderWay = true
            check()
        }
        armTimer()
    }
}
