// The server's side of one HTTP/1.1 connection (RFC 9112), without I/O: which part of a request is expected, whether
// the connection is reused after a response, how it ends, and the deadline of each state. `HTTP1ServerConnection` is
// its driver.

import NIOCore
import SkeinWire

/// The state of a client's connection.
struct HTTP1ServerMachine {
    struct Limits {
        var header = TimeAmount.seconds(10)
        var body = TimeAmount.seconds(60)
        var keepAlive = TimeAmount.seconds(60)
        /// Requests on one connection at most.
        var requests = Int.max
        var rate = BodyRate(minimum: 0)
    }

    /// The state of the connection, which determines its deadline.
    enum State {
        /// The next request: nothing of it has arrived.
        case idle
        /// The rest of a head.
        case head
        /// The rest of a request, its response, or the client to take the response.
        case serving(Request)
        /// The end of the client's side, after our last byte.
        case lingering(isOutputClosed: Bool)
        /// The channel has closed, or another handler has taken it over.
        case over
    }

    /// The request that is being served.
    struct Request {
        var exchange: ServerExchange
        /// Whether the client wants to keep the connection.
        fileprivate let keepAlive: Bool
        /// The length of the content, if it is known.
        fileprivate let length: Int?
        /// Whether the connection is kept after the response.
        fileprivate(set) var persists = false
    }

    /// The part that the decoder should parse next.
    enum Expectation: Equatable {
        case head
        case content
        case nothing
    }

    /// The handling of arriving bytes.
    enum Arrival: Equatable {
        case decode
        case ignore
        /// The content arrives more slowly than the limit.
        case refuse
    }

    /// The step after a response.
    enum Next: Equatable {
        /// The next request.
        case request
        /// The rest of the content is discarded, then the next request follows.
        case discard
        case linger
        /// The connection has ended in the meantime.
        case nothing
    }

    enum End: Equatable {
        case nothing
        /// Close our side when all is written, then wait for the client's end.
        case linger
        /// Close our side; wait for the client's end.
        case closeOutput
        case cutOff
    }

    enum Overdue: Equatable {
        case nothing
        case cutOff
        /// The head of a request did not arrive in time: respond with 408.
        case refuse
        /// The client neither sends nor reads in time: fail the content, and close the connection.
        case stalled
    }

    /// How long an idle connection may still send a request when the server stops.
    static let lastChance = TimeAmount.milliseconds(200)

    private let limits: Limits
    private(set) var state = State.head
    /// When the driver calls ``timerFired(at:hasBytes:isReading:isWriting:)``.
    private(set) var deadline: NIODeadline
    private(set) var served = 0
    private(set) var hasClientFinished = false

    /// A connection that was just accepted.
    init(_ limits: Limits, at now: NIODeadline) {
        self.limits = limits
        deadline = now + limits.header
    }

    /// The request that is being served, if there is one.
    var request: Request? { if case .serving(let request) = state { request } else { nil } }

    var expectation: Expectation {
        switch state {
        case .idle, .head: .head
        case .serving(let request): request.exchange.isComplete ? .nothing : .content
        case .lingering, .over: .nothing
        }
    }

    // MARK: Receiving

    /// Bytes have arrived.
    mutating func receive(at now: NIODeadline) -> Arrival {
        switch state {
        case .lingering, .over: return .ignore
        case .idle:
            state = .head
            deadline = now + limits.header
        case .head: break
        case .serving(let request):
            deadline = now + limits.body
            if request.exchange.isTooSlow(at: now) { return .refuse }
        }
        return .decode
    }

    /// The head of a request has arrived.
    /// - Returns: false when its content is larger than `maximum`.
    mutating func receiveHead(_ head: RequestHead, maximum: Int, at now: NIODeadline) -> Bool {
        served += 1
        let length: Int? = if case .known(let length) = head.bodyLength { length } else { nil }
        if let length, length > maximum { return false }
        let exchange = ServerExchange(
            hasContent: head.bodyLength != .none, expectsContinue: head.expectsContinue, maximum: maximum,
            rate: limits.rate, at: now)
        state = .serving(Request(exchange: exchange, keepAlive: head.keepAlive, length: length))
        deadline = now + limits.body
        return true
    }

    /// A piece of the content has arrived.
    mutating func receiveContent(_ count: Int, at now: NIODeadline) -> ServerExchange.Receipt {
        change { $0.exchange.receive(count, at: now) } ?? .discard
    }

    /// The content is complete.
    /// - Returns: whether its response is, too, so that the next request follows.
    mutating func receiveEnd() -> Bool {
        change { $0.exchange.receiveEnd() }
        guard let request, request.exchange.isOver else { return false }
        state = .idle
        return true
    }

