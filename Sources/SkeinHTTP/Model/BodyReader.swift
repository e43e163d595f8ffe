// Content read like a file: a number of bytes, a line, the rest.

import NIOCore
import SkeinCore
import SkeinWire

/// Reads content in portions of any size.
public struct BodyReader: AsyncSequence {
    public typealias Element = ByteBuffer

    private var iterator: BodyStream.AsyncIterator?
    private var buffer: ByteBuffer

    init(_ stream: BodyStream?, _ content: ByteBuffer) {
        iterator = stream?.makeAsyncIterator()
        buffer = content
    }

    /// Reads bytes.
    /// - Parameter count: the number of bytes, fewer only at the end. Default: all that is left; beware of streams
    ///   without an end.
    /// - Returns: an empty buffer at the end.
    /// - Throws: the connection's error.
    public mutating func read(_ count: Int = .max) async throws -> ByteBuffer {
        let count = Swift.min(Swift.max(0, count), Int(Int32.max))  // the capacity of one buffer
        while buffer.readableBytes < count, try await fill() {}
        return buffer.readSlice(length: Swift.min(count, buffer.readableBytes)) ?? ByteBuffer()
    }

    /// A line without its end (LF or CR LF), in UTF-8 with malformed bytes replaced; nil when nothing is left.
    /// - Parameter maximum: bytes at most. Default: 1 MiB.
    /// - Throws: code 719 when it is longer; the connection's error.
    public mutating func readLine(upTo maximum: Int = 1 << 20) async throws -> String? {
        var searched = 0
        while true {
            let view = buffer.readableBytesView
            if let end = view[(view.startIndex + searched)...].firstIndex(of: Bytes.lf) {
                let line = buffer.readSlice(length: end - view.startIndex) ?? ByteBuffer()
                buffer.moveReaderIndex(forwardBy: 1)
                return Self.text(line)
            }
            guard buffer.readableBytes <= maximum else {
                throw SkeinError(.contentTooLarge, because: "a line is longer than the limit of \(maximum) bytes")
            }
            searched = buffer.readableBytes
            guard try await fill() else {
                guard let last = buffer.readSlice(length: searched), searched > 0 else { return nil }
                return Self.text(last)
            }
        }
    }

    private static func text(_ line: ByteBuffer) -> String {
        let bytes = line.readableBytesView
        return String(decoding: bytes.last == Bytes.cr ? bytes.dropLast() : bytes, as: UTF8.self)
    }

    /// Waits for more. Returns whether there was any.
    private mutating func fill() async throws -> Bool {
        guard let piece = try await iterator?.next() else { return false }
        buffer.writeImmutableBuffer(piece)
        return true
    }

    /// Iterates over the rest, piece by piece.
    public struct AsyncIterator: AsyncIteratorProtocol {
        fileprivate var reader: BodyReader

        /// The next piece, or nil at the end.
        public mutating func next() async throws -> ByteBuffer? {
            if reader.buffer.readableBytes == 0 { _ = try await reader.fill() }
            return reader.buffer.readableBytes == 0 ? nil : reader.buffer.readSlice(length: reader.buffer.readableBytes)
        }
    }

    /// Iterates over the rest.
    public func makeAsyncIterator() -> AsyncIterator { AsyncIterator(reader: self) }
}
