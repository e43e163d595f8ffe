// The content of a request: bytes in memory, or a stream.

import NIOCore
import NIOPosix
import SkeinCore
import SkeinWire

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// The content of a request.
public struct HTTPBody: Sendable {
    package enum Content: Sendable {
        case none
        case bytes(ByteBuffer)
        case stream(length: Int?, Replay, @Sendable () -> AsyncThrowingChunks)
    }

    /// Whether a stream can be replayed.
    package enum Replay: Sendable {
        case always
        case never
        /// While the closure returns true.
        case whileTrue(@Sendable () -> Bool)

        var isPossible: Bool {
            switch self {
            case .always: true
            case .never: false
            case .whileTrue(let isPossible): isPossible()
            }
        }
    }

    // One reference, or nil for the many requests without content.
    private final class Storage: Sendable {
        let content: Content
        let contentType: String?
        let contentEncoding: String?
        let problem: SkeinError?

        init(content: Content, contentType: String?, contentEncoding: String?, problem: SkeinError?) {
            self.content = content
            self.contentType = contentType
            self.contentEncoding = contentEncoding
            self.problem = problem
        }
    }

    private let storage: Storage?

    package var content: Content { storage?.content ?? .none }
    /// The media type that is sent unless the request sets another.
    public var contentType: String? { storage?.contentType }
    /// The content coding that it was compressed with.
    package var contentEncoding: String? { storage?.contentEncoding }
    /// An error found when the body was made; the request fails with it.
    package var problem: SkeinError? { storage?.problem }

    private init() { storage = nil }

    package init(
        _ content: Content, contentType: String?, contentEncoding: String? = nil, problem: SkeinError? = nil
    ) {
        let isSendable = contentType?.utf8.allSatisfy { $0 >= 0x20 && $0 != 0x7F } ?? true
        storage = Storage(
            content: content, contentType: contentType, contentEncoding: contentEncoding,
            problem: problem ?? (isSendable ? nil : Self.unusableType))
    }

    private static let unusableType = SkeinError(.exception, because: "the content type holds a control character")

    /// No content.
    public static let none = HTTPBody()

    /// Bytes as they are.
    public static func bytes(_ bytes: ByteBuffer, contentType: String? = nil) -> HTTPBody {
        HTTPBody(bytes.readableBytes == 0 ? .none : .bytes(bytes), contentType: contentType)
    }

    /// Bytes as they are.
    public static func bytes(_ bytes: some Sequence<UInt8>, contentType: String? = nil) -> HTTPBody {
        .bytes(ByteBuffer(bytes: bytes), contentType: contentType)
    }

    /// Text in UTF-8.
    public static func text(_ text: String, contentType: String = "text/plain; charset=utf-8") -> HTTPBody {
        .bytes(ByteBuffer(string: text), contentType: contentType)
    }

    /// An XML document in UTF-8.
    public static func xml(_ text: String) -> HTTPBody { .text(text, contentType: "text/xml; charset=utf-8") }

    /// A form.
    public static func form(_ parameters: Parameters) -> HTTPBody {
        .text(parameters.encoded, contentType: "application/x-www-form-urlencoded")
    }

    /// A value as JSON, its members in the order in which its type declares them. A value that cannot be encoded fails
    /// the request with code 701.
    public static func json(_ value: some Encodable) -> HTTPBody {
        do {
            return .bytes(ByteBuffer(bytes: try JSON.encode(value)), contentType: "application/json")
        } catch {
            let problem = SkeinError(.exception, because: "the body cannot be encoded as JSON", cause: error)
            return HTTPBody(.none, contentType: nil, problem: problem)
        }
    }

    /// A JSON tree: `.json(["name": "Ada", "born": 1815])`.
    public static func json(_ value: JSONValue) -> HTTPBody {
        .bytes(ByteBuffer(string: value.json), contentType: "application/json")
    }

    /// Content that could not be made: the request fails with the reason.
    package static func refused(_ problem: SkeinError) -> HTTPBody {
        HTTPBody(.none, contentType: nil, problem: problem)
    }

    /// Pieces from a sequence, sent as they are made and no faster than the peer reads them.
    /// - Parameters:
    ///   - pieces: iterated once for each time the request is sent.
    ///   - length: the sum of all pieces in bytes, if known: it is announced, and a different sum fails the request.
    ///     Default: chunked.
    public static func sequence<Pieces: Sequence & Sendable>(
        _ pieces: Pieces, length: Int? = nil, contentType: String? = nil
    ) -> HTTPBody where Pieces.Element == ByteBuffer {
        HTTPBody(
            .stream(length: length, .always) {
                var iterator = pieces.makeIterator()
                return AsyncThrowingChunks { iterator.next() }
            }, contentType: contentType)
    }

