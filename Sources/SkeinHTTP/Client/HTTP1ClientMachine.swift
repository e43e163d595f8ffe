// The client's side of one HTTP/1.1 connection (RFC 9112), without I/O: when a request may be sent, which request a response
// belongs to, what happens to the requests behind it, and whether the connection is kept. `HTTP1ClientConnection` is its driver.

import DequeModule
import NIOCore

/// A request as the machine sees it.
package protocol HTTP1ClientCall: AnyObject {
    /// Whether other requests may be sent after it before its response has arrived (RFC 9112, section 9.3.2).
    var mayBeFollowed: Bool { get }
}

/// The state of a connection to an origin.
package struct HTTP1ClientMachine<Call: HTTP1ClientCall> {
    /// The progress of the latest request's content.
    package enum Content {
        case sent
        /// It waits until the server asks for it (RFC 9110, section 10.1.1).
        case held(Call)
        /// It is sent piece by piece. No other request is sent before its end.
        case streaming(Call)
        /// The server has responded without it. The request is incomplete, so the connection cannot be reused.
        case spared
    }

    package enum State {
        case open(Content)
        /// Sends nothing and ignores what arrives.
        case closing
        /// The channel has closed, or another handler has taken it over.
        case over
    }

    /// The limits of a connection.
    package struct Limits: Sendable {
        package var pipelineDepth = 1
        package var keepsAlive = true
        package var idle = TimeAmount.seconds(30)
        package var silence = TimeAmount.seconds(60)
        package var age = TimeAmount.seconds(600)

        package init() {}
    }

    /// A request whose response is not complete.
    package struct InFlight {
        package let call: Call
        /// Whether this request cannot be the reason for the end of the connection: the server closed an idle connection before it
        /// saw the request, or another request was abandoned. It may be sent again if it is idempotent.
        package fileprivate(set) var isBlameless: Bool
        fileprivate let write: Int

        /// Whether some of it was written, when the connection has made so many writes.
        package func isSent(after writes: Int) -> Bool { writes > write }
    }

    /// The driver's action after a response.
    package enum Next: Equatable {
        /// Return it to the pool.
        case free
        /// Keep it: its content is still being sent.
        case busy
        case close
    }

    package enum Silence: Equatable {
        case wait(until: NIODeadline)
        case close
        /// Fail the first request: the server has sent nothing for too long.
        case fail
    }

    private let limits: Limits
    package private(set) var state = State.open(.sent)
    package private(set) var inFlight = Deque<InFlight>()
    private var hasServed = false
    private let born: NIODeadline
    private var lastActivity: NIODeadline

    /// A connection that was just made.
    package init(_ limits: Limits, at now: NIODeadline) {
        self.limits = limits
        born = now
        lastActivity = now
    }

    // MARK: Calls from the pool

    package var isOpen: Bool { if case .open = state { true } else { false } }
    package var isIdle: Bool { inFlight.isEmpty }
    package var first: Call? { inFlight.first?.call }

    /// Whether the connection is idle and can take a request.
    package func isUsable(at now: NIODeadline) -> Bool {
        guard case .open(.sent) = state, inFlight.isEmpty else { return false }
        return isFresh(at: now)
    }

    private func isFresh(at now: NIODeadline) -> Bool {
        now < born + limits.age && now < lastActivity + limits.idle
    }

    /// Whether another request can be pipelined.
    package func isPipelinable(at now: NIODeadline) -> Bool {
        guard case .open(.sent) = state, inFlight.count < limits.pipelineDepth, now < born + limits.age else {
            return false
        }
        return inFlight.allSatisfy { $0.call.mayBeFollowed }
    }

    // MARK: Sending

    /// The head of a request is in the output buffer, and its content if that is short.
    /// - Parameter writes: how many writes the connection has made; the next one carries the request.
    package mutating func send(_ call: Call, at now: NIODeadline, writes: Int) {
        inFlight.append(InFlight(call: call, isBlameless: hasServed, write: writes))
        hasServed = true
        lastActivity = now
    }

    /// The content of the latest request waits for 100 (Continue).
    package mutating func holdContent(of call: Call) { if isOpen { state = .open(.held(call)) } }

    /// The content of the latest request follows piece by piece.
    package mutating func streamContent(of call: Call) { if isOpen { state = .open(.streaming(call)) } }

    /// The server has sent 100 (Continue), or the time to wait for it is over.
    /// - Returns: whether the driver sends the content now; false when it does not wait any more.
    package mutating func releaseContent(of call: Call) -> Bool {
        guard case .open(.held(let held)) = state, call === held else { return false }
        state = .open(.sent)
        return true
    }

    /// The last piece of a content was sent, or its source has failed.
    /// - Parameter isWhole: whether all of it was sent; if not, the request is incomplete on the connection.
    package mutating func contentEnded(of call: Call, isWhole: Bool) -> Next {
        guard case .open(.streaming(let sender)) = state, sender === call else { return .busy }
        guard isWhole else { return .close }
        state = .open(.sent)
        return inFlight.isEmpty ? .free : .busy
    }

    /// Bytes were sent or received.
    package mutating func madeProgress(at now: NIODeadline) { lastActivity = now }

    // MARK: Receiving

    /// The request that arriving bytes answer; nil when every request that was written has its response, so that the bytes are
    /// unsolicited.
    package func expectant(after writes: Int) -> Call? {
        guard let first = inFlight.first, first.isSent(after: writes) else { return nil }
        return first.call
    }

    /// The head of a response has arrived.
    package mutating func receiveHead() {
        if case .open(.held(let held)) = state, held === first { state = .open(.spared) }
    }

    /// A response is complete.
    /// - Parameters:
    ///   - reusable: whether the response's framing and fields allow another request.
    ///   - isClean: whether no bytes follow it. With no other request in flight, such bytes could be a forged response to the next
    ///     request.
    package mutating func receiveEnd(reusable: Bool, isClean: Bool) -> (call: Call, next: Next)? {
        guard let call = inFlight.popFirst()?.call else { return nil }
        guard case .open(let content) = state, reusable, isClean || !inFlight.isEmpty, limits.keepsAlive else {
            return (call, .close)
        }
        switch content {
        case .spared: return (call, .close)
        case .streaming: return (call, .busy)
        case .sent, .held: return (call, .free)
        }
    }

    /// Another protocol takes over the connection.
    /// - Returns: the request that asked for it.
    package mutating func handOver() -> Call? {
        state = .over
        return inFlight.popFirst()?.call
    }

    // MARK: The end

    /// A caller has abandoned a request. Its response cannot be skipped, so the driver closes the connection; the requests behind it
    /// may be sent again.
    /// - Returns: whether the request was in flight here.
    package mutating func abandon(_ call: Call) -> Bool {
        guard let position = inFlight.firstIndex(where: { $0.call === call }) else { return false }
        inFlight.remove(at: position)
        for index in inFlight.indices { inFlight[index].isBlameless = true }
        return true
    }

    /// Removes the first request, which the driver fails. The connection has to be closed.
    package mutating func failFirst() -> Call? { inFlight.popFirst()?.call }

    /// The driver closes the connection.
    /// - Returns: false when it was closing already.
    package mutating func close() -> Bool {
        guard isOpen else { return false }
        state = .closing
        return true
    }

    /// The channel has closed.
    /// - Returns: the requests that were in flight, the oldest first.
    package mutating func ended() -> Deque<InFlight> {
        state = .over
        defer { inFlight = [] }
        return inFlight
    }

    // MARK: Time

    /// When the driver calls ``look(at:isRead:)`` next. The timer is not set again for each request.
    package func nextLook(at now: NIODeadline) -> NIODeadline {
        let span = min(limits.idle, limits.silence)
        return max(lastActivity, now - span + .milliseconds(100)) + span
    }

    /// The timer has fired.
    /// - Parameter isRead: whether the connection is being read; if not, the server's silence does not count.
    package mutating func look(at now: NIODeadline, isRead: Bool) -> Silence {
        guard first != nil else { return isFresh(at: now) ? .wait(until: nextLook(at: now)) : .close }
        if !isRead {
            lastActivity = now
        } else if lastActivity + limits.silence <= now {
            return .fail
        }
        return .wait(until: nextLook(at: now))
    }
}
