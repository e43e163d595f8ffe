// The buffer of a connection's output, which keeps its memory between writes.

import NIOCore

/// Bytes that are written together.
///
/// `take()` hands them to the channel. The next bytes go into an empty buffer, which reuses the memory once the channel has released it.
package struct OutputBuffer {
    private let largestKept: Int
    private var buffer = ByteBuffer()
    private var isTaken = true

    /// - Parameter largestKept: bytes of memory that are kept. A larger buffer is released, so that one large message does not cost its
    ///   memory for the lifetime of the connection.
    package init(largestKept: Int = 256 << 10) { self.largestKept = largestKept }

    /// The bytes that were not taken, to append to.
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

    /// Takes the bytes; nil when there are none.
    package mutating func take() -> ByteBuffer? {
        guard count > 0 else { return nil }
        isTaken = true
        guard buffer.storageCapacity > largestKept else { return buffer }
        defer { buffer = ByteBuffer() }
        return buffer
    }
}
