// Parses the lines of a head or a trailer section. It keeps its position between calls, so that a section that arrives
// byte by byte is scanned only once.

import SkeinCore
import NIOCore

/// A section of lines: the position of the start line, the fields, and their framing.
struct FieldSection {
    private(set) var fields: [Headers.Field] = []
    private(set) var known: KnownFields = []
    private(set) var framing = Framing()
    private let isTolerant: Bool
    private let isTrailer: Bool
    private var lineStart = 0
    private var cursor = 0
    /// Line ends inside of folded fields and lone CRs: they become spaces in the result.
    private var blanks: [Range<Int>] = []

    init(parsing: HTTPParsing = .strict, isTrailer: Bool = false) {
        isTolerant = parsing == .tolerant
        self.isTrailer = isTrailer
    }

    /// The bytes parsed so far, once the last line was consumed.
    var consumed: Int { lineStart }

    /// The section as headers over its bytes.
    mutating func takeHeaders(_ block: ByteBuffer) -> Headers {
        defer { fields = [] }
        var block = block
        for range in blanks {
            block.setRepeatingByte(Bytes.space, count: range.count, at: block.readerIndex + range.lowerBound)
        }
        return Headers(parsed: block, fields: fields, known: known)
    }

    /// The next line without its CRLF, or nil until more bytes arrive.
    /// - Parameter unfolds: whether lines that begin with whitespace continue the previous one, in tolerant mode.
    /// - Throws: for a line or section over its limit; in strict mode, for any control byte but tab and for a lone CR
    ///   or LF (RFC 9112, section 2.2).
    @inline(__always)
    mutating func nextLine(
        in bytes: UnsafeRawBufferPointer, longest: Int, largest: Int, unfolds: Bool = true,
        otherwise tooLarge: HTTP1Error = .headerBlockTooLarge
    ) throws(HTTP1Error) -> Range<Int>? {
        while true {
            cursor = Bytes.firstControl(in: bytes, from: cursor, to: bytes.count)
            guard cursor &- lineStart <= longest else { throw .lineTooLong }
            guard cursor <= largest else { throw tooLarge }
            guard cursor < bytes.count else { return nil }
            let next: Int
            switch bytes[cursor] {
            case Bytes.tab:
                cursor &+= 1
                continue
            case Bytes.cr:
                guard cursor &+ 1 < bytes.count else { return nil }
                guard bytes[cursor &+ 1] == Bytes.lf else {
                    guard isTolerant else { throw .bareCarriageReturn }
                    blanks.append(cursor..<(cursor &+ 1))
                    cursor &+= 1
                    continue
                }
                next = cursor &+ 2
            case Bytes.lf:
                guard isTolerant else { throw .bareLineFeed }
                next = cursor &+ 1
            default:
                guard isTolerant, bytes[cursor] != 0 else { throw .controlByte }
                cursor &+= 1
                continue
            }
            if isTolerant, unfolds, cursor > lineStart {
                guard next < bytes.count else { return nil }
                if Self.isBlank(bytes[next]) {
                    blanks.append(cursor..<next)
                    cursor = next
                    continue
                }
            }
            let line = lineStart..<cursor
            cursor = next
            lineStart = next
            return line
        }
    }

    /// Parses one field line (RFC 9112, section 5).
    @inline(__always)
    mutating func addField(
        _ line: Range<Int>, in bytes: UnsafeRawBufferPointer, limit: Int
    ) throws(HTTP1Error) {
        guard fields.count < limit else { throw .tooManyFields }
        let start = line.lowerBound
        var end = line.upperBound
        var colon = start
        while colon < end, Bytes.isToken(bytes[colon]) { colon &+= 1 }
        guard colon < end else { throw .missingColon }
        var nameEnd = colon
        if bytes[colon] != Bytes.colon {
            guard isTolerant, !Self.isBlank(bytes[start]) else {
                guard Self.isBlank(bytes[colon]) else { throw .invalidFieldName }
                throw colon == start ? .obsoleteFolding : .whitespaceBeforeColon
            }
            while colon < end, bytes[colon] != Bytes.colon { colon &+= 1 }
            guard colon < end else { throw .missingColon }
            nameEnd = colon
            while nameEnd > start, Self.isOuter(bytes[nameEnd &- 1]) { nameEnd &-= 1 }
            for index in start..<nameEnd where bytes[index] < Bytes.space { throw .invalidFieldName }
        }
        guard nameEnd > start, nameEnd &- start <= Int(UInt16.max) else { throw .invalidFieldName }
        var value = colon &+ 1
        while value < end, Self.isOuter(bytes[value]) { value &+= 1 }
        while end > value, Self.isOuter(bytes[end &- 1]) { end &-= 1 }
        let kind = KnownFields(name: bytes, at: start, count: nameEnd &- start)
        if fields.isEmpty { fields.reserveCapacity(8) }
        fields.append(
            Headers.Field(
                name: UInt32(truncatingIfNeeded: start), value: UInt32(truncatingIfNeeded: value),
                valueLength: UInt32(truncatingIfNeeded: end &- value),
                nameLength: UInt16(truncatingIfNeeded: nameEnd &- start), known: kind))
        guard !kind.isEmpty else { return }
        // Trailers do not affect the framing of the message.
        if isTrailer, isTolerant { return known.formUnion(kind) }
        try framing.note(kind, seenBefore: known.contains(kind), bytes, value..<end, isTolerant: isTolerant)
        known.formUnion(kind)
    }

