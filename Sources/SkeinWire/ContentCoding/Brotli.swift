// Brotli, by its reference library.

import CBrotli
import NIOCore

/// Decodes Brotli.
final class BrotliDecoder: DecodingStage {
    private let state = BrotliDecoderCreateInstance(nil, nil, nil)

    deinit { BrotliDecoderDestroyInstance(state) }

    func step(_ input: inout ByteBuffer, into output: UnsafeMutableRawBufferPointer) throws(ContentCodingError) -> Int {
        if BrotliDecoderIsFinished(state) != 0 {
            guard input.readableBytes == 0 else { throw .trailing(.brotli) }
            return 0
        }
        var result = BROTLI_DECODER_RESULT_ERROR
        var room = output.count
        var nextOut = output.bindMemory(to: UInt8.self).baseAddress
        input.consume { bytes in
            var left = bytes.count
            var nextIn = bytes.bindMemory(to: UInt8.self).baseAddress
            result = BrotliDecoderDecompressStream(state, &left, &nextIn, &room, &nextOut, nil)
            return bytes.count - left
        }
        guard result != BROTLI_DECODER_RESULT_ERROR else { throw .malformed(.brotli) }
        return output.count - room
    }

    func finish() throws(ContentCodingError) {
        guard BrotliDecoderIsFinished(state) != 0 else { throw .truncated(.brotli) }
    }
}

/// Encodes Brotli.
final class BrotliEncoder: EncodingStage {
    private let state = BrotliEncoderCreateInstance(nil, nil, nil)

    init() {
        // The library's default is meant for content that is encoded once and sent many times.
        BrotliEncoderSetParameter(state, BROTLI_PARAM_QUALITY, 5)
        // A window of 256 KiB: with the default of 4 MiB an encoder holds four times as much memory.
        BrotliEncoderSetParameter(state, BROTLI_PARAM_LGWIN, 18)
    }

    deinit { BrotliEncoderDestroyInstance(state) }

    func step(_ input: inout ByteBuffer, into output: UnsafeMutableRawBufferPointer) -> Int {
        var written = 0
        input.consume { bytes in
            var left = bytes.count
            written = run(bytes, &left, output, BROTLI_OPERATION_PROCESS)
            return bytes.count - left
        }
        return written
    }

    func finish(into output: UnsafeMutableRawBufferPointer) -> Int {
        var left = 0
        return run(UnsafeRawBufferPointer(start: nil, count: 0), &left, output, BROTLI_OPERATION_FINISH)
    }

    private func run(
        _ input: UnsafeRawBufferPointer, _ left: inout Int, _ output: UnsafeMutableRawBufferPointer,
        _ operation: BrotliEncoderOperation
    ) -> Int {
        var room = output.count
        var nextIn = input.bindMemory(to: UInt8.self).baseAddress
        var nextOut = output.bindMemory(to: UInt8.self).baseAddress
        BrotliEncoderCompressStream(state, operation, &left, &nextIn, &room, &nextOut, nil)
        return output.count - room
    }
}
