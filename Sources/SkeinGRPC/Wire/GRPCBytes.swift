// The bytes of a message, without a copy between the socket and the serializer.

import SkeinCore
import GRPCCore
import NIOCore

/// An encoded message.
public struct GRPCBytes: GRPCContiguousBytes, Hashable, Sendable {
    package var buffer: ByteBuffer

    package init(_ buffer: ByteBuffer) { self.buffer = buffer }

    /// A byte, repeated.
    public init(repeating byte: UInt8, count: Int) { buffer = ByteBuffer(repeating: byte, count: count) }

    /// Bytes.
    public init<Bytes: Sequence>(_ sequence: Bytes) where Bytes.Element == UInt8 {
        buffer = ByteBuffer(bytes: sequence)
    }

    /// The number of bytes.
    public var count: Int { buffer.readableBytes }

    /// Reads the bytes.
    public func withUnsafeBytes<R>(_ body: (_ buffer: UnsafeRawBufferPointer) throws -> R) rethrows -> R {
        try buffer.withUnsafeReadableBytes(body)
    }

    /// Changes the bytes.
    public mutating func withUnsafeMutableBytes<R>(
        _ body: (_ buffer: UnsafeMutableRawBufferPointer) throws -> R
    ) rethrows -> R {
        try buffer.withUnsafeMutableReadableBytes(body)
    }
}