    /// Pieces from an asynchronous sequence, sent as they arrive and no faster than the peer reads them. It is iterated
    /// once, so that the request cannot be replayed.
    /// - Parameters:
    ///   - pieces: the content; an error it throws fails the request with code 701.
    ///   - length: the sum of all pieces in bytes, if known. Default: chunked.
    public static func stream<Pieces: AsyncSequence & Sendable>(
        _ pieces: Pieces, length: Int? = nil, contentType: String? = nil
    ) -> HTTPBody where Pieces.Element == ByteBuffer {
        HTTPBody(
            .stream(length: length, .never) {
                var iterator = pieces.makeAsyncIterator()
                return AsyncThrowingChunks { try await iterator.next() }
            }, contentType: contentType)
    }

    /// The same content, compressed; the request gets a Content-Encoding field, and the server must support the coding.
    public func compressed(_ coding: ContentCoding) -> HTTPBody { compressed(coding, holding: nil) }

    /// Whether the content is in memory and small enough to be compressed at once.
    package var isSmall: Bool {
        if case .bytes(let bytes) = content { bytes.readableBytes <= BodyPieces.size } else { false }
    }

    /// The same content, compressed while it is sent, on a thread for long computations.
    /// - Parameters:
    ///   - permit: released with the content; with a permit, bytes in memory become a stream, too, unless they are
    ///     small.
    ///   - room: the number of compressed bytes that are collected.
    ///   - keep: called with the compressed content, if it is not larger than that.
    package func compressed(
        _ coding: ContentCoding, holding permit: (any Sendable)?, keeping room: Int = 0,
        keep: (@Sendable (ByteBuffer) -> Void)? = nil
    ) -> HTTPBody {
        let codings = [contentEncoding, coding.rawValue].compactMap(\.self).joined(separator: ", ")
        switch content {
        case .none: return self
        case .bytes(let bytes) where permit != nil && !isSmall:
            let pieces: Content = .stream(length: nil, .always, BodyPieces.of(bytes))
            return HTTPBody(pieces, contentType: contentType, contentEncoding: contentEncoding, problem: problem)
                .compressed(coding, holding: permit, keeping: room, keep: keep)
        case .bytes(let bytes):
            return HTTPBody(
                .bytes(ContentEncoder.encode(bytes, coding)), contentType: contentType, contentEncoding: codings,
                problem: problem)
        case .stream(_, let replay, let makeChunks):
            let coded: Content = .stream(length: nil, replay) {
                let chunks = makeChunks()
                let encoder = ContentEncoder(coding)
                var isOver = false
                var gathered = keep == nil ? nil : ByteBuffer()
                return AsyncThrowingChunks {
                    _ = permit
                    while !isOver {
                        try Task.checkCancellation()
                        let plain = try await chunks.next()
                        isOver = plain == nil
                        let loop =
                            MultiThreadedEventLoopGroup.currentEventLoop ?? MultiThreadedEventLoopGroup.singleton.any()
                        let piece = try await NIOThreadPool.singleton.runIfActive(eventLoop: loop) {
                            plain.map { encoder.encode($0) } ?? encoder.finish()
                        }.get()
                        gathered?.writeImmutableBuffer(piece)
                        if gathered?.readableBytes ?? 0 > room { gathered = nil }
                        if isOver, let gathered { keep?(gathered) }
                        if piece.readableBytes > 0 { return piece }
                    }
                    return nil
                }
            }
            return HTTPBody(coded, contentType: contentType, contentEncoding: codings, problem: problem)
        }
    }

    /// The framing of the body.
    package var length: BodyLength {
        guard let storage else { return .none }
        return switch storage.content {
        case .none: .none
        case .bytes(let bytes): .known(bytes.readableBytes)
        case .stream(let length?, _, _): length == 0 ? .none : .known(length)
        case .stream(nil, _, _): .streamed
        }
    }

    /// Whether it can be sent a second time.
    package var isReplayable: Bool {
        if case .stream(_, let replay, _) = content { replay.isPossible } else { true }
    }

    /// The bytes, if they are in memory.
    package var bytes: ByteBuffer? {
        switch content {
        case .none: ByteBuffer()
        case .bytes(let bytes): bytes
        case .stream: nil
        }
    }
}

/// The pieces for one transmission of a streamed body.
package struct AsyncThrowingChunks {
    private let step: () async throws -> ByteBuffer?
    private let ending: () -> Headers?

    /// - Parameter trailers: called after the last piece; nil or no fields for no trailer section.
    package init(trailers: @escaping () -> Headers? = { nil }, _ step: @escaping () async throws -> ByteBuffer?) {
        ending = trailers
        self.step = step
    }

    package func next() async throws -> ByteBuffer? { try await step() }

    /// The trailer section, once the last piece is taken; nil for none.
    package var trailers: Headers? { ending().flatMap { $0.isEmpty ? nil : $0 } }
}
