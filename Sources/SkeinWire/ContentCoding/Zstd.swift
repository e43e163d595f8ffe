// Zstandard, by its reference library.

import CZstd
import NIOCore

/// Decodes Zstandard.
final class ZstdDecoder: DecodingStage {
    private let state = ZSTD_createDStream()
    private var isAtEnd = false

    init() {
        // The window size that clients must support, and the maximum (RFC 9659, section 3).
        ZSTD_DCtx_setParameter(state, ZSTD_d_windowLogMax, 23)
    }

    deinit { ZSTD_freeDStream(state) }

    func step(_ input: inout ByteBuffer, into output: UnsafeMutableRawBufferPointer) throws(ContentCodingError) -> Int {
        if isAtEnd, input.readableBytes == 0 { return 0 }  // another call would wait for another frame
        var target = ZSTD_outBuffer(dst: output.baseAddress, size: output.count, pos: 0)
        var code = 0
        input.consume { bytes in
            var source = ZSTD_inBuffer(src: bytes.baseAddress, size: bytes.count, pos: 0)
            code = ZSTD_decompressStream(state, &target, &source)
            return source.pos
        }
        guard ZSTD_isError(code) == 0 else { throw .malformed(.zstd) }
        isAtEnd = code == 0
        return target.pos
    }

    func finish() throws(ContentCodingError) {
        guard isAtEnd else { throw .truncated(.zstd) }
    }
}

/// Encodes Zstandard.
final class ZstdEncoder: EncodingStage {
    private let state = ZSTD_createCStream()
    private var isAtEnd = false

    deinit { ZSTD_freeCStream(state) }

    func step(_ input: inout ByteBuffer, into output: UnsafeMutableRawBufferPointer) -> Int {
        var target = ZSTD_outBuffer(dst: output.baseAddress, size: output.count, pos: 0)
        input.consume { bytes in
            var source = ZSTD_inBuffer(src: bytes.baseAddress, size: bytes.count, pos: 0)
            ZSTD_compressStream2(state, &target, &source, ZSTD_e_continue)
            return source.pos
        }
        return target.pos
    }

    func finish(into output: UnsafeMutableRawBufferPointer) -> Int {
        if isAtEnd { return 0 }
        var target = ZSTD_outBuffer(dst: output.baseAddress, size: output.count, pos: 0)
        var nothing = ZSTD_inBuffer(src: nil, size: 0, pos: 0)
        isAtEnd = ZSTD_compressStream2(state, &target, &nothing, ZSTD_e_end) == 0
        return target.pos
    }
}
