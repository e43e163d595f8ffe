// A stream of HTTP/2 that carries another protocol (RFC 8441), for both sides.

import NIOCore
import SkeinCore
import SkeinWire

/// The bytes of a socket as the content of a stream.
///
/// Unchecked: every method is called on the loop of its connection.
package final class HTTP2Tunnel: WebSocketTransport, @unchecked Sendable {
    /// Bytes that wait for the peer's window above which it is said to be slow.
    private static let highWater = 64 << 10

    private let driver: HTTP2Driver
    package let stream: HTTP2Stream
    private var link: WebSocketLink?
    private var withheld = 0
    private var isPaused = false
    private var onEnd: (() -> Void)?

    /// - Parameter onEnd: called once, when the stream is over.
    package init(_ driver: HTTP2Driver, _ stream: HTTP2Stream, onEnd: @escaping () -> Void) {
        self.driver = driver
        self.stream = stream
        self.onEnd = onEnd
    }

    /// Says whose bytes they are.
    package func carry(_ link: WebSocketLink) { self.link = link }

    // MARK: What the connection says

    /// Content has come.
    package func receive(_ bytes: ByteBuffer, isLast: Bool) {
        if isPaused {
            withheld += bytes.readableBytes
        } else {
            driver.engine.consumed(bytes.readableBytes, on: stream)
        }
        link?.receive(bytes)
        link?.flush()
        if isLast { end(nil) }
    }

    /// The peer has taken most of what was sent.
    package func drained() { link?.becameWritable() }

    /// The stream or its connection is over.
    package func end(_ error: (any Error)?) {
        let link = self.link
        self.link = nil
        link?.transportEnded(error)
        onEnd?()
        onEnd = nil
    }

    /// Says that the server stops.
    package func leave() { link?.close(WebSocketClosing(.goingAway, "the server stops")) }

    // MARK: What the socket says

    package var isWritable: Bool { driver.isOpen && driver.engine.waitingBytes(on: stream) < Self.highWater }

    package func write(_ bytes: ByteBuffer) {
        driver.engine.send(bytes, isLast: false, on: stream)
        _ = driver.engine.notifyWhenDrained(stream)
        driver.flushSoon()
    }

    package func setReading(_ isOn: Bool) {
        isPaused = !isOn
        guard isOn, withheld > 0 else { return }
        driver.engine.consumed(withheld, on: stream)
        withheld = 0
        driver.flushSoon()
    }

    package func endOutput() {
        try? driver.engine.finish(nil, on: stream)
        driver.flushSoon()
    }

    package func close() {
        if driver.engine.isSending(stream) || driver.engine.isReceiving(stream) { driver.cancel(stream, .cancel) }
        end(nil)
    }
}
