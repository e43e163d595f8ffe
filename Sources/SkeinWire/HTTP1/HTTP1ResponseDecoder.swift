// The response parser of a client. A response depends on its request, so the decoder is told of each request that is
// sent, and matches responses in order, as pipelining requires.

import DequeModule
import NIOCore
import SkeinCore

/// Splits a byte stream into the responses to the requests that were sent on it (RFC 9112). A value without I/O.
public struct HTTP1ResponseDecoder: Sendable {
    /// The next part of the stream.
    public enum Event: Sendable {
        /// An interim response (1xx); the final one follows.
        case informational(ResponseHead)
        /// The head of the final response to the oldest request.
        case head(ResponseHead)
        /// A piece of its content, a slice of what was appended.
        case body(ByteBuffer)
        /// The response is complete; `reusable` tells whether the connection can be reused.
        case end(trailers: Headers?, reusable: Bool)
        /// The connection has left HTTP (101, or 2xx to CONNECT): all further bytes belong to the new protocol.
        case upgraded(ResponseHead, remainder: ByteBuffer)
    }

    /// The properties of a request that the decoder needs.
    private struct Expectation {
        let isHead: Bool
        let isConnect: Bool
        let mayUpgrade: Bool
    }

    private enum State {
        /// Parsing `section`, after `statusLine` once that is complete.
        case head
        /// Parsing `body`.
        case body
        case end
        case upgraded
    }

    private let limits: HTTP1Limits
    private let parsing: HTTPParsing
    private var buffer = ByteBuffer()
    // Not part of the state: moving them for each event would cost more than parsing the head.
    private var state = State.head
    private var section: FieldSection
    private var statusLine: StatusLine?
    private var body = BodyDecoder.untilClose
    private var isReusable = false
    private var expected = Deque<Expectation>()

    /// A decoder at the start of a connection.
    /// - Parameters:
    ///   - limits: the limits for responses.
    ///   - parsing: which malformed responses are accepted.
    public init(limits: HTTP1Limits = .responses, parsing: HTTPParsing = .tolerant) {
        self.limits = limits
        self.parsing = parsing
        section = FieldSection(parsing: parsing)
    }

    /// Registers a request that is being sent.
    /// - Parameters:
    ///   - method: decides together with the status whether there is content (RFC 9112, section 6.3).
    ///   - mayUpgrade: whether the request asks for an upgrade, so that a 101 is a valid response.
    public mutating func expectResponse(to method: HTTPMethod, mayUpgrade: Bool = false) {
        expected.append(
            Expectation(isHead: method == .head, isConnect: method == .connect, mayUpgrade: mayUpgrade))
    }

    /// The requests whose responses are not complete.
    public var outstanding: Int { expected.count }

    /// Whether no byte of the response to the oldest request was received.
    public var isBetweenResponses: Bool {
        state == .head && statusLine == nil && buffer.readableBytes == 0
    }

    /// Whether the decoder is in the content or the trailers. After ``next()`` has thrown, the violation is there.
    package var isReadingBody: Bool { state == .body }

    /// Whether there are unconsumed bytes.
    public var hasBufferedBytes: Bool { buffer.readableBytes > 0 }

    /// The number of unconsumed bytes.
    package var bufferedBytes: Int { buffer.readableBytes }

    /// Adds received bytes.
    public mutating func append(_ bytes: ByteBuffer) { buffer.absorb(bytes) }

    /// The next event, or nil until more bytes arrive.
    /// - Throws: the violation; the connection must be closed.
    public mutating func next() throws(HTTP1Error) -> Event? {
        switch state {
        case .head:
            guard buffer.readableBytes > 0 else { return nil }
            guard let expectation = expected.first else { throw .unsolicitedResponse }
            guard try readHead(), let line = statusLine else { return nil }
            return try finishHead(line, expectation)
        case .body:
            switch try body.next(from: &buffer, limits: limits, parsing: parsing) {
            case .data(let data): return .body(data)
            case .end(let trailers): return finish(trailers: trailers)
            case nil: return nil
            }
        case .end: return finish(trailers: nil)
        case .upgraded: return nil
        }
    }

