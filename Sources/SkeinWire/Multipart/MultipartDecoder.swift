// Splits a form with files into its parts (RFC 7578; RFC 2046, section 5.1). A value without I/O: append bytes, take events.

import NIOCore
import SkeinCore

/// Limits of a form with files.
public struct MultipartLimits: Sendable, Hashable {
    /// Parts of a form. Default: 1000.
    public var parts = 1000
    /// Bytes of the fields before a part's content. Default: 8 KiB.
    public var headerBlock = 8 << 10
    /// Bytes of all parts other than files, which are held in memory. Default: 1 MiB.
    public var fields = 1 << 20

    /// The defaults.
    public init() {}
}

/// The error in a form.
package enum MultipartError: String, Error, Sendable, CustomStringConvertible {
    case boundary = "the boundary of the form is missing or malformed"
    case preamble = "the form does not begin with its boundary"
    case malformedBoundary = "a boundary of the form is not followed by the end of its line"
    case headers = "the fields of a part are malformed or too large"
    case name = "a part has no name"
    case tooManyParts = "the form has too many parts"
    case truncated = "the form is truncated"

    package var description: String { rawValue }
}

/// Splits the bytes of a form.
package struct MultipartDecoder: Sendable {
    /// The next part of the form.
    package enum Event: Sendable, Equatable {
        /// The header section of a part.
        case part(Headers)
        /// A piece of its content.
        case data(ByteBuffer)
        /// The end of a part.
        case endOfPart
        /// The end of the form; following bytes are ignored.
        case end
    }

    private enum State: Equatable {
        case start
        /// After a boundary: the next bytes tell whether it was the last.
        case boundary(isFirst: Bool)
        case headers
        case content
        case over
    }

    private let limits: MultipartLimits
    /// The delimiter between parts, including the preceding line end.
    private let delimiter: [UInt8]
    private var state = State.start
    private var buffer = ByteBuffer()
    private var parts = 0

    /// - Parameter boundary: the boundary of the Content-Type field.
    /// - Throws: ``MultipartError/boundary`` when it is invalid (RFC 2046, section 5.1.1).
    package init(boundary: String, limits: MultipartLimits = MultipartLimits()) throws(MultipartError) {
        guard (1...70).contains(boundary.utf8.count), boundary.utf8.allSatisfy({ $0 >= 0x20 && $0 < 0x7F }) else {
            throw .boundary
        }
        self.limits = limits
        delimiter = Array("\r\n--\(boundary)".utf8)
    }

    /// Adds received bytes.
    package mutating func append(_ bytes: ByteBuffer) { buffer.absorb(bytes) }

    /// The form has ended.
    package func finish() throws(MultipartError) { if state != .over { throw .truncated } }

    /// The next event, or nil until more bytes arrive.
    package mutating func next() throws(MultipartError) -> Event? {
        switch state {
        case .start:
            // No line precedes the first boundary.
            let first = delimiter.dropFirst(2)
            guard buffer.readableBytes >= first.count else {
                guard first.starts(with: buffer.readableBytesView) else { throw .preamble }
                return nil
            }
            guard buffer.readableBytesView.starts(with: first) else { throw .preamble }
            buffer.moveReaderIndex(forwardBy: first.count)
            state = .boundary(isFirst: true)
            return try next()
        case .boundary(let isFirst): return try nextBehindBoundary(isFirst)
        case .headers:
            guard let headers = try readHeaders() else { return nil }
            state = .content
            return .part(headers)
        case .content: return nextContent()
        case .over:
            buffer.clear()
            return nil
        }
    }

    private mutating func nextBehindBoundary(_ isFirst: Bool) throws(MultipartError) -> Event? {
        let view = buffer.readableBytesView
        guard view.count >= 2 else { return nil }
        let two = Array(view.prefix(2))
        buffer.moveReaderIndex(forwardBy: 2)
        if two == Array("--".utf8) {
            state = .over
            return .end
        }
        guard two == [Bytes.cr, Bytes.lf] else { throw .malformedBoundary }
        parts += 1
        guard parts <= limits.parts else { throw .tooManyParts }
        state = .headers
        return try next()
    }

    private mutating func readHeaders() throws(MultipartError) -> Headers? {
        var headers = Headers()
        let view = buffer.readableBytesView
        var start = view.startIndex
        while true {
            guard let end = view[start...].firstIndex(of: Bytes.lf) else {
                guard view.count <= limits.headerBlock else { throw .headers }
                return nil
            }
            guard end - view.startIndex <= limits.headerBlock, end > start, view[end - 1] == Bytes.cr else {
                throw .headers
            }
            let line = view[start..<(end - 1)]
            start = end + 1
            if line.isEmpty { break }
            guard let colon = line.firstIndex(of: Bytes.colon), headers.count < 32 else { throw .headers }
            let value = String(decoding: line[(colon + 1)...], as: UTF8.self)
            headers.add(String(decoding: line[..<colon], as: UTF8.self), String(value[...].trimmingBlanks()))
            guard headers.problem == nil else { throw .headers }
        }
        buffer.moveReaderIndex(to: start)
        return headers
    }

    /// Content up to the next boundary, or up to a possible start of one.
    private mutating func nextContent() -> Event? {
        let found = buffer.withUnsafeReadableBytes { Self.find(delimiter, in: $0) }
        switch found {
        case .whole(0):
            buffer.moveReaderIndex(forwardBy: delimiter.count)
            state = .boundary(isFirst: false)
            return .endOfPart
        case .whole(let count), .none(let count):
            guard count > 0, let data = buffer.readSlice(length: count) else { return nil }
            return .data(data)
        }
    }

    private enum Found {
        /// A complete delimiter, after a number of bytes.
        case whole(Int)
        /// A number of bytes without the start of a delimiter.
        case none(Int)
    }

    private static func find(_ delimiter: [UInt8], in bytes: UnsafeRawBufferPointer) -> Found {
        var start = 0
        while start < bytes.count {
            guard let hit = bytes[start...].firstIndex(of: Bytes.cr) else { return .none(bytes.count) }
            let count = min(delimiter.count, bytes.count - hit)
            var isSame = true
            for index in 1..<max(1, count) where bytes[hit + index] != delimiter[index] {
                isSame = false
                break
            }
            if isSame { return count == delimiter.count ? .whole(hit) : .none(hit) }
            start = hit + 1
        }
        return .none(bytes.count)
    }
}
