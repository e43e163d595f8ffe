// Message framing: a byte for compression, four for the length, and the message ("gRPC over HTTP2",
// Length-Prefixed-Message).

import GRPCCore
import NIOCore
import SkeinWire

/// Encodes messages.
struct GRPCMessageEncoder: Sendable {
    /// The compression of messages; nil for none.
    var compression: ContentCoding?

    /// An encoded message.
    func encode(_ message: GRPCBytes) -> ByteBuffer {
        let bytes = compression.map { ContentEncoder.encode(message.buffer, $0) } ?? message.buffer
        var framed = ByteBuffer()
        framed.reserveCapacity(bytes.readableBytes + 5)
        framed.writeInteger(UInt8(compression == nil ? 0 : 1))
        framed.writeInteger(UInt32(bytes.readableBytes))
        framed.writeImmutableBuffer(bytes)
        return framed
    }
}

/// Decodes messages. A value without I/O.
struct GRPCMessageDecoder {
    private let maximum: Int
    private var buffer = ByteBuffer()
    /// The compression that the peer has declared; nil for none.
    var compression: ContentCoding?

    /// - Parameter maximum: the size limit of a message, decompressed.
    init(maximum: Int) { self.maximum = maximum }

    /// Whether a message is incomplete.
    var isInMessage: Bool { buffer.readableBytes > 0 }

    mutating func append(_ bytes: ByteBuffer) { buffer.absorb(bytes) }

    /// The next message, or nil until more bytes arrive.
    /// - Throws: `RPCError` for a message over the limit, or a malformed one; it ends the call.
    mutating func next() throws -> GRPCBytes? {
        guard let flag = buffer.getInteger(at: buffer.readerIndex, as: UInt8.self),
            let length = buffer.getInteger(at: buffer.readerIndex + 1, as: UInt32.self)
        else { return nil }
        guard flag <= 1 else {
            throw RPCError(code: .internalError, message: "a message begins with the invalid flag \(flag)")
        }
        guard Int(length) <= maximum else { throw tooLarge("of \(length) bytes") }
        guard buffer.readableBytes >= 5 + Int(length) else { return nil }
        buffer.moveReaderIndex(forwardBy: 5)
        let bytes = buffer.readSlice(length: Int(length)) ?? ByteBuffer()
        return GRPCBytes(flag == 1 ? try decompress(bytes) : bytes)
    }

    private func decompress(_ bytes: ByteBuffer) throws -> ByteBuffer {
        guard let compression else {
            throw RPCError(code: .internalError, message: "a message is compressed, but grpc-encoding is missing")
        }
        var whole = ByteBuffer()
        do {
            let decoder = try ContentDecoder([compression], maximumRatio: .max)
            decoder.append(bytes)
            while let piece = try decoder.next() {
                guard whole.readableBytes + piece.readableBytes <= maximum else {
                    throw tooLarge("after decompression")
                }
                whole.writeImmutableBuffer(piece)
            }
            try decoder.finish()
        } catch let error as ContentCodingError {
            throw RPCError(code: .internalError, message: "a message cannot be decompressed: \(error)")
        }
        return whole
    }

    private func tooLarge(_ size: String) -> RPCError {
        RPCError(code: .resourceExhausted, message: "a message \(size) exceeds the limit of \(maximum) bytes")
    }
}

extension ContentCoding {
    /// The content coding for a gRPC compression algorithm.
    init?(_ algorithm: CompressionAlgorithm?) {
        switch algorithm {
        case .gzip?: self = .gzip
        case .deflate?: self = .deflate
        default: return nil
        }
    }
}