    /// The decoder has no more events for now.
    /// - Parameter isBetweenRequests: whether no byte of the next request has arrived.
    mutating func settle(isBetweenRequests: Bool, at now: NIODeadline) {
        guard case .idle = state else { return }
        if isBetweenRequests {
            deadline = now + limits.keepAlive
        } else {
            state = .head
            deadline = now + limits.header
        }
    }

    /// The client has closed its side. Requests in flight are still answered.
    mutating func inputClosed() -> End {
        hasClientFinished = true
        switch state {
        case .serving(let request):
            return request.exchange.isComplete && !request.exchange.isEndless ? .nothing : .cutOff
        case .lingering(let isOutputClosed): return isOutputClosed ? .cutOff : .nothing
        case .idle, .head: return .linger
        case .over: return .cutOff
        }
    }

    // MARK: The handler reads

    /// - Returns: whether 100 (Continue) is sent now.
    mutating func contentIsWanted(at now: NIODeadline) -> Bool {
        guard change({ $0.exchange.contentIsWanted(at: now) }) == true else { return false }
        deadline = now + limits.body
        return true
    }

    /// The connection is not read any more.
    mutating func pause(at now: NIODeadline) { change { $0.exchange.pause(at: now) } }

    /// The connection is read again.
    mutating func resume(at now: NIODeadline) {
        change { $0.exchange.resume(at: now) }
        if request != nil { deadline = now + limits.body }
    }

    // MARK: Sending

    /// Whether the connection is kept after the response: both sides want it, and the rest of the content is worth reading.
    /// - Parameter closes: whether the response, or a server that stops, ends the connection.
    func persists(closes: Bool) -> Bool {
        guard let request, request.keepAlive, !closes, !hasClientFinished, served < limits.requests else {
            return false
        }
        switch request.exchange.content {
        case .complete: return true
        case .awaited: return false
        case .arriving:
            guard let length = request.length else { return false }
            return length - request.exchange.received <= ServerExchange.discardLimit
        }
    }

    /// The head of the response is written.
    mutating func beginResponse(persists: Bool, isEndless: Bool) {
        change {
            $0.persists = persists
            $0.exchange.beginResponse(isEndless: isEndless)
        }
    }

    /// All of the response is written.
    mutating func endResponse(at now: NIODeadline) -> Next {
        guard case .serving(var request) = state else { return .nothing }
        guard request.persists, !hasClientFinished else { return .linger }
        request.exchange.endResponse(at: now)
        state = request.exchange.isComplete ? .idle : .serving(request)
        return request.exchange.isComplete ? .request : .discard
    }

    /// The client has read some of the response, or more output was written.
    mutating func madeProgress(at now: NIODeadline) { deadline = now + limits.body }

    // MARK: The end

    /// The last response is written, or there is none.
    mutating func linger(at now: NIODeadline) {
        state = .lingering(isOutputClosed: false)
        deadline = now + limits.body
    }

    /// The client has received the last byte. Our side ends first, so that a TCP reset does not destroy the last
    /// response (RFC 9112, section 9.6).
    mutating func outputTaken(at now: NIODeadline) -> End {
        guard case .lingering = state else { return .nothing }
        state = .lingering(isOutputClosed: true)
        deadline = now + .seconds(1)
        return hasClientFinished ? .cutOff : .closeOutput
    }

    /// The server stops.
    mutating func drain(isBetweenRequests: Bool, at now: NIODeadline) -> End {
        switch state {
        case .serving(let request) where request.exchange.isEndless: return .cutOff
        // A client that does not know yet that the server stops may have sent a request already.
        case .idle: deadline = now + Self.lastChance
        case .head: if isBetweenRequests { deadline = now + Self.lastChance }
        case .serving, .lingering, .over: break
        }
        return .nothing
    }

    /// The channel has closed, or another handler takes it over.
    mutating func end() { state = .over }

    /// The timer has fired.
    /// - Parameters:
    ///   - hasBytes: whether bytes of a head have arrived.
    ///   - isReading: whether the connection is being read; if not, the client's silence does not count.
    ///   - isWriting: whether the client has not taken what was written.
    mutating func timerFired(at now: NIODeadline, hasBytes: Bool, isReading: Bool, isWriting: Bool) -> Overdue {
        guard deadline <= now else { return .nothing }
        switch state {
        case .head: return served == 0 && !hasBytes ? .cutOff : .refuse
        case .serving(let request):
            // A handler may be slow, and the client waits for it.
            if request.exchange.awaitsClient && isReading || isWriting { return .stalled }
            deadline = now + limits.body
            return .nothing
        case .idle, .lingering, .over: return .cutOff
        }
    }

    @discardableResult private mutating func change<Result>(_ work: (inout Request) -> Result) -> Result? {
        guard case .serving(var request) = state else { return nil }
        defer { state = .serving(request) }
        return work(&request)
    }
}
