// Connects a client's connection or stream with one of a back end, and copies bytes in both directions: for WebSockets,
// upgrades and CONNECT in a proxy.

import DequeModule
import NIOCore
import SkeinCore
import SkeinHTTP
import SkeinWire

/// Carries bytes between two transports of one loop.
///
/// Unchecked: every method is called on the loop.
final class Tunnel: TimerTarget, @unchecked Sendable {
    typealias Side = TunnelMachine.Side

    /// The time for remaining output when one side is over.
    private static let endTime: TimeAmount = .seconds(5)

    private let shard: Shard
    private let timeout: TimeAmount
    private var machine = TunnelMachine()
    private var transports: [(any ByteTransport)?] = [nil, nil]
    /// Bytes that arrived for a side that is not attached yet.
    private var early = [ByteBuffer(), ByteBuffer()]
    private var timer: ShardTimers.Token?
    private var lastUse: NIODeadline
    private var ends: NIODeadline?
    /// Released with the tunnel.
    var holding: (any Sendable)?

    /// - Parameter timeout: the longest silence of both sides.
    init(_ shard: Shard, timeout: Duration) {
        self.shard = shard
        self.timeout = TimeAmount(timeout)
        lastUse = shard.now
    }

    /// The user of the transport of a side.
    func end(_ side: Side) -> any ByteTransportUser { TunnelEnd(self, side) }

    /// A side is attached.
    func attach(_ transport: any ByteTransport, _ side: Side) {
        transports[side.rawValue] = transport
        if timer == nil { arm(shard.now + timeout) }
        perform(machine.receive(.attached, side))
    }

    /// The client's side will not be attached.
    func abandon() { receive(.gone(isFailure: true), .front) }

    // MARK: Events of the sides

    fileprivate func receive(_ bytes: ByteBuffer, from side: Side) {
        let other = side.other
        lastUse = shard.now
        if machine.isAwaited(other) {
            early[other.rawValue].writeImmutableBuffer(bytes)
        } else if machine.takesBytes(other) {
            write(bytes, to: other)
        }
    }

    fileprivate func receive(_ event: TunnelMachine.Event, _ side: Side) {
        // A slow client gets the remaining output, as long as it reads.
        if event == .writable, ends != nil { ends = shard.now + Self.endTime }
        perform(machine.receive(event, side))
        if case .gone = event {
            transports[side.rawValue] = nil
            if machine.isOver {
                if let timer { shard.timers.cancel(timer) }
                timer = nil
                holding = nil
            }
        }
    }

    private func write(_ bytes: ByteBuffer, to side: Side) {
        guard let transport = transports[side.rawValue], bytes.readableBytes > 0 else { return }
        transport.write(bytes)
        if !transport.isWritable { perform(machine.receive(.full, side)) }
    }

    private func perform(_ actions: [TunnelMachine.Action]) {
        for action in actions {
            switch action {
            case .deliver(let side):
                let bytes = early[side.rawValue]
                early[side.rawValue] = ByteBuffer()
                write(bytes, to: side)
            case .read(let side): transports[side.rawValue]?.setReading(true)
            case .pause(let side): transports[side.rawValue]?.setReading(false)
            case .endOutput(let side): transports[side.rawValue]?.endOutput()
            case .close(let side): transports[side.rawValue]?.close()
            case .armEnd:
                ends = shard.now + Self.endTime
                arm(shard.now + Self.endTime)
            }
        }
    }

    // MARK: Time

    private func arm(_ moment: NIODeadline) {
        if let timer { shard.timers.cancel(timer) }
        timer = shard.timers.schedule(self, at: moment)
    }

    func timerFired() {
        timer = nil
        let now = shard.now
        let moment = min(lastUse + timeout, ends ?? .distantFuture)
        if moment <= now { return perform(machine.receive(.timeout, .front)) }
        arm(moment)
    }
}

/// The transport user of one side.
private final class TunnelEnd: ByteTransportUser, @unchecked Sendable {
    private let tunnel: Tunnel
    private let side: Tunnel.Side

    init(_ tunnel: Tunnel, _ side: Tunnel.Side) {
        self.tunnel = tunnel
        self.side = side
    }

    func receive(_ bytes: ByteBuffer) { tunnel.receive(bytes, from: side) }
    func flush() {}
    func inputEnded() { tunnel.receive(.inputEnded, side) }
    func becameWritable() { tunnel.receive(.writable, side) }
    func ended(_ error: (any Error)?) { tunnel.receive(.gone(isFailure: error != nil), side) }
    func cutOff() { tunnel.receive(.timeout, side) }
    /// A tunnel continues until its sides end it, or the server's shutdown times out.
    func leave(_ code: WebSocketCloseCode) {}

    // MARK: A stream of HTTP/2

    func received(_ head: ResponseHead) {}

    func received(_ bytes: ByteBuffer, isLast: Bool) {
        receive(bytes)
        if isLast { inputEnded() }
    }

    func received(trailers: Headers) { inputEnded() }
}

/// The client's side of a tunnel whose other side is attached: takes over the client's connection or stream.
///
/// Unchecked: variables are used on the loop of the request.
final class TunnelAcceptance: ServerUpgrade, @unchecked Sendable {
    private let tunnel: Tunnel
    private let shard: Shard
    private var hasFront = false

    init(_ tunnel: Tunnel, on shard: Shard) {
        self.tunnel = tunnel
        self.shard = shard
    }

    // The client left before it was upgraded, or got another response.
    deinit {
        guard !hasFront else { return }
        shard.run { [tunnel] in tunnel.abandon() }
    }

    var connectionUser: (any ByteTransportUser)? { tunnel.end(.front) }

    func begin(on handler: TransportChannelHandler) {
        hasFront = true
        tunnel.attach(handler, .front)
    }

    func begin(on stream: HTTP2Tunnel, _ response: ServerResponse, date: String) throws(HeaderProblem) {
        try stream.respond(response.status, response.headers, date: date)
        hasFront = true
        stream.carry(tunnel.end(.front))
        tunnel.attach(stream, .front)
    }
}
