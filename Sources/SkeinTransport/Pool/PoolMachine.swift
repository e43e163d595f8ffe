// The decisions of a connection pool, without I/O: which connection a call is sent on, which lease gets a connection, and when another
// connection is made. `PipelinePool` is its driver. It asks for one action at a time and performs it before it asks for the next.

import DequeModule
import NIOCore

/// A connection.
package protocol PoolMember: AnyObject {
    /// Whether it accepts calls.
    var isUsable: Bool { get }
    /// Calls without a response.
    var underWay: Int { get }
    /// The time of the last response, or, before one, of the first call.
    var lastProgress: NIODeadline { get }
}

/// A call.
package protocol PoolCall: AnyObject {
    /// Whether it has ended, for example by its timeout.
    var isOver: Bool { get }
}

/// The state of a pool. Calls share its connections; a lease is exclusive.
///
/// A call is sent on the connection with the fewest calls in flight. Another connection is made only when all have been silent for
/// `growAfter` with calls in flight, that is, when a slow call delays the others.
package struct PoolMachine<Member: PoolMember, Call: PoolCall, Lease: AnyObject> {
    package struct Limits: Sendable {
        /// The maximum number of connections, including leased ones and those being opened.
        package var maximum: Int
        /// The maximum number of shared connections. With one, calls are executed in order.
        package var maximumShared = Int.max
        /// How long all connections may be silent with calls in flight before another is made.
        package var growAfter = TimeAmount.milliseconds(5)
        /// The limit of queued leases.
        package var maximumWaiting = 10_000

        package init(maximum: Int) { self.maximum = max(1, maximum) }
    }

    package enum Action {
        case send(Call, Member)
        case grant(Member, Lease)
        case connect
    }

    /// The event before the machine is asked for an action.
    package enum Occasion {
        /// A call or a lease was queued, or a connection has closed.
        case need
        /// A connection was made. Waiting calls come before leases, which can be long.
        case made(Member)
        /// A connection has received a response or was returned. If it is idle, leases come first. Waiting calls are
        /// sent without waiting for a new connection.
        case room(Member)
        /// A connection could not be opened, or a waiting lease was cancelled. The open connections serve the queue.
        case noMore
    }

    package let limits: Limits
    package private(set) var shared: [Member] = []
    package private(set) var leased: [Member] = []
    /// Connections that accept no more calls and close after the last one in flight.
    package private(set) var leaving: [Member] = []
    package private(set) var connecting = 0
    private var calls = Deque<Call>()
    private var leases = Deque<Lease>()

    package init(_ limits: Limits) { self.limits = limits }

    /// Open connections.
    package var count: Int { shared.count + leased.count }
    /// Whether calls wait for a connection.
    package var hasWaiting: Bool { !calls.isEmpty }
    /// Whether the queue of leases is full.
    package var isLeaseQueueFull: Bool { leases.count >= limits.maximumWaiting }

    // MARK: Calls

    /// The connection for a call; nil when it must wait.
    ///
    /// ``sole`` gives it without a check of each connection.
    package func pick(at now: NIODeadline) -> Member? {
        guard calls.isEmpty else { return nil }
        var best: Member?
        var fewest = Int.max
        let reserved = reserved
        for member in shared.prefix(limits.maximumShared) where member.isUsable && member !== reserved {
            let load = member.underWay
            if load == 0 { return member }
            if load < fewest, !mayGrow || now - member.lastProgress < limits.growAfter {
                best = member
                fewest = load
            }
        }
        return best
    }

    /// The single connection for all calls, while the queue is empty and no other connection may be used.
    package var sole: Member? {
        limits.maximumShared == 1 && calls.isEmpty && leases.isEmpty ? shared.first : nil
    }

    package mutating func enqueue(_ call: Call) { calls.append(call) }
    package mutating func enqueue(_ lease: Lease) { leases.append(lease) }

    /// Removes a waiting lease.
    /// - Returns: whether it was waiting.
    package mutating func dismiss(_ lease: Lease) -> Bool {
        guard let index = leases.firstIndex(where: { $0 === lease }) else { return false }
        leases.remove(at: index)
        return true
    }

    // MARK: Actions

    /// The next action; nil when there is none.
    package mutating func next(_ occasion: Occasion) -> Action? {
        while let first = calls.first, first.isOver { calls.removeFirst() }
        switch occasion {
        case .need: return grantIdle() ?? connect() ?? (connecting == 0 ? send() : nil)
        case .made(let member):
            if calls.isEmpty, member.underWay == 0, let granted = grant(member) { return granted }
            return send() ?? connect()
        case .room(let member):
            if member.underWay == 0, let action = grantIdle() ?? (leases.isEmpty ? nil : connect()) { return action }
            return send()
        case .noMore:
            guard connecting == 0 else { return nil }
            if let free = shared.last(where: { $0.isUsable && $0.underWay == 0 }), let granted = grant(free) {
                return granted
            }
            return send()
        }
    }

    private mutating func send() -> Action? {
        guard !calls.isEmpty, let member = leastLoaded, let call = calls.popFirst() else { return nil }
        return .send(call, member)
    }

    private mutating func connect() -> Action? {
        let wanted = leases.count + (calls.isEmpty || !mayGrow ? 0 : 1)
        guard mayConnect, connecting < wanted else { return nil }
        connecting += 1
        return .connect
    }

    private mutating func grantIdle() -> Action? {
        guard !leases.isEmpty, let free = shared.last(where: { $0.isUsable && $0.underWay == 0 }) else { return nil }
        // The only shared connection is leased only when no other can be made.
        if limits.maximumShared == 1, free === shared.first, mayConnect || connecting > 0 { return nil }
        return grant(free)
    }

    private mutating func grant(_ member: Member) -> Action? {
        guard mayGrant, shared.contains(where: { $0 === member }), let lease = leases.popFirst() else { return nil }
        shared.removeAll { $0 === member }
        leased.append(member)
        return .grant(member, lease)
    }

    private var mayConnect: Bool { count + connecting < limits.maximum }
    /// Whether another connection may be made for calls.
    private var mayGrow: Bool { mayConnect && shared.count < limits.maximumShared }
    /// One connection is kept for calls, if there can be two.
    private var mayGrant: Bool { leased.count < max(1, limits.maximum - 1) }

    private var leastLoaded: Member? {
        let reserved = reserved
        return shared.prefix(limits.maximumShared).filter { $0.isUsable && $0 !== reserved }
            .min { $0.underWay < $1.underWay }
    }

    /// The connection that gets no more calls because a lease waits for it: the first one, when no new one can be made.
    private var reserved: Member? {
        guard !leases.isEmpty, !mayConnect, connecting == 0, mayGrant else { return nil }
        return shared.first(where: \.isUsable)
    }

    // MARK: Events

    /// A connection was opened.
    package mutating func connected(_ member: Member) {
        connecting -= 1
        shared.append(member)
    }

    /// A connection could not be opened.
    /// - Returns: the calls and leases that fail, since no other connection can serve them.
    package mutating func connectFailed() -> (calls: Deque<Call>, leases: Deque<Lease>) {
        connecting -= 1
        guard connecting == 0, !shared.contains(where: \.isUsable) else { return ([], []) }
        defer {
            calls = []
            if leased.isEmpty { leases = [] }
        }
        return (calls, leased.isEmpty ? leases : [])
    }

    /// A leased connection is returned.
    /// - Parameter isKept: whether it stays in the pool.
    /// - Returns: whether it was leased.
    package mutating func giveBack(_ member: Member, isKept: Bool) -> Bool {
        guard let index = leased.firstIndex(where: { $0 === member }) else { return false }
        leased.remove(at: index)
        if isKept { shared.append(member) }
        return true
    }

    /// A connection takes no more calls.
    package mutating func isLeaving(_ member: AnyObject) {
        leaving += shared.filter { $0 === member }
        shared.removeAll { $0 === member }
    }

    /// A connection has closed.
    package mutating func isGone(_ member: AnyObject) {
        shared.removeAll { $0 === member }
        leased.removeAll { $0 === member }
        leaving.removeAll { $0 === member }
    }

    /// The pool shuts down.
    /// - Returns: the calls and leases that were waiting.
    package mutating func shutdown() -> (calls: Deque<Call>, leases: Deque<Lease>) {
        defer {
            calls = []
            leases = []
        }
        return (calls, leases)
    }
}
