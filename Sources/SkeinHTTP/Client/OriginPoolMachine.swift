// The decisions of the pool of connections to one origin, without I/O: which connection a request is sent on, which requests wait, and
// when another connection is made. `OriginPool` is its driver. It asks for one action at a time and performs it before it asks for the
// next.

import DequeModule
import NIOCore

/// A connection that carries one request after the other.
package protocol SerialMember: AnyObject {
    /// Whether it is in the list of idle connections; set by the machine.
    var isOffered: Bool { get set }
    /// Whether it is idle and can take a request.
    func isUsable(at now: NIODeadline) -> Bool
    /// Whether another request can be pipelined.
    func canPipeline(at now: NIODeadline) -> Bool
}

/// A connection that carries concurrent requests.
package protocol MultiplexedMember: AnyObject {
    /// Whether it takes requests at all.
    var takesRequests: Bool { get }
    /// Whether it has a free stream.
    var hasRoom: Bool { get }
    /// Whether the server has stated its limit of streams.
    var isSettled: Bool { get }
    /// The maximum number of streams.
    var capacity: Int { get }
}

/// A request.
package protocol OriginCall: AnyObject {
    /// Whether it has ended, for example by its timeout.
    var isOver: Bool { get }
    /// Whether it may be pipelined.
    var mayFollow: Bool { get }
}

/// The protocol version of an origin, as far as it is known.
package enum OriginVersion: Sendable {
    case http1
    case http2
    /// The first connection decides, by ALPN or by the response to the upgrade that its request offers; other requests
    /// wait for it.
    case undecided
}

/// The state of a pool. With HTTP/1.1, the connection used last is taken first, so that others become idle and close;
/// with HTTP/2, the first with a free stream.
package struct OriginPoolMachine<Serial: SerialMember, Multiplexed: MultiplexedMember, Call: OriginCall> {
    package struct Limits: Sendable {
        /// The maximum number of HTTP/1.1 connections.
        package var serial = 6
        /// Requests on one HTTP/1.1 connection; with 1, nothing is pipelined.
        package var pipelineDepth = 1
        /// The maximum number of HTTP/2 connections.
        package var multiplexed = 1
        /// Streams on a connection whose server has not stated a limit yet.
        package var streams = 100

        package init() {}
    }

    package enum Action {
        case send(Call, Serial)
        case multiplex(Call, Multiplexed)
        case connect
        /// Close a connection that cannot be used any more.
        case close(Serial)
    }

    private let limits: Limits
    package private(set) var version: OriginVersion
    package private(set) var serial: [Serial] = []
    package private(set) var multiplexed: [Multiplexed] = []
    private var idle: [Serial] = []
    private var connecting = 0
    private var waiting = Deque<Call>()
    /// Whether idle connections are closed instead of kept.
    private var isRetired = false

    package init(_ version: OriginVersion, _ limits: Limits) {
        self.version = version
        self.limits = limits
    }

    /// Whether the pool holds no connections and no requests.
    package var isEmpty: Bool { serial.isEmpty && multiplexed.isEmpty && connecting == 0 && waiting.isEmpty }

    // MARK: Actions

    /// A request arrives, which waits if the next actions do not send it.
    package mutating func enqueue(_ call: Call) { waiting.append(call) }

    /// The connection for a request that need not wait, the most frequent case.
    package mutating func place(_ call: Call, at now: NIODeadline) -> Action? {
        guard waiting.isEmpty else { return nil }
        if version == .http2 { return multiplexed.first(where: \.hasRoom).map { .multiplex(call, $0) } }
        guard let last = idle.last, last.isUsable(at: now) else { return nil }
        return takeIdle().map { .send(call, $0) }
    }

    /// The next action; nil when there is none.
    package mutating func next(at now: NIODeadline) -> Action? {
        while let first = waiting.first, first.isOver { waiting.removeFirst() }
        guard let first = waiting.first else { return closeRetired() }
        if let free = multiplexed.first(where: \.hasRoom) {
            waiting.removeFirst()
            return .multiplex(first, free)
        }
        if let free = takeIdle() {
            guard free.isUsable(at: now) else { return .close(free) }
            waiting.removeFirst()
            return .send(first, free)
        }
        if needsConnection, mayConnect {
            connecting += 1
            return .connect
        }
        if limits.pipelineDepth > 1, !mayConnect, first.mayFollow,
            let behind = serial.first(where: { $0.canPipeline(at: now) })
        {
            waiting.removeFirst()
            return .send(first, behind)
        }
        return nil
    }

    private mutating func closeRetired() -> Action? { isRetired ? takeIdle().map { .close($0) } : nil }

    private mutating func takeIdle() -> Serial? {
        let last = idle.popLast()
        last?.isOffered = false
        return last
    }

    private var mayConnect: Bool {
        switch version {
        case .http1: serial.count + connecting < limits.serial
        case .http2: multiplexed.count(where: \.takesRequests) + connecting < max(1, limits.multiplexed)
        case .undecided: serial.isEmpty && connecting == 0
        }
    }

    /// Whether more requests wait than the connections being opened will take.
    private var needsConnection: Bool {
        guard version == .http2 else { return waiting.count > connecting }
        // The limit is known once the server's settings have arrived; until then, one connection is opened to learn it.
        let known = multiplexed.last(where: \.isSettled)?.capacity
        let capacity = known ?? limits.streams
        if capacity == .max { return connecting == 0 && multiplexed.allSatisfy { !$0.takesRequests } }
        let unsettled = multiplexed.count { $0.takesRequests && !$0.isSettled }
        return waiting.count > (connecting + (known == nil ? 0 : unsettled)) * capacity
    }

    // MARK: Events

    /// Sets the version that a connection negotiated or the server required.
    package mutating func decide(_ version: OriginVersion) { self.version = version }

    /// A connection is established, and idle.
    package mutating func connected(_ member: Serial) {
        connecting -= 1
        serial.append(member)
        isFree(member)
    }

    /// A connection is established.
    package mutating func connected(_ member: Multiplexed) {
        connecting -= 1
        multiplexed.append(member)
    }

    /// A connection could not be established.
    /// - Returns: the requests that fail: one for each attempt; if all wait for the first connection, all of them.
    package mutating func connectFailed() -> [Call] {
        connecting -= 1
        var lost: [Call] = []
        while let call = waiting.popFirst() {
            if call.isOver { continue }
            lost.append(call)
            if version == .http1 || connecting > 0 { break }
        }
        return lost
    }

    /// A connection has no request in flight.
    package mutating func isFree(_ member: Serial) {
        guard !member.isOffered else { return }
        member.isOffered = true
        idle.append(member)
    }

    /// A connection has closed, or has left HTTP.
    package mutating func isGone(_ member: Serial) {
        serial.removeAll { $0 === member }
        if member.isOffered { idle.removeAll { $0 === member } }
        member.isOffered = false
    }

    /// A connection has closed.
    package mutating func isGone(_ member: Multiplexed) { multiplexed.removeAll { $0 === member } }

    /// The server has accepted the upgrade of a connection to HTTP/2.
    package mutating func upgraded(_ member: Serial, to successor: Multiplexed) {
        isGone(member)
        multiplexed.append(successor)
        version = .http2
    }

    // MARK: The end

    /// The idle connections are closed and no more are kept.
    package mutating func retire() { isRetired = true }

    /// The pool shuts down.
    /// - Returns: the requests that were waiting.
    package mutating func shutdown() -> Deque<Call> {
        isRetired = true
        defer { waiting = [] }
        return waiting
    }
}
