// What the content of an answer goes through before anybody sees it: its codings are undone, its size is watched.

import NIOCore
import SkeinCore
import SkeinWire

/// Content as it was sent becomes content as it is meant.
///
/// Unchecked: one consumer uses it, a step at a time: the exchange for an answer that is received whole, else the task that
/// reads the stream.
final class BodyFilter: ByteStreamFilter, @unchecked Sendable {
    private let decoder: ContentDecoder?
    private let maximum: Int
    private let peer: String
    private let processed: ((ByteBuffer) -> Void)?
    private var pending: ByteBuffer?
    private var size = 0

    /// A filter; nil when nothing is to be done.
    /// - Parameters:
    ///   - codings: those of the content, in the order they were applied.
    ///   - maximum: bytes at most, when they are decoded; nil for any number.
    ///   - processed: called with each piece.
    init?(
        _ codings: [ContentCoding], maximumRatio: Int, maximum: Int?, peer: String, processed: ((ByteBuffer) -> Void)?
    ) throws(SkeinError) {
        if codings.isEmpty, maximum == nil, processed == nil { return nil }
        self.maximum = maximum ?? .max
        self.peer = peer
        self.processed = processed
        do throws(ContentCodingError) {
            decoder = codings.isEmpty ? nil : try ContentDecoder(codings, maximumRatio: maximumRatio)
        } catch {
            throw Self.error(error, peer)
        }
    }

    func append(_ bytes: ByteBuffer) {
        if let decoder { decoder.append(bytes) } else { pending = bytes }
    }

    func next() throws(SkeinError) -> ByteBuffer? {
        guard let piece = try decoded() else { return nil }
        size += piece.readableBytes
        guard size <= maximum else {
            throw SkeinError(
                .contentTooLarge, peer: peer,
                because: "the content is larger than the limit of \(maximum) bytes; raise maximumBodySize")
        }
        processed?(piece)
        return piece
    }

    private func decoded() throws(SkeinError) -> ByteBuffer? {
        guard let decoder else {
            defer { pending = nil }
            return pending
        }
        do throws(ContentCodingError) {
            return try decoder.next()
        } catch {
            throw Self.error(error, peer)
        }
    }

    func finish() throws(SkeinError) {
        do throws(ContentCodingError) {
            try decoder?.finish()
        } catch {
            throw Self.error(error, peer)
        }
    }

    private static func error(_ error: ContentCodingError, _ peer: String) -> SkeinError {
        if case .ratio = error {
            return SkeinError(
                .contentTooLarge, peer: peer,
                because: "\(error); raise decompression.maximumRatio if this is intended", cause: error)
        }
        return SkeinError(.bodyError, peer: peer, because: "\(error)", cause: error)
    }
}
