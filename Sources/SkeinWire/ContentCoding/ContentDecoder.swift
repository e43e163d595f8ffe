// Decodes content while it arrives, and only as fast as the consumer reads: of a decompression bomb, only one piece is
// in memory.

import NIOCore

/// Content being decoded.
///
/// Unchecked: used by one consumer at a time, the loop or the task that reads the body.
package final class ContentDecoder: @unchecked Sendable {
    private static let pieceSize = 64 << 10
    private static let maximumCodings = 4
    /// Output below which the ratio is not checked: small content may be very regular.
    private static let freeOutput = 4 << 20

    /// A coding with its pending input.
    private struct Stage {
        let machine: any DecodingStage
        var input = ByteBuffer()
        var mayHoldMore = false
    }

    private var stages: [Stage]
    private let maximumRatio: Int
    private var received = 0
    private var produced = 0

    /// A decoder for a list of codings in the order in which they were applied.
    /// - Parameter maximumRatio: the limit of the ratio of decoded to received bytes.
    package init(_ codings: [ContentCoding], maximumRatio: Int) throws(ContentCodingError) {
        guard codings.count <= Self.maximumCodings else { throw .tooMany(codings.count) }
        self.maximumRatio = max(1, maximumRatio)
        stages = codings.reversed().map { coding in
            switch coding {
            case .gzip: Stage(machine: Inflater(.gzip))
            case .deflate: Stage(machine: Inflater(.deflate))
            case .brotli: Stage(machine: BrotliDecoder())
            case .zstd: Stage(machine: ZstdDecoder())
            }
        }
    }

    /// Adds received bytes.
    package func append(_ bytes: ByteBuffer) {
        received += bytes.readableBytes
        if stages[0].input.readableBytes == 0 {
            stages[0].input = bytes
        } else {
            stages[0].input.writeImmutableBuffer(bytes)
        }
    }

    /// The next piece of the content, or nil until more bytes are added.
    package func next() throws(ContentCodingError) -> ByteBuffer? {
        guard let piece = try pull(stages.count - 1) else { return nil }
        produced += piece.readableBytes
        if produced > Self.freeOutput, produced / maximumRatio > received { throw .ratio(maximumRatio) }
        return piece
    }

    /// The input has ended. Output that ``next()`` has not returned is lost.
    /// - Throws: when the content is incomplete.
    package func finish() throws(ContentCodingError) {
        guard received > 0 else { return }
        for stage in stages { try stage.machine.finish() }
    }

    private func pull(_ index: Int) throws(ContentCodingError) -> ByteBuffer? {
        while true {
            if stages[index].input.readableBytes == 0, !stages[index].mayHoldMore {
                guard index > 0, let input = try pull(index - 1) else { return nil }
                stages[index].input = input
            }
            let machine = stages[index].machine
            let waiting = stages[index].input.readableBytes
            var piece = ByteBuffer()
            piece.reserveCapacity(min(Self.pieceSize, max(1024, waiting * 8)))
            let room = piece.writableBytes
            var failure: ContentCodingError?
            piece.writeWithUnsafeMutableBytes(minimumWritableBytes: room) { output in
                do throws(ContentCodingError) {
                    return try machine.step(&stages[index].input, into: output)
                } catch {
                    failure = error
                    return 0
                }
            }
            if let failure { throw failure }
            stages[index].mayHoldMore = piece.writableBytes == 0
            if piece.readableBytes > 0 { return piece }
            // Neither read nor written: it needs more input.
            if stages[index].input.readableBytes == waiting, waiting > 0 { return nil }
        }
    }
}
