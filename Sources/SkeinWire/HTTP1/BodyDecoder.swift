// Finds the end of a message body (RFC 9112, section 6.3), and returns slices of the received bytes.

import SkeinCore
import NIOCore

/// Decodes one body, for each kind of framing.
enum BodyDecoder {
    case length(remaining: Int)
    case chunked(ChunkedDecoder)
    case untilClose

    enum Piece {
        case data(ByteBuffer)
        case end(trailers: Headers?)
    }

    /// The next piece, or nil until more bytes arrive.
    mutating func next(
        from buffer: inout ByteBuffer, limits: HTTP1Limits, parsing: HTTPParsing = .strict
    ) throws(HTTP1Error) -> Piece? {
        switch self {
        case .length(let remaining):
            guard remaining > 0 else { return .end(trailers: nil) }
            guard let data = buffer.readSlice(length: min(remaining, buffer.readableBytes)), data.readableBytes > 0
            else { return nil }
            self = .length(remaining: remaining - data.readableBytes)
            return .data(data)
        case .chunked(var decoder):
            self = .untilClose  // the decoder is moved out, changed and moved back, without a copy
            defer { self = .chunked(decoder) }
            return try decoder.next(from: &buffer, limits: limits, parsing)
        case .untilClose:
            guard let data = buffer.readSlice(length: buffer.readableBytes), data.readableBytes > 0 else { return nil }
            return .data(data)
        }
    }
}

/// Decodes the chunked transfer coding (RFC 9112, section 7.1).
struct ChunkedDecoder {
    private enum State {
        case size(digits: Int, value: Int)
        case sizeExtension(size: Int)
        case sizeLineFeed(size: Int)
        case data(remaining: Int)
        case dataEnd
        case trailers(FieldSection)
        case finished
    }

    private var state = State.size(digits: 0, value: 0)
    private var extensionBytes = 0

    mutating func next(
        from buffer: inout ByteBuffer, limits: HTTP1Limits, _ parsing: HTTPParsing
    ) throws(HTTP1Error) -> BodyDecoder.Piece? {
        while true {
            switch state {
            case .size(let digits, let value):
                guard let byte = buffer.readInteger(as: UInt8.self) else { return nil }
                state = try afterSize(byte, digits: digits, value: value, parsing)
            case .sizeExtension(let size):
                guard let byte = buffer.readInteger(as: UInt8.self) else { return nil }
                extensionBytes += 1
                guard extensionBytes <= limits.chunkExtensions else { throw .chunkExtensionsTooLarge }
                if byte == Bytes.cr {
                    state = .sizeLineFeed(size: size)
                } else if byte == Bytes.lf {
                    state = try Self.afterSizeLine(size: size, parsing)
                } else if byte == 0x7F || (byte < 0x20 && byte != Bytes.tab) {
                    throw .controlByte
                }
            case .sizeLineFeed(let size):
                guard let byte = buffer.readInteger(as: UInt8.self) else { return nil }
                guard byte == Bytes.lf else { throw .bareCarriageReturn }
                state = size == 0 ? .trailers(FieldSection(parsing: parsing, isTrailer: true)) : .data(remaining: size)
            case .data(let remaining):
                guard let data = buffer.readSlice(length: min(remaining, buffer.readableBytes)), data.readableBytes > 0
                else { return nil }
                let left = remaining - data.readableBytes
                state = left == 0 ? .dataEnd : .data(remaining: left)
                return .data(data)
            case .dataEnd:
                if parsing == .tolerant, buffer.getInteger(at: buffer.readerIndex, as: UInt8.self) == Bytes.lf {
                    buffer.moveReaderIndex(forwardBy: 1)
                    state = .size(digits: 0, value: 0)
                    continue
                }
                guard buffer.readableBytes >= 2 else {
                    if let first = buffer.getInteger(at: buffer.readerIndex, as: UInt8.self), first != Bytes.cr {
                        throw .malformedChunk
                    }
                    return nil
                }
                guard buffer.readInteger(as: UInt16.self) == 0x0D0A else { throw .malformedChunk }
                state = .size(digits: 0, value: 0)
            case .trailers(var section):
                state = .finished
                let trailers = try Self.readTrailers(&section, from: &buffer, limits: limits, parsing)
                guard let trailers else {
                    state = .trailers(section)
                    return nil
                }
                return .end(trailers: trailers.isEmpty ? nil : trailers)
            case .finished:
                return .end(trailers: nil)
            }
        }
    }

    /// A byte after the first digit of a size line: another digit, the start of an extension, or the line's end.
    private func afterSize(
        _ byte: UInt8, digits: Int, value: Int, _ parsing: HTTPParsing
    ) throws(HTTP1Error) -> State {
        if let digit = Bytes.hexValue(byte) {
            guard digits < 16, value <= Int.max >> 4 else { throw .chunkSizeTooLarge }
            return .size(digits: digits + 1, value: value << 4 | digit)
        }
        guard digits > 0 else { throw .invalidChunkSize }
        switch byte {
        case Bytes.cr: return .sizeLineFeed(size: value)
        case Bytes.lf: return try Self.afterSizeLine(size: value, parsing)
        case UInt8(ascii: ";"), Bytes.space, Bytes.tab: return .sizeExtension(size: value)
        default: throw .invalidChunkSize
        }
    }

    /// A size line that ends with LF alone.
    private static func afterSizeLine(size: Int, _ parsing: HTTPParsing) throws(HTTP1Error) -> State {
        guard parsing == .tolerant else { throw .bareLineFeed }
        return size == 0 ? .trailers(FieldSection(parsing: parsing, isTrailer: true)) : .data(remaining: size)
    }

    private static func readTrailers(
        _ section: inout FieldSection, from buffer: inout ByteBuffer, limits: HTTP1Limits, _ parsing: HTTPParsing
    ) throws(HTTP1Error) -> Headers? {
        let bytes = buffer
        let complete = try bytes.withUnsafeReadableBytes { all in
            Result { () throws(HTTP1Error) -> Bool in
                while let line = try section.nextLine(
                    in: all, longest: limits.line, largest: limits.trailers, otherwise: .trailersTooLarge)
                {
                    if line.isEmpty { return true }
                    try section.addField(line, in: all, limit: limits.fieldCount)
                }
                return false
            }
        }.get()
        // A client only passes them on (RFC 9110, section 6.5.1).
        guard parsing == .tolerant || section.known.isDisjoint(with: .forbiddenInTrailers) else {
            throw .forbiddenTrailer
        }
        guard complete, let block = buffer.readSlice(length: section.consumed) else { return nil }
        return section.takeHeaders(block)
    }
}
