// Compression of messages (RFC 7692, section 7): raw deflate, without the last four bytes.

import CZlib
import NIOCore

/// The negotiated compression, from one side's view.
package struct WebSocketCompression: Hashable, Sendable {
    /// The base-two logarithm of our compressor's window, 8 to 15.
    package var outgoingWindowBits: Int
    /// Whether our compressor is reset for each message.
    package var outgoingStartsOver: Bool
    /// The base-two logarithm of the peer's window.
    package var incomingWindowBits: Int
    /// Whether the peer's compressor is reset for each message.
    package var incomingStartsOver: Bool

    package init(
        outgoingWindowBits: Int = 15, outgoingStartsOver: Bool = false, incomingWindowBits: Int = 15,
        incomingStartsOver: Bool = false
    ) {
        self.outgoingWindowBits = outgoingWindowBits
        self.outgoingStartsOver = outgoingStartsOver
        self.incomingWindowBits = incomingWindowBits
        self.incomingStartsOver = incomingStartsOver
    }

    /// The end of a deflate flush, which is not sent.
    fileprivate static let tail: [UInt8] = [0x00, 0x00, 0xFF, 0xFF]
}

/// A zlib stream, which stores its own address and must not move.
class ZlibStream {
    fileprivate final let stream = UnsafeMutablePointer<z_stream>.allocate(capacity: 1)

    fileprivate init() { stream.initialize(to: z_stream()) }

    deinit { stream.deallocate() }

    /// Calls zlib until all input is consumed and all output is returned, growing the output as needed.
    /// - Returns: the result of the last call.
    fileprivate final func run(
        _ input: UnsafeRawBufferPointer, into output: inout ByteBuffer, upTo maximum: Int,
        _ call: (UnsafeMutablePointer<z_stream>) -> Int32
    ) throws(WebSocketError) -> Int32 {
        stream.pointee.next_in = UnsafeMutablePointer(mutating: input.bindMemory(to: UInt8.self).baseAddress)
        stream.pointee.avail_in = UInt32(input.count)
        var code = Z_OK
        repeat {
            let room = min(max(256, input.count * 2), 64 << 10)
            output.writeWithUnsafeMutableBytes(minimumWritableBytes: room) { target in
                stream.pointee.next_out = target.bindMemory(to: UInt8.self).baseAddress
                stream.pointee.avail_out = UInt32(min(target.count, 1 << 20))
                let offered = Int(stream.pointee.avail_out)
                code = call(stream)
                return offered - Int(stream.pointee.avail_out)
            }
            guard output.readableBytes <= maximum else {
                throw WebSocketError(.messageTooLarge, "the message becomes larger than the limit of \(maximum) bytes")
            }
        } while code == Z_OK && (stream.pointee.avail_out == 0 || stream.pointee.avail_in > 0)
        return code
    }
}

/// Compresses messages.
final class MessageDeflater: ZlibStream {
    private let startsOver: Bool

    /// Nil for a window of 256 bytes, which zlib does not support.
    init?(_ compression: WebSocketCompression) {
        guard compression.outgoingWindowBits > 8 else { return nil }
        startsOver = compression.outgoingStartsOver
        super.init()
        // A memory level of 5 instead of 8: an eighth of the memory, with hardly any difference for short messages.
        deflateInit2_(
            stream, Z_DEFAULT_COMPRESSION, Z_DEFLATED, -Int32(compression.outgoingWindowBits), 5, Z_DEFAULT_STRATEGY,
            zlibVersion(), Int32(MemoryLayout<z_stream>.size))
    }

    deinit { deflateEnd(stream) }

    /// A compressed message.
    func deflate(_ bytes: ByteBuffer) throws(WebSocketError) -> ByteBuffer {
        var output = ByteBuffer()
        _ = try bytes.withUnsafeReadableBytes { input in
            Result { () throws(WebSocketError) -> Int32 in
                try run(input, into: &output, upTo: .max) { CZlib.deflate($0, Z_SYNC_FLUSH) }
            }
        }.get()
        output.moveWriterIndex(to: output.writerIndex - WebSocketCompression.tail.count)
        if startsOver { deflateReset(stream) }
        return output
    }
}

/// Decompresses messages.
final class MessageInflater: ZlibStream {
    private let compression: WebSocketCompression
    private var hasBegun = false

    init(_ compression: WebSocketCompression) {
        self.compression = compression
        super.init()
    }

    deinit { if hasBegun { inflateEnd(stream) } }

    /// Output below which the ratio is not checked: short messages may be very regular.
    private static let freeOutput = 4 << 20

    /// The decompressed message.
    func inflate(_ bytes: ByteBuffer, _ limits: WebSocketLimits) throws(WebSocketError) -> ByteBuffer {
        let allowed = bytes.readableBytes.multipliedReportingOverflow(by: max(1, limits.ratio))
        let maximum = min(limits.messageSize, allowed.overflow ? .max : max(Self.freeOutput, allowed.partialValue))
        var output = ByteBuffer()
        for part in [bytes, ByteBuffer(bytes: WebSocketCompression.tail)] {
            try part.withUnsafeReadableBytes { input in
                Result { () throws(WebSocketError) in try inflate(input, into: &output, maximum) }
            }.get()
        }
        if compression.incomingStartsOver { inflateReset(stream) }
        return output
    }

    private func inflate(
        _ input: UnsafeRawBufferPointer, into output: inout ByteBuffer, _ maximum: Int
    ) throws(WebSocketError) {
        if !hasBegun {
            // At least 2^9: zlib's inflater supports no smaller window, and a larger one decodes the same data.
            let bits = -Int32(max(9, compression.incomingWindowBits))
            guard inflateInit2_(stream, bits, zlibVersion(), Int32(MemoryLayout<z_stream>.size)) == Z_OK else {
                throw WebSocketError(.internalError, "there is no memory to decompress messages")
            }
            hasBegun = true
        }
        var rest = input
        while !rest.isEmpty {
            let code = try run(rest, into: &output, upTo: maximum) { CZlib.inflate($0, Z_SYNC_FLUSH) }
            rest = UnsafeRawBufferPointer(rebasing: rest[(rest.count - Int(stream.pointee.avail_in))...])
            switch code {
            case Z_OK: break
            case Z_BUF_ERROR: return
            case Z_STREAM_END: goOn()
            default: throw WebSocketError(.invalidContent, "a compressed message is not what deflate makes")
            }
        }
    }

    /// A block was marked as the last one, which is allowed (section 7.2.3.4): the next one can still refer to earlier
    /// data.
    private func goOn() {
        var window = [UInt8](repeating: 0, count: 32 << 10)
        var count = UInt32(window.count)
        let left = stream.pointee.avail_in
        guard inflateGetDictionary(stream, &window, &count) == Z_OK else { return }
        inflateReset(stream)
        inflateSetDictionary(stream, window, count)
        stream.pointee.avail_in = left
    }
}
