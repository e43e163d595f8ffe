// The bytes of a message without a copy between the socket and the serializer.

import SkeinCore
import GRPCCore
import NIOCore

/// A message as it travels.
public struct GRPCBytes: GRPCContiguousBytes, Hashable, Sendable {
    package var buffer: ByteBuffer

    package init(_ buffer: ByteBuffer) { self.buffer = buffer }

    /// So many bytes of one value.
    public init(repeating byte: UInt8, count: Int) { buffer = ByteBuffer(repeating: byte, count: count) }

    /// Bytes.
    public init<Bytes: Sequence>(_ sequence: Bytes) where Bytes.Element == UInt8 {
        buffer = ByteBuffer(bytes: sequence)
    }

    /// How many there are.
    public var count: Int { buffer.readableBytes }

    /// Lets a closure read them.
    public func withUnsafeBytes<R>(_ body: (_ buffer: UnsafeRawBufferPointer) throws -> R) rethrows -> R {
        try buffer.withUnsafeReadableBytes(body)
    }

    /// Lets a closure change them.
    public mutating func withUnsafeMutableBytes<R>(
        _ body: (_ buffer: UnsafeMutableRawBufferPointer) throws -> R
    ) rethrows -> R {
        try buffer.withUnsafeMutableReadableBytes(body)
    }
}
