// gzip and deflate, by zlib.

import CZlib
import NIOCore

/// The framing of deflated data.
enum ZlibFrame {
    case gzip
    case deflate
    /// No framing: some peers send it as `deflate`, and WebSocket uses it.
    case raw

    var windowBits: Int32 {
        switch self {
        case .gzip: MAX_WBITS + 16
        case .deflate: MAX_WBITS
        case .raw: -MAX_WBITS
        }
    }
}

/// Decodes deflate.
final class Inflater: DecodingStage {
    // zlib stores the address, so it must not move.
    private let stream = UnsafeMutablePointer<z_stream>.allocate(capacity: 1)
    private var frame: ZlibFrame
    private var hasBegun = false
    private var isAtEnd = false

    init(_ frame: ZlibFrame) {
        self.frame = frame
        stream.initialize(to: z_stream())
    }

    deinit {
        if hasBegun { inflateEnd(stream) }
        stream.deallocate()
    }

    private var coding: ContentCoding { frame == .gzip ? .gzip : .deflate }

    func step(_ input: inout ByteBuffer, into output: UnsafeMutableRawBufferPointer) throws(ContentCodingError) -> Int {
        if isAtEnd {
            guard let next = input.readableBytesView.first else { return 0 }
            // Only another member may follow (RFC 1952, section 2.2), as in curl.
            guard frame == .gzip, next == 0x1F else { throw .trailing(coding) }
            inflateReset(stream)
            isAtEnd = false
        }
        if !hasBegun {
            guard try begin(input) else { return 0 }
        }
        var code = Z_OK
        input.consume { bytes in
            stream.pointee.next_in = UnsafeMutablePointer(
                mutating: bytes.bindMemory(to: UInt8.self).baseAddress)
            stream.pointee.avail_in = UInt32(bytes.count)
            stream.pointee.next_out = output.bindMemory(to: UInt8.self).baseAddress
            stream.pointee.avail_out = UInt32(output.count)
            code = inflate(stream, Z_NO_FLUSH)
            return bytes.count - Int(stream.pointee.avail_in)
        }
        guard code == Z_OK || code == Z_STREAM_END || code == Z_BUF_ERROR else { throw .malformed(coding) }
        isAtEnd = code == Z_STREAM_END
        return output.count - Int(stream.pointee.avail_out)
    }

    /// Detects whether `deflate` data has the zlib framing.
    private func begin(_ input: ByteBuffer) throws(ContentCodingError) -> Bool {
        if frame == .deflate {
            guard let start = input.getInteger(at: input.readerIndex, as: UInt16.self) else { return false }
            if start >> 8 & 0x0F != 8 || start % 31 != 0 { frame = .raw }
        }
        guard inflateInit2_(stream, frame.windowBits, zlibVersion(), Int32(MemoryLayout<z_stream>.size)) == Z_OK else {
            throw .malformed(coding)
        }
        hasBegun = true
        return true
    }

    func finish() throws(ContentCodingError) {
        guard isAtEnd else { throw .truncated(coding) }
    }
}

/// Encodes deflate.
final class Deflater: EncodingStage {
    private let stream = UnsafeMutablePointer<z_stream>.allocate(capacity: 1)
    private var isAtEnd = false

    init(_ frame: ZlibFrame) {
        stream.initialize(to: z_stream())
        deflateInit2_(
            stream, Z_DEFAULT_COMPRESSION, Z_DEFLATED, frame.windowBits, 8, Z_DEFAULT_STRATEGY, zlibVersion(),
            Int32(MemoryLayout<z_stream>.size))
    }

    deinit {
        deflateEnd(stream)
        stream.deallocate()
    }

    func step(_ input: inout ByteBuffer, into output: UnsafeMutableRawBufferPointer) -> Int {
        var written = 0
        input.consume { bytes in
            written = run(bytes, output, Z_NO_FLUSH)
            return bytes.count - Int(stream.pointee.avail_in)
        }
        return written
    }

    func finish(into output: UnsafeMutableRawBufferPointer) -> Int {
        isAtEnd ? 0 : run(UnsafeRawBufferPointer(start: nil, count: 0), output, Z_FINISH)
    }

    private func run(
        _ input: UnsafeRawBufferPointer, _ output: UnsafeMutableRawBufferPointer, _ flush: Int32
    ) -> Int {
        stream.pointee.next_in = UnsafeMutablePointer(mutating: input.bindMemory(to: UInt8.self).baseAddress)
        stream.pointee.avail_in = UInt32(input.count)
        stream.pointee.next_out = output.bindMemory(to: UInt8.self).baseAddress
        stream.pointee.avail_out = UInt32(output.count)
        isAtEnd = deflate(stream, flush) == Z_STREAM_END
        return output.count - Int(stream.pointee.avail_out)
    }
}
