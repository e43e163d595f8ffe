// Content of forwarded messages: streamed with back-pressure, or sent in one piece if it has arrived completely.

import NIOCore
import SkeinCore
import SkeinHTTP
import SkeinWire

/// The size up to which content is forwarded in one piece.
private let largestWhole = 64 << 10

extension HTTPBody {
    /// The content of a request, for a back end.
    /// - Parameter kept: bytes that are buffered for a retry.
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

    /// Complete content, with its trailers.
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
    /// - Parameter buffering: how much is read ahead of the client; event streams are not buffered.
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

/// The content of a request as it arrives, buffered from its beginning up to a limit, so that a second pass is
/// possible.
///
/// Unchecked: every method is called on the loop of the request.
private final class ReplayableContent: @unchecked Sendable {
    /// A client that sends a byte at a time must not make us hold a buffer for each.
    private static let mostPieces = 64

    private let body: RequestBody
    private let limit: Int
    private var source: RequestBody.AsyncIterator?
    /// The buffered pieces; earlier ones were dropped.
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

    /// Whether a pass can start from the beginning.
    var isWhole: Bool { gone == 0 }

    func makeChunks() -> AsyncThrowingChunks {
        var position = 0
        return AsyncThrowingChunks(trailers: { ForwardedFields.trailers(self.body.trailers, ofRequest: true) }) {
            defer { position += 1 }
            return try await self.piece(position)
        }
    }

    /// A piece; nil after the last. The pass of a lost connection may still wait for one when the next pass has
    /// started: only one reads.
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
