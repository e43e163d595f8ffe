// How a decoder puts bytes behind those that it could not use yet.

import NIOCore

extension ByteBuffer {
    /// Takes over bytes: without a copy when nothing is left of earlier ones, and without those that were read already.
    ///
    /// What was read may still be held as slices, so that writing behind it would copy all of it, again and again while a stream goes on.
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
