// Large content in memory, cut into pieces, so that a slow peer can be distinguished from a stalled one.

import NIOCore

/// Bytes as the pieces of a streamed body.
package enum BodyPieces {
    /// The size of a piece, and the size up to which content is written with its head.
    package static let size = 64 << 10

    /// The pieces of a buffer, as slices of it.
    package static func of(_ bytes: ByteBuffer) -> @Sendable () -> AsyncThrowingChunks {
        return {
            var rest = bytes
            return AsyncThrowingChunks {
                guard rest.readableBytes > 0 else { return nil }
                return rest.readSlice(length: min(size, rest.readableBytes))
            }
        }
    }
}
