// Appends received bytes to those that a decoder has not consumed yet.

import NIOCore

extension ByteBuffer {
    /// Appends bytes: without a copy when the buffer is empty, and dropping bytes that were consumed.
    ///
    /// Slices may still refer to consumed bytes, so that appending after them would copy all of it, again and again.
    @inlinable package mutating func absorb(_ bytes: ByteBuffer) {
        if readableBytes == 0 {
            self = bytes
        } else if readerIndex > readableBytes {
            var fresh = ByteBufferAllocator().buffer(capacity: readableBytes + bytes.readableBytes)
            fresh.writeImmutableBuffer(self)
            fresh.writeImmutableBuffer(bytes)
            self = fresh
        } else {
            writeImmutableBuffer(bytes)
        }
    }
}
