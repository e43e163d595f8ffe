// A stream of HTTP/2 in the hands of something that is no request with its answer: a WebSocket (RFC 8441), a remote call whose
// messages go both ways at once. For both sides.

import NIOCore
import SkeinCore
import SkeinWire

/// What speaks through a tunnel. Called on the loop.
package protocol HTTP2TunnelUser: AnyObject {
    /// The server's answer has begun; a client's user that was there from the opening hears of it.
    func received(_ head: ResponseHead)
    /// Content has come, or the end of it.
    func received(_ bytes: ByteBuffer, isLast: Bool)
    /// The end has come with trailers.
    func received(trailers: Headers)
    /// The peer has taken most of what was sent.
    func becameWritable()
    /// The stream or its connection is over before its time.
    func ended(_ error: (any Error)?)
    /// The server stops.
    func leave(_ code: WebSocketCloseCode)
}

/// One stream.
///
/// Unchecked: every method is called on the loop of its connection.
package final class HTTP2Tunnel: ByteTransport, @unchecked Sendable {
    /// Bytes that wait for the peer's window above which it is said to be slow.
    private static let highWater = 64 << 10

    private let driver: HTTP2Driver
    package let stream: HTTP2Stream
    @exclusivity(unchecked) private var user: (any HTTP2TunnelUser)?
    @exclusivity(unchecked) private var withheld = 0
    @exclusivity(unchecked) private var isPaused = false
    @exclusivity(unchecked) private var hasReceivedAll = false
    @exclusivity(unchecked) private var hasSentAll = false
    @exclusivity(unchecked) private var onEnd: (() -> Void)?

    /// - Parameter onEnd: called once, when the stream is over.
    package init(_ driver: HTTP2Driver, _ stream: HTTP2Stream, onEnd: @escaping () -> Void) {
        self.driver = driver
        self.stream = stream
        self.onEnd = onEnd
        driver.engine.letRest(stream)
    }

    /// Says who speaks.
    package func carry(_ user: any HTTP2TunnelUser) { self.user = user }

    // MARK: What the connection says

    package func receive(_ head: ResponseHead) {
        user?.received(head)
        if head.bodyLength == .none { receivedAll() }
    }

    package func receive(_ bytes: ByteBuffer, isLast: Bool) {
        if isPaused {
            withheld += bytes.readableBytes
        } else {
            driver.engine.consumed(bytes.readableBytes, on: stream)
        }
        user?.received(bytes, isLast: isLast)
        if isLast { receivedAll() }
    }

    /// Content that has been counted already.
    package func replay(_ bytes: ByteBuffer) { user?.received(bytes, isLast: false) }

    package func receive(trailers: Headers) {
        user?.received(trailers: trailers)
        receivedAll()
    }

    package func drained() { user?.becameWritable() }

    /// The stream or its connection is over before its time.
    package func end(_ error: (any Error)?) {
        let user = self.user
        forget()
        user?.ended(error)
    }

    /// The server stops.
    package func leave(_ code: WebSocketCloseCode) { user?.leave(code) }

    /// The peer's side has ended.
    package func receivedAll() {
        hasReceivedAll = true
        if hasSentAll { forget() }
    }

    private func forget() {
        user = nil
        onEnd?()
        onEnd = nil
    }

    // MARK: What the user says

    /// Answers a request, as a server.
    package func respond(_ status: HTTPStatus, _ headers: Headers, date: String?, isLast: Bool = false)
        throws(HeaderProblem)
    {
        try driver.engine.respond(
            status, headers: headers, contentType: nil, length: nil, date: date, isLast: isLast, on: stream)
        driver.flushSoon()
        if isLast { sentAll() }
    }

    package var isWritable: Bool { driver.isOpen && driver.engine.waitingBytes(on: stream) < Self.highWater }

    package func write(_ bytes: ByteBuffer) { write(bytes, isLast: false) }

    package func write(_ bytes: ByteBuffer, isLast: Bool) {
        driver.engine.send(bytes, isLast: isLast, on: stream)
        _ = driver.engine.notifyWhenDrained(stream)
        driver.flushSoon()
        if isLast { sentAll() }
    }

    package func setReading(_ isOn: Bool) {
        isPaused = !isOn
        guard isOn, withheld > 0 else { return }
        driver.engine.consumed(withheld, on: stream)
        withheld = 0
        driver.flushSoon()
    }

    package func endOutput() { if !hasSentAll { write(ByteBuffer(), isLast: true) } }

    /// Ends our side with trailers.
    package func finish(_ trailers: Headers) throws(HeaderProblem) {
        try driver.engine.finish(trailers, on: stream)
        driver.flushSoon()
        sentAll()
    }

    private func sentAll() {
        hasSentAll = true
        if hasReceivedAll { forget() }
    }

    /// What is left of a stream whose other side has had its last word: ours is ended, or given up where it is stuck.
    package func endOrGiveUp() {
        if driver.engine.waitingBytes(on: stream) == 0 { endOutput() } else { close(.cancel) }
    }

    /// Tells a peer that goes on sending behind our last word that nobody listens, once that word is out.
    package func refuseMore() {
        if hasSentAll, !driver.engine.isSending(stream) { close(.noError) }
    }

    package func close() { close(.cancel) }

    /// Gives the stream up; its user hears that it has ended.
    package func close(_ code: HTTP2ErrorCode) {
        if driver.engine.isSending(stream) || driver.engine.isReceiving(stream) { driver.cancel(stream, code) }
        end(nil)
    }
}
