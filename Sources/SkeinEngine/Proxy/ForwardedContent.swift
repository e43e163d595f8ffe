// Content on its way through: as it arrives, and no faster than it is taken. What is all here already is sent in one piece.

import NIOCore
import SkeinCore
import SkeinHTTP
import SkeinWire

/// What is here already is passed on in one piece up to so many bytes.
private let largestWhole = 64 << 10

extension HTTPBody {
    /// The content of a request, for a back end.
    /// - Parameter kept: bytes that are kept so that they can be sent again.
    static func forwarding(_ request: ServerRequest, keeping kept: Int) -> HTTPBody {
        guard let stream = request.body.stream else { return .none }
        if let whole = stream.inlet.takeWhole(upTo: largestWhole) {
            return .whole(whole.bytes, ForwardedFields.trailers(whole.ending, ofRequest: true))
        }
        let length: Int? = if case .known(let length) = request.head.bodyLength { length } else { nil }
        let content = ReplayableContent(request.body, limit: kept)
        let body = HTTPBody.Content.stream(length: length, .whileTrue { content.isWhole }) { content.makeChunks() }
        return HTTPBody(body, contentType: nil)
    }

    /// Content that is here, with the trailers that have followed it.
    private static func whole(_ bytes: ByteBuffer, _ trailers: Headers?) -> HTTPBody {
        guard let trailers, !trailers.isEmpty else { return .bytes(bytes) }
        return HTTPBody(
            .stream(length: nil, .always) {
                var rest: ByteBuffer? = bytes
                return AsyncThrowingChunks(trailers: { trailers }) {
                    defer { rest = nil }
                    return rest
                }
            }, contentType: nil)
    }

    /// The content of a back end's response, for the client.
    /// - Parameter buffering: how much of it is read before the client takes it; a stream of events is of use only as it comes.
    static func forwarding(
        _ response: HTTPResponse, to request: ServerRequest, buffering: ResponseBuffering? = nil
    ) -> HTTPBody {
        if request.method == .head {
            let length = response.headers["Content-Length"].flatMap { Int($0) }
            return HTTPBody(.stream(length: length, .never) { AsyncThrowingChunks { nil } }, contentType: nil)
        }
        guard var stream = response.stream else { return .bytes(response.content) }
        if let whole = stream.inlet.takeWhole(upTo: largestWhole) {
            return .whole(whole.bytes, ForwardedFields.trailers(whole.ending, ofRequest: false))
        }
        let isEvents = response.headers["Content-Type"]?.lowercased().hasBytePrefix("text/event-stream") ?? false
        if let buffering, !isEvents { stream = ResponseBuffer.start(stream, buffering, on: request.shard) }
        let source = stream
        let length: Int? = if case .known(let length) = response.bodyLength { length } else { nil }
        return HTTPBody(
            .stream(length: length, .never) {
                var pieces = source.makeAsyncIterator()
                return AsyncThrowingChunks(trailers: {
                    ForwardedFields.trailers(source.ending ?? nil, ofRequest: false)
                }) { try await pieces.next() }
            }, contentType: nil)
    }
}

/// The content of a request as it arrives, kept from its beginning as long as it is not more than a limit, so that a second pass over it
/// can be made.
///
/// Unchecked: every method is called on the loop of the request.
private final class ReplayableContent: @unchecked Sendable {
    /// A client that sends a byte at a time does not make us keep a buffer for each.
    private static let mostPieces = 64

    private let body: RequestBody
    private let limit: Int
    private var source: RequestBody.AsyncIterator?
    /// The pieces that are kept, of which those before are gone.
    private var pieces: [ByteBuffer] = []
    private var gone = 0
    private var kept = 0
    private var end: Result<Void, any Error>?
    private var isReading = false
    private var waiting: [CheckedContinuation<Void, Never>] = []

    init(_ body: RequestBody, limit: Int) {
        self.body = body
        self.limit = limit
    }

    /// Whether a pass can begin that has all of it.
    var isWhole: Bool { gone == 0 }

    func makeChunks() -> AsyncThrowingChunks {
        var position = 0
        return AsyncThrowingChunks(trailers: { ForwardedFields.trailers(self.body.trailers, ofRequest: true) }) {
            defer { position += 1 }
            return try await self.piece(position)
        }
    }

    /// A piece; nil behind the last. A pass whose connection was lost may still wait for one while the next pass has begun: only one reads.
    private func piece(_ position: Int) async throws -> ByteBuffer? {
        while true {
            guard position >= gone else {
                throw SkeinError(.exception, because: "the beginning of the request's content is no longer buffered")
            }
            if position < gone + pieces.count { return pieces[position - gone] }
            if let end {
                try end.get()
                return nil
            }
            if isReading {
                await withCheckedContinuation { waiting.append($0) }
            } else {
                await read()
            }
        }
    }

    private func read() async {
        isReading = true
        var source = self.source ?? body.makeAsyncIterator()
        do {
            if let piece = try await source.next() { keep(piece) } else { end = .success(()) }
        } catch {
            end = .failure(error)
        }
        self.source = source
        isReading = false
        let waiting = self.waiting
        self.waiting = []
        for continuation in waiting { continuation.resume() }
    }

    private func keep(_ piece: ByteBuffer) {
        kept += piece.readableBytes
        if kept > limit || pieces.count == Self.mostPieces {
            gone += pieces.count
            pieces = []
        }
        pieces.append(piece)
    }
}
