// Filters the content of a response before callers see it: decodes its codings, limits its size.

import NIOCore
import SkeinCore
import SkeinWire

/// Decodes received content.
///
/// Unchecked: it has one consumer at a time: the exchange if the response is not streamed, else the task that reads the
/// stream.
final class BodyFilter: ByteStreamFilter, @unchecked Sendable {
    private let decoder: ContentDecoder?
    private let maximum: Int
    private let peer: String
    private let processed: ((ByteBuffer) -> Void)?
    private var pending: ByteBuffer?
    private var size = 0

    /// A filter; nil when there is nothing to do.
    /// - Parameters:
    ///   - codings: the codings of the content, in the order in which they were applied.
    ///   - maximum: the limit of decoded bytes; nil for none.
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
