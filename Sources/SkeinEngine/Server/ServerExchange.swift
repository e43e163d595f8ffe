// The server's side of one exchange, without I/O and common to HTTP/1.1 and HTTP/2: the progress of content and
// response, and the handling of content that arrives late, slowly, in excess, or after the response.

import NIOCore

/// The state of one request and its response.
struct ServerExchange {
    enum Content: Equatable {
        /// The client waits for 100 (Continue) before it sends it (RFC 9110, section 10.1.1).
        case awaited
        case arriving
        case complete
    }

    enum Response: Equatable {
        /// The handler runs.
        case pending
        /// Its head is written. It may depend on content that still arrives.
        case sending(isEndless: Bool)
        /// All of it is written; since when.
        case sent(NIODeadline)
    }

    /// The handling of a piece of content.
    enum Receipt: Equatable {
        case deliver
        /// The response is complete without it.
        case discard
        /// More than `discardLimit` was discarded: end the stream or the connection.
        case stop
        /// The content is larger than the limit.
        case tooLarge
    }

    /// The limit of content that is read and discarded after an early response, so that the connection can be reused.
    static let discardLimit = 256 << 10

    /// The limit for content in bytes.
    let maximum: Int
    private let rate: BodyRate
    private(set) var content: Content
    private(set) var response = Response.pending
    /// Received bytes of content.
    private(set) var received = 0
    private var discarded = 0
    /// When the content began, plus the time in which it was not read.
    private var begun: NIODeadline
    private var paused: NIODeadline?

    /// A request whose head has arrived.
    init(hasContent: Bool, expectsContinue: Bool, maximum: Int, rate: BodyRate, at now: NIODeadline) {
        self.maximum = maximum
        self.rate = rate
        begun = now
        content = !hasContent ? .complete : expectsContinue ? .awaited : .arriving
    }

    var isComplete: Bool { content == .complete }
    /// Whether the client must send something. If it waits for 100 (Continue), it must once a response without one has
    /// begun.
    var awaitsClient: Bool { content == .arriving || content == .awaited && !isPending }
    var isPending: Bool { response == .pending }
    var isSent: Bool { if case .sent = response { true } else { false } }
    var isEndless: Bool { response == .sending(isEndless: true) }
    /// Whether nothing remains to be received or sent.
    var isOver: Bool { isComplete && isSent }

    // MARK: The request

    /// Bytes of content have arrived.
    mutating func receive(_ count: Int, at now: NIODeadline) -> Receipt {
        if content == .awaited {
            content = .arriving
            begun = now
        }
        received += count
        guard !isSent else {
            discarded += count
            return discarded > Self.discardLimit ? .stop : .discard
        }
        return received > maximum ? .tooLarge : .deliver
    }

    /// Whether the content arrives more slowly than the limit.
    func isTooSlow(at now: NIODeadline) -> Bool {
        content == .arriving && paused == nil && rate.isTooSlow(received, since: begun, at: now)
    }

    /// All content has arrived.
    mutating func receiveEnd() { content = .complete }

    /// The handler reads the content.
    /// - Returns: whether 100 (Continue) is sent now.
    mutating func contentIsWanted(at now: NIODeadline) -> Bool {
        guard content == .awaited, isPending else { return false }
        content = .arriving
        begun = now
        return true
    }

    /// The content is not read until the handler has caught up; a client that is not read cannot send.
    mutating func pause(at now: NIODeadline) { if paused == nil { paused = now } }

    /// The content is read again.
    mutating func resume(at now: NIODeadline) {
        guard let since = paused else { return }
        paused = nil
        begun = begun + (now - since)
    }

    // MARK: The response

    /// The head of the response is written.
    mutating func beginResponse(isEndless: Bool) { response = .sending(isEndless: isEndless) }

    /// All of the response is written.
    mutating func endResponse(at now: NIODeadline) { response = .sent(now) }

    /// Whether a client with a complete response takes too long to end its request (RFC 9113, section 8.1).
    /// - Parameter isSending: whether some of the response is still being sent.
    mutating func isOverdue(at now: NIODeadline, isSending: Bool) -> Bool {
        guard case .sent(let since) = response, !isComplete else { return false }
        if isSending { response = .sent(now) }
        return !isSending && since < now - BodyRate.grace
    }
}
