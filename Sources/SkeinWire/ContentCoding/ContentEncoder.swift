// Makes content smaller while it is sent.

import NIOCore

/// Content on its way into a coding.
///
/// Unchecked: one task at a time uses it, the one that sends the body.
package final class ContentEncoder: @unchecked Sendable {
    private static let pieceSize = 64 << 10
    private let machine: any EncodingStage

    /// An encoder at the coding's usual level: gzip and deflate 6, Brotli 5, Zstandard 3.
    package init(_ coding: ContentCoding) {
        machine =
            switch coding {
            case .gzip: Deflater(.gzip)
            case .deflate: Deflater(.deflate)
            case .brotli: BrotliEncoder()
            case .zstd: ZstdEncoder()
            }
    }

    /// Codes a piece. What comes out may be empty: the coding holds bytes back until it has seen more.
    package func encode(_ piece: ByteBuffer) -> ByteBuffer {
        var input = piece
        var output = ByteBuffer()
        while input.readableBytes > 0 { write(&output) { machine.step(&input, into: $0) } }
        return output
    }

    /// The rest, when all is coded.
    package func finish() -> ByteBuffer {
        var output = ByteBuffer()
        while write(&output, { machine.finish(into: $0) }) > 0 {}
        return output
    }

    /// Content that is there, coded.
    package static func encode(_ content: ByteBuffer, _ coding: ContentCoding) -> ByteBuffer {
        let encoder = ContentEncoder(coding)
        var coded = encoder.encode(content)
        coded.writeImmutableBuffer(encoder.finish())
        return coded
    }

    @discardableResult
    private func write(_ output: inout ByteBuffer, _ step: (UnsafeMutableRawBufferPointer) -> Int) -> Int {
        output.writeWithUnsafeMutableBytes(minimumWritableBytes: Self.pieceSize, step)
    }
}