    @inline(__always)
    private static func isBlank(_ byte: UInt8) -> Bool { byte == Bytes.space || byte == Bytes.tab }

    /// Whether a byte at the end of a value is not part of it: whitespace, or the line end of a folded field.
    @inline(__always)
    private static func isOuter(_ byte: UInt8) -> Bool { isBlank(byte) || byte == Bytes.cr || byte == Bytes.lf }
}

/// The framing and persistence by the fields of a head, collected during parsing.
struct Framing {
    var contentLength: Int?
    var isChunked = false
    /// Whether `chunked` occurs twice.
    private var isDoubled = false
    var close = false
    var keepAlive = false
    var upgrade = false
    var expectsContinue = false

    /// Processes the value of a known field.
    mutating func note(
        _ kind: KnownFields, seenBefore: Bool, _ bytes: UnsafeRawBufferPointer, _ value: Range<Int>, isTolerant: Bool
    ) throws(HTTP1Error) {
        switch kind {
        case .contentLength:
            guard isTolerant else { return try noteLength(bytes, value) }
            // The same length several times, as from a proxy that joins fields (RFC 9110, section 8.6).
            try Self.forEachPart(of: value, in: bytes) { part throws(HTTP1Error) in try noteLength(bytes, part) }
        case .transferEncoding:
            if isTolerant, Bytes.equal(bytes, value.lowerBound, value.count, lowercase: "identity") { return }
            // Only `chunked`, once: with an unknown coding, the end of the body is unknown.
            guard !seenBefore || isTolerant, Bytes.equal(bytes, value.lowerBound, value.count, lowercase: "chunked")
            else {
                throw .unknownTransferCoding
            }
            isDoubled = isChunked
            isChunked = true
        case .connection:
            noteConnection(bytes, value)
        case .expect:
            expectsContinue = Bytes.equal(bytes, value.lowerBound, value.count, lowercase: "100-continue")
        case .host:
            // It has no meaning in a response.
            guard !isTolerant else { return }
            if seenBefore { throw .multipleHosts }
            for byte in bytes[value] where !Bytes.isHost(byte) { throw .invalidHost }
        default: break
        }
    }

    private mutating func noteLength(_ bytes: UnsafeRawBufferPointer, _ value: Range<Int>) throws(HTTP1Error) {
        let length = try Self.decimal(bytes, value)
        if let contentLength, contentLength != length { throw .conflictingContentLengths }
        contentLength = length
    }

    private mutating func noteConnection(_ bytes: UnsafeRawBufferPointer, _ value: Range<Int>) {
        Self.forEachPart(of: value, in: bytes) { part in
            if Bytes.equal(bytes, part.lowerBound, part.count, lowercase: "close") { close = true }
            if Bytes.equal(bytes, part.lowerBound, part.count, lowercase: "keep-alive") { keepAlive = true }
            if Bytes.equal(bytes, part.lowerBound, part.count, lowercase: "upgrade") { upgrade = true }
        }
    }

    /// The elements of a comma-separated list, trimmed.
    private static func forEachPart<Failure: Error>(
        of value: Range<Int>, in bytes: UnsafeRawBufferPointer, _ take: (Range<Int>) throws(Failure) -> Void
    ) throws(Failure) {
        var start = value.lowerBound
        repeat {
            var end = start
            while end < value.upperBound, bytes[end] != UInt8(ascii: ",") { end &+= 1 }
            var first = start
            var last = end
            while first < last, bytes[first] <= Bytes.space { first &+= 1 }
            while last > first, bytes[last &- 1] <= Bytes.space { last &-= 1 }
            try take(first..<last)
            start = end &+ 1
        } while start <= value.upperBound
    }

    /// One or more digits, at most eighteen, so that sums of lengths do not overflow (RFC 9110, section 8.6).
    private static func decimal(_ bytes: UnsafeRawBufferPointer, _ range: Range<Int>) throws(HTTP1Error) -> Int {
        guard !range.isEmpty, range.count <= 18 else { throw .invalidContentLength }
        var number = 0
        for index in range {
            guard Bytes.isDigit(bytes[index]) else { throw .invalidContentLength }
            number = number &* 10 &+ Int(bytes[index] &- 0x30)
        }
        return number
    }

    /// The rules common to requests and responses (RFC 9112, section 6.3).
    func check(version: HTTPVersion, isTolerant: Bool = false) throws(HTTP1Error) {
        guard isChunked, !isTolerant else { return }
        if contentLength != nil { throw .contentLengthWithTransferEncoding }
        if version == .http1_0 { throw .transferEncodingInHTTP10 }
    }

    /// Whether the connection persists after the message (RFC 9112, section 9.3).
    func persists(version: HTTPVersion) -> Bool {
        // With contradictory framing, or one that the version lacks, the sender may mean the other one.
        if isChunked, contentLength != nil || version == .http1_0 || isDoubled { return false }
        return version == .http1_0 ? keepAlive && !close : !close
    }
}
