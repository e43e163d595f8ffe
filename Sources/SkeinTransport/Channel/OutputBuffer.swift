// The one buffer into which a connection writes, and which it keeps.

import NIOCore

/// Bytes that leave together.
///
/// Once taken they belong to the channel; what is written after that goes into a buffer that is empty again, which is the same memory
/// when the channel is done with it.
package struct OutputBuffer {
    private let largestKept: Int
    private var buffer = ByteBuffer()
    private var isTaken = true

    /// - Parameter largestKept: bytes of memory that are kept; one large message must not cost its memory for as long as the
    ///   connection lives.
    package init(largestKept: Int = 256 << 10) { self.largestKept = largestKept }

    /// What has not been taken, to be written to.
    package var bytes: ByteBuffer {
        get { isTaken ? ByteBuffer() : buffer }
        _modify {
            if isTaken {
                buffer.clear()
                isTaken = false
            }
            yield &buffer
        }
    }

    /// Bytes that have not been taken.
    package var count: Int { isTaken ? 0 : buffer.readableBytes }

    /// Takes all that was written; nil when there is nothing.
    package mutating func take() -> ByteBuffer? {
        guard count > 0 else { return nil }
        isTaken = true
        guard buffer.storageCapacity > largestKept else { return buffer }
        defer { buffer = ByteBuffer() }
        return buffer
    }
}
