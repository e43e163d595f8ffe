// What can be watched while a request goes its way.

import NIOCore
import SkeinCore
import SkeinWire

/// What is called for each request, on its event loop unless it says otherwise: it must not block.
public struct HTTPEvents: Sendable {
    /// Once, before the request is sent; it may change it (`pre_request`).
    public var beforeRequest: (@Sendable (inout HTTPRequest) -> Void)?
    /// For each answer before the answer, such as 103 with hints at what is worth to be fetched (RFC 8297).
    public var onInformational: (@Sendable (HTTPResponse) -> Void)?
    /// Once, when the head of the answer is there, the last one after redirects; the response has no content yet.
    public var onHeaders: (@Sendable (HTTPResponse) -> Void)?
    /// For each piece of content as it was sent, still compressed if it is.
    public var dataReceived: (@Sendable (HTTPResponse, ByteBuffer) -> Void)?
    /// For each piece of content as it is meant. For a streamed answer where its consumer takes it.
    public var dataProcessed: (@Sendable (HTTPResponse, ByteBuffer) -> Void)?
    /// Once, when it is over, whatever came of it (`post_request`).
    public var afterRequest: (@Sendable (HTTPResponse) -> Void)?

    /// None.
    public init() {}
}

/// The events of a session and of a request, in this order.
struct EventSink: Sendable {
    private let listeners: [HTTPEvents]

    /// Nil when nobody listens.
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

    /// What is called with content as it is meant, or nil.
    var dataProcessed: (@Sendable (HTTPResponse, ByteBuffer) -> Void)? {
        let calls = listeners.compactMap(\.dataProcessed)
        if calls.isEmpty { return nil }
        return { (response: HTTPResponse, bytes: ByteBuffer) in for call in calls { call(response, bytes) } }
    }

    func afterRequest(_ answer: HTTPAnswer) {
        for listener in listeners { listener.afterRequest?(HTTPResponse(answer)) }
    }
}