    /// The peer has closed its side.
    /// - Returns: the end of a body that is delimited by the connection's end, or nil when no response was in progress.
    /// - Throws: `truncated` in the middle of a response.
    public mutating func finish() throws(HTTP1Error) -> Event? {
        switch state {
        case .body:
            guard case .untilClose = body else { throw .truncated }
            return finish(trailers: nil)
        case .end: throw .truncated
        case .head:
            if statusLine != nil || buffer.readableBytes > 0 { throw .truncated }
            return nil
        case .upgraded: return nil
        }
    }

    private mutating func finish(trailers: Headers?) -> Event {
        expected.removeFirst()
        startHead()
        return .end(trailers: trailers, reusable: isReusable)
    }

    private mutating func startHead() {
        state = .head
        statusLine = nil
        section = FieldSection(parsing: parsing)
    }

    private mutating func readHead() throws(HTTP1Error) -> Bool {
        let bytes = buffer
        return try bytes.withUnsafeReadableBytes { all in
            Result { () throws(HTTP1Error) -> Bool in
                if statusLine == nil, !HTTPVersion.couldStart(all) { throw .malformedStatusLine }
                while let line = try section.nextLine(
                    in: all, longest: limits.line, largest: limits.headerBlock, unfolds: statusLine != nil)
                {
                    if statusLine == nil {
                        statusLine = try StatusLine(all, line, parsing)
                    } else {
                        if line.isEmpty { return true }
                        try section.addField(line, in: all, limit: limits.fieldCount)
                    }
                }
                return false
            }
        }.get()
    }

    private mutating func finishHead(_ line: StatusLine, _ request: Expectation) throws(HTTP1Error) -> Event {
        let framing = section.framing
        guard let block = buffer.readSlice(length: section.consumed) else { throw .malformedStatusLine }
        var head = ResponseHead(
            status: line.status, reason: Self.reason(line, in: block), version: line.version,
            headers: section.takeHeaders(block), bodyLength: .none)
        if line.status == .switchingProtocols {
            guard request.mayUpgrade else { throw .unexpectedUpgrade }
            return upgrade(head)
        }
        if line.status.isInformational {
            startHead()
            return .informational(head)
        }
        if request.isConnect, (200..<300).contains(line.status.code) { return upgrade(head) }
        try framing.check(version: line.version, isTolerant: parsing == .tolerant)
        isReusable = framing.persists(version: line.version)
        if request.isHead || line.status.forbidsBody {
            state = .end
        } else if framing.isChunked {
            head.bodyLength = .streamed
            state = .body
            body = .chunked(ChunkedDecoder())
        } else if let length = framing.contentLength {
            head.bodyLength = length == 0 ? .none : .known(length)
            state = length == 0 ? .end : .body
            body = .length(remaining: length)
        } else {
            head.bodyLength = .streamed
            state = .body
            body = .untilClose
            isReusable = false
        }
        return .head(head)
    }

    private mutating func upgrade(_ head: ResponseHead) -> Event {
        expected.removeAll()
        state = .upgraded
        defer { buffer = ByteBuffer() }
        return .upgraded(head, remainder: buffer)
    }

    /// The phrase as received; the standard one needs no allocation.
    private static func reason(_ line: StatusLine, in block: ByteBuffer) -> String {
        if line.status == .ok, line.reason.count == 2 { return "OK" }
        return block.withUnsafeReadableBytes { all in
            let phrase = UnsafeRawBufferPointer(rebasing: all[line.reason])
            if Bytes.firstControl(in: phrase, from: 0, to: phrase.count) == phrase.count { return Headers.text(phrase) }
            return phrase.map { $0 < 0x20 || $0 == 0x7F ? Bytes.space : $0 }.withUnsafeBytes(Headers.text)
        }
    }
}
