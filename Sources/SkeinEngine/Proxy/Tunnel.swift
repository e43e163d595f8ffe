// A connection or a stream of a client and one of a back end, of which each gets what the other one brings: what a WebSocket, an upgrade
// and CONNECT become of in a proxy.

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

    /// How long what is left of a tunnel has when one side is over.
    private static let endTime: TimeAmount = .seconds(5)

    private let shard: Shard
    private let timeout: TimeAmount
    private var machine = TunnelMachine()
    private var transports: [(any ByteTransport)?] = [nil, nil]
    /// What has arrived for a side that is not there yet.
    private var early = [ByteBuffer(), ByteBuffer()]
    private var timer: ShardTimers.Token?
    private var lastUse: NIODeadline
    private var ends: NIODeadline?
    /// What is let go of with the tunnel.
    var holding: (any Sendable)?

    /// - Parameter timeout: the longest silence of both sides.
    init(_ shard: Shard, timeout: Duration) {
        self.shard = shard
        self.timeout = TimeAmount(timeout)
        lastUse = shard.now
    }

    /// What speaks through the transport of a side.
    func end(_ side: Side) -> any ByteTransportUser { TunnelEnd(self, side) }

    /// A side is there.
    func attach(_ transport: any ByteTransport, _ side: Side) {
        transports[side.rawValue] = transport
        if timer == nil { arm(shard.now + timeout) }
        perform(machine.receive(.attached, side))
    }

    /// The client will not come.
    func abandon() { receive(.gone(isFailure: true), .front) }

    // MARK: What the sides bring

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
        // A slow client gets what is left, as long as it takes it.
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

/// One side of a tunnel, as its transport sees it.
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
    /// It goes on until its sides end it, or the server's time for that is over.
    func leave(_ code: WebSocketCloseCode) {}

    // MARK: A stream of HTTP/2

    func received(_ head: ResponseHead) {}

    func received(_ bytes: ByteBuffer, isLast: Bool) {
        receive(bytes)
        if isLast { inputEnded() }
    }

    func received(trailers: Headers) { inputEnded() }
}

/// The client's side of a tunnel whose other side is there: what takes the client's connection over, or its stream.
///
/// Unchecked: what changes is touched on the loop of the request.
final class TunnelAcceptance: ServerUpgrade, @unchecked Sendable {
    private let tunnel: Tunnel
    private let shard: Shard
    private var hasFront = false

    init(_ tunnel: Tunnel, on shard: Shard) {
        self.tunnel = tunnel
        self.shard = shard
    }

    // A client that left before it was told, or was told something else.
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
