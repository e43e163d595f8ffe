// An HTTP/2 stream for a protocol other than request and response: a WebSocket (RFC 8441), or a bidirectional remote
// call. For both sides.

import NIOCore
import SkeinCore
import SkeinWire

/// The user of a tunnel. Called on the loop.
package protocol HTTP2TunnelUser: AnyObject {
    /// The server's response has begun; called for a client's user that was set when the stream opened.
    func received(_ head: ResponseHead)
    /// Content has arrived, or its end.
    func received(_ bytes: ByteBuffer, isLast: Bool)
    /// The stream has ended with trailers.
    func received(trailers: Headers)
    /// The peer has read most of the output.
    func becameWritable()
    /// The stream or its connection ended early.
    func ended(_ error: (any Error)?)
    /// The server shuts down.
    func leave(_ code: WebSocketCloseCode)
}

/// One stream.
///
/// Unchecked: every method is called on the loop of its connection.
package final class HTTP2Tunnel: ByteTransport, @unchecked Sendable {
    /// Pending output above which the tunnel is not writable.
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

    /// Sets the user.
    package func carry(_ user: any HTTP2TunnelUser) { self.user = user }

    // MARK: Calls from the connection

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

    /// Delivers content that has been counted already.
    package func replay(_ bytes: ByteBuffer) { user?.received(bytes, isLast: false) }

    package func receive(trailers: Headers) {
        user?.received(trailers: trailers)
        receivedAll()
    }

    package func drained() { user?.becameWritable() }

    /// The stream or its connection ended early.
    package func end(_ error: (any Error)?) {
        let user = self.user
        forget()
        user?.ended(error)
    }

    /// The server shuts down.
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

    // MARK: Calls from the user

    /// Responds to a request, as a server.
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

    /// Ends our side after the peer has ended its side, or resets the stream if output is stuck.
    package func endOrGiveUp() {
        if driver.engine.waitingBytes(on: stream) == 0 { endOutput() } else { close(.cancel) }
    }

    /// Resets the stream after our end was sent, if the peer still sends.
    package func refuseMore() {
        if hasSentAll, !driver.engine.isSending(stream) { close(.noError) }
    }

    package func close() { close(.cancel) }

    /// Resets the stream; its user is told that it has ended.
    package func close(_ code: HTTP2ErrorCode) {
        if driver.engine.isSending(stream) || driver.engine.isReceiving(stream) { driver.cancel(stream, code) }
        end(nil)
    }
}
