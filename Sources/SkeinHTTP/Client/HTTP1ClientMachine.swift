// The client's side of one HTTP/1.1 connection (RFC 9112), without I/O: which request may be sent when, whose answer it is that
// arrives, what becomes of the others, and whether the connection is kept. The pool's connection is its driver.

import DequeModule
import NIOCore

/// A request as the machine sees it.
package protocol HTTP1ClientCall: AnyObject {
    /// Whether others may be sent behind it before its answer is here (RFC 9112, section 9.3.2).
    var mayBeFollowed: Bool { get }
}

/// The state of a connection to an origin.
package struct HTTP1ClientMachine<Call: HTTP1ClientCall> {
    /// How far the content of the latest request is.
    package enum Content {
        case sent
        /// It waits until the server asks for it (RFC 9110, section 10.1.1).
        case held(Call)
        /// It is made while it is sent; nothing else is sent before its end.
        case streaming(Call)
        /// The server has answered without it, which leaves the connection in the middle of a request.
        case spared
    }

    package enum State {
        case open(Content)
        /// Takes nothing, and what arrives means nothing.
        case closing
        /// The channel has ended, or is another handler's.
        case over
    }

    /// What a connection is allowed.
    package struct Limits: Sendable {
        package var pipelineDepth = 1
        package var keepsAlive = true
        package var idle = TimeAmount.seconds(30)
        package var silence = TimeAmount.seconds(60)
        package var age = TimeAmount.seconds(600)

        package init() {}
    }

    /// A request without an answer.
    package struct InFlight {
        package let call: Call
        /// Whether the end of the connection says nothing about this request: the server had kept the connection without knowing
        /// of it, or another one is to blame. It is sent again then, if it is one that may be.
        package fileprivate(set) var isBlameless: Bool
        fileprivate let write: Int

        /// Whether any of it has left, after so many writes of the connection.
        package func isSent(after writes: Int) -> Bool { writes > write }
    }

    /// What becomes of a connection behind an answer.
    package enum Next: Equatable {
        /// It takes the next request.
        case free
        /// It goes on with those under way, or with the content that is being sent.
        case busy
        case close
    }

    package enum Silence: Equatable {
        case wait(until: NIODeadline)
        case close
        /// The server does not answer the first request.
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

    // MARK: What the pool asks

    package var isOpen: Bool { if case .open = state { true } else { false } }
    package var isIdle: Bool { inFlight.isEmpty }
    package var first: Call? { inFlight.first?.call }

    /// Whether it takes a request, having none.
    package func isUsable(at now: NIODeadline) -> Bool {
        guard case .open(.sent) = state else { return false }
        return isFresh(at: now)
    }

    private func isFresh(at now: NIODeadline) -> Bool {
        now < born + limits.age && now < lastActivity + limits.idle
    }

    /// Whether it takes another request behind those under way.
    package func isPipelinable(at now: NIODeadline) -> Bool {
        guard case .open(.sent) = state, inFlight.count < limits.pipelineDepth, now < born + limits.age else {
            return false
        }
        return inFlight.allSatisfy { $0.call.mayBeFollowed }
    }

    // MARK: Sending

    /// The head of a request is sent, and its content if that is short.
    /// - Parameter writes: the connection's writes so far; the request leaves with the next one.
    package mutating func send(_ call: Call, at now: NIODeadline, writes: Int) {
        inFlight.append(InFlight(call: call, isBlameless: hasServed, write: writes))
        hasServed = true
        lastActivity = now
    }

    /// The content of the latest request waits for the server's word.
    package mutating func holdContent(of call: Call) { if isOpen { state = .open(.held(call)) } }

    /// The content of the latest request follows piece by piece.
    package mutating func streamContent(of call: Call) { if isOpen { state = .open(.streaming(call)) } }

    /// The server asks for the content, or has been silent for long enough.
    /// - Returns: whether its content is sent now; false when it does not wait any more.
    package mutating func releaseContent(of call: Call) -> Bool {
        guard case .open(.held(let held)) = state, call === held else { return false }
        state = .open(.sent)
        return true
    }

    /// The last piece of a content is sent, or none follows.
    /// - Parameter isWhole: whether all was sent; if not, the connection is in the middle of a request.
    package mutating func contentEnded(of call: Call, isWhole: Bool) -> Next {
        guard case .open(.streaming(let sender)) = state, sender === call else { return .busy }
        guard isWhole else { return .close }
        state = .open(.sent)
        return inFlight.isEmpty ? .free : .busy
    }

    /// Bytes of a content have left.
    package mutating func madeProgress(at now: NIODeadline) { lastActivity = now }

    // MARK: Receiving

    /// The request whose answer arrives; nil when nothing that has left is without an answer, so that what arrives was not asked for.
    package func expectant(after writes: Int) -> Call? {
        guard let first = inFlight.first, first.isSent(after: writes) else { return nil }
        return first.call
    }

    /// The head of an answer is here.
    package mutating func receiveHead() {
        if case .open(.held(let held)) = state, held === first { state = .open(.spared) }
    }

    /// An answer is complete.
    /// - Parameters:
    ///   - reusable: whether server and framing leave the connection in order.
    ///   - isClean: whether nothing has arrived behind it. What was not asked for could be an answer that somebody made up: the
    ///     next request must not see it.
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

    /// The connection is given to another protocol, with the answer to its first request.
    package mutating func handOver() -> Call? {
        state = .over
        return inFlight.popFirst()?.call
    }

    // MARK: The end

    /// A request is given up. Its answer cannot be skipped, so that the connection ends; those behind it are not to blame.
    /// - Returns: whether it was under way here.
    package mutating func abandon(_ call: Call) -> Bool {
        guard let position = inFlight.firstIndex(where: { $0.call === call }) else { return false }
        inFlight.remove(at: position)
        for index in inFlight.indices { inFlight[index].isBlameless = true }
        return true
    }

    /// The answer under way cannot be used, with which the connection has to end.
    package mutating func failFirst() -> Call? { inFlight.popFirst()?.call }

    /// Begins the end.
    /// - Returns: whether it had not begun.
    package mutating func close() -> Bool {
        guard isOpen else { return false }
        state = .closing
        return true
    }

    /// The channel has ended.
    /// - Returns: what was under way.
    package mutating func ended() -> Deque<InFlight> {
        state = .over
        defer { inFlight = [] }
        return inFlight
    }

    // MARK: Time

    /// When to look at the connection next: not for each request, but as often as something can be due.
    package func nextLook(at now: NIODeadline) -> NIODeadline {
        let span = min(limits.idle, limits.silence)
        return max(lastActivity, now - span + .milliseconds(100)) + span
    }

    /// The moment has come.
    /// - Parameter isRead: whether the server is listened to; if not, it cannot be blamed for its silence.
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
