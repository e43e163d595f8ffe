// Event handlers of a request.

import NIOCore
import SkeinCore
import SkeinWire

/// Handlers for each request, called on its event loop unless stated otherwise: they must not block.
public struct HTTPEvents: Sendable {
    /// Once, before the request is sent; the handler may change it (`pre_request`).
    public var beforeRequest: (@Sendable (inout HTTPRequest) -> Void)?
    /// For each interim response, such as 103 (Early Hints) (RFC 8297).
    public var onInformational: (@Sendable (HTTPResponse) -> Void)?
    /// Once, when the head of the final response has arrived, after redirects; the response has no content yet.
    public var onHeaders: (@Sendable (HTTPResponse) -> Void)?
    /// For each piece of content as received, before decoding.
    public var dataReceived: (@Sendable (HTTPResponse, ByteBuffer) -> Void)?
    /// For each piece of decoded content; for a streamed response, called where its consumer reads.
    public var dataProcessed: (@Sendable (HTTPResponse, ByteBuffer) -> Void)?
    /// Once, when the request is over, whether it succeeded or failed (`post_request`).
    public var afterRequest: (@Sendable (HTTPResponse) -> Void)?

    /// None.
    public init() {}
}

/// The events of a session and of a request, in this order.
struct EventSink: Sendable {
    private let listeners: [HTTPEvents]

    /// Nil when there are no handlers.
    init?(_ session: HTTPEvents?, _ request: HTTPEvents?) {
        listeners = [session, request].compactMap(\.self)
        if listeners.isEmpty { return nil }
    }

    func beforeRequest(_ request: inout HTTPRequest) {
        for listener in listeners { listener.beforeRequest?(&request) }
    }

    func onHeaders(_ answer: HTTPAnswer) {
        for listener in listeners { listener.onHeaders?(HTTPResponse(answer.snapshot)) }
    }

    func onInformational(_ answer: HTTPAnswer, _ head: ResponseHead) {
        let copy = answer.snapshot
        copy.head = head
        for listener in listeners { listener.onInformational?(HTTPResponse(copy)) }
    }

    func dataReceived(_ answer: HTTPAnswer, _ bytes: ByteBuffer) {
        for listener in listeners { listener.dataReceived?(HTTPResponse(answer.snapshot), bytes) }
    }

    /// The handler for decoded content, or nil.
    var dataProcessed: (@Sendable (HTTPResponse, ByteBuffer) -> Void)? {
        let calls = listeners.compactMap(\.dataProcessed)
        if calls.isEmpty { return nil }
        return { (response: HTTPResponse, bytes: ByteBuffer) in for call in calls { call(response, bytes) } }
    }

    func afterRequest(_ answer: HTTPAnswer) {
        for listener in listeners { listener.afterRequest?(HTTPResponse(answer)) }
    }
}
