// Encodes content while it is sent.

import NIOCore

/// Content being encoded.
///
/// Unchecked: used by one task at a time, which sends the body.
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

    /// Encodes a piece. The result may be empty: the encoder buffers bytes.
    package func encode(_ piece: ByteBuffer) -> ByteBuffer {
        var input = piece
        var output = ByteBuffer()
        while input.readableBytes > 0 { write(&output) { machine.step(&input, into: $0) } }
        return output
    }

    /// The rest of the output, at the end.
    package func finish() -> ByteBuffer {
        var output = ByteBuffer()
        while write(&output, { machine.finish(into: $0) }) > 0 {}
        return output
    }

    /// Encodes content in memory.
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
