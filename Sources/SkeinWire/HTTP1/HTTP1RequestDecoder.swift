// The request parser of a server: splits the bytes of a client into requests, one event at a time.

import NIOCore
import SkeinCore

/// Splits a byte stream into HTTP/1.1 requests (RFC 9112). A value without I/O: append bytes, take events.
public struct HTTP1RequestDecoder: Sendable {
    /// The next part of the stream.
    public enum Event: Sendable {
        /// The head of a request.
        case head(RequestHead)
        /// A piece of its content, a slice of what was appended.
        case body(ByteBuffer)
        /// The request is complete; trailers if it had any.
        case end(trailers: Headers?)
    }

    private enum State {
        /// Parsing `section`, after `requestLine` once that is complete.
        case head
        /// Parsing `body`.
        case body
        case end
    }

    private let limits: HTTP1Limits
    private var buffer = ByteBuffer()
    // Not part of the state: moving them for each event would cost more than parsing the head.
    private var state = State.head
    private var section = FieldSection()
    private var requestLine: RequestLine?
    private var body = BodyDecoder.untilClose
    private var blankLines = 0

    /// A decoder at the start of a connection.
    /// - Parameter limits: the limits for requests.
    public init(limits: HTTP1Limits = HTTP1Limits()) { self.limits = limits }

    /// Adds received bytes.
    public mutating func append(_ bytes: ByteBuffer) { buffer.absorb(bytes) }

    /// Whether there are unconsumed bytes.
    public var hasBufferedBytes: Bool { buffer.readableBytes > 0 }

    /// The number of unconsumed bytes.
    package var bufferedBytes: Int { buffer.readableBytes }

    /// Whether the stream is between two requests, without a byte of the next one.
    public var isBetweenRequests: Bool {
        state == .head && requestLine == nil && buffer.readableBytes == 0
    }

    /// Returns the unconsumed bytes, after an upgrade or a CONNECT.
    public mutating func takeRemainder() -> ByteBuffer {
        defer { buffer = ByteBuffer() }
        return buffer
    }

    /// The next event, or nil until more bytes arrive.
    /// - Throws: the violation; the connection must be closed.
    public mutating func next() throws(HTTP1Error) -> Event? {
        switch state {
        case .head:
            guard buffer.readableBytes > 0, try readHead(), let requestLine else { return nil }
            return .head(try finishHead(requestLine))
        case .body:
            switch try body.next(from: &buffer, limits: limits) {
            case .data(let data): return .body(data)
            case .end(let trailers): return finish(trailers: trailers)
            case nil: return nil
            }
        case .end: return finish(trailers: nil)
        }
    }

    /// The status for an error: a line that is too long is a target (RFC 9110, section 15.5.15) or a field (RFC 6585, section 5).
    package func status(of error: HTTP1Error) -> HTTPStatus {
        guard error == .lineTooLong else { return error.status }
        return requestLine == nil ? 414 : 431
    }

    private mutating func finish(trailers: Headers?) -> Event {
        state = .head
        requestLine = nil
        section = FieldSection()
        return .end(trailers: trailers)
    }

    /// Parses lines until the empty one.
    private mutating func readHead() throws(HTTP1Error) -> Bool {
        let bytes = buffer
        return try bytes.withUnsafeReadableBytes { all in
            Result { () throws(HTTP1Error) -> Bool in
                while let line = try section.nextLine(in: all, longest: limits.line, largest: limits.headerBlock) {
                    if requestLine != nil {
                        if line.isEmpty { return true }
                        try section.addField(line, in: all, limit: limits.fieldCount)
                    } else if line.isEmpty {
                        // A client may send an empty line after a body (RFC 9112, section 2.2); their number is
                        // limited.
                        blankLines += 1
                        guard blankLines <= 2 else { throw .malformedRequestLine }
                    } else {
                        requestLine = try RequestLine(all, line)
                        blankLines = 0
                    }
                }
                return false
            }
        }.get()
    }

    private mutating func finishHead(_ line: RequestLine) throws(HTTP1Error) -> RequestHead {
        let framing = section.framing
        try framing.check(version: line.version)
        if line.version != .http1_0, !section.known.contains(.host) { throw .missingHost }
        guard let block = buffer.readSlice(length: section.consumed),
            let target = block.getSlice(at: line.target.lowerBound, length: line.target.count)
        else { throw .malformedRequestLine }
        let bodyLength: BodyLength
        if framing.isChunked {
            bodyLength = .streamed
            state = .body
            body = .chunked(ChunkedDecoder())
        } else if let length = framing.contentLength, length > 0 {
            bodyLength = .known(length)
            state = .body
            body = .length(remaining: length)
        } else {
            bodyLength = .none
            state = .end
        }
        return RequestHead(
            method: line.method, targetBytes: target, version: line.version,
            headers: section.takeHeaders(block), bodyLength: bodyLength,
            keepAlive: framing.persists(version: line.version),
            expectsContinue: framing.expectsContinue && bodyLength != .none && line.version != .http1_0)
    }
}
