// Reads the lines of a head or a trailer section. It keeps its place between calls, so that a section that arrives a
// byte at a time is still scanned once.

import NIOCore

/// The part of a message made of lines: the start line's place, the fields, and what they say about framing.
struct FieldSection {
    private(set) var fields: [Headers.Field] = []
    private(set) var known: KnownFields = []
    private(set) var framing = Framing()
    private var lineStart = 0
    private var cursor = 0

    /// The bytes read so far, once the last line has been taken.
    var consumed: Int { lineStart }

    /// The section as headers over the bytes it was read from.
    mutating func takeHeaders(_ block: ByteBuffer) -> Headers {
        defer { fields = [] }
        return Headers(parsed: block, fields: fields, known: known)
    }

    /// The next line without its CRLF, or nil until more bytes arrive.
    /// - Throws: on any control byte but tab, on CR or LF alone (RFC 9112, section 2.2), on a line or block over its limit.
    @inline(__always)
    mutating func nextLine(
        in bytes: UnsafeRawBufferPointer, longest: Int, largest: Int,
        otherwise tooLarge: HTTP1Error = .headerBlockTooLarge
    ) throws(HTTP1Error) -> Range<Int>? {
        while true {
            cursor = Bytes.firstControl(in: bytes, from: cursor, to: bytes.count)
            guard cursor &- lineStart <= longest else { throw .lineTooLong }
            guard cursor <= largest else { throw tooLarge }
            guard cursor < bytes.count else { return nil }
            switch bytes[cursor] {
            case Bytes.tab:
                cursor &+= 1
            case Bytes.cr:
                guard cursor &+ 1 < bytes.count else { return nil }
                guard bytes[cursor &+ 1] == Bytes.lf else { throw .bareCarriageReturn }
                let line = lineStart..<cursor
                cursor &+= 2
                lineStart = cursor
                return line
            case Bytes.lf: throw .bareLineFeed
            default: throw .controlByte
            }
        }
    }

    /// Takes one field line (RFC 9112, section 5).
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
        guard bytes[colon] == Bytes.colon else {
            guard Self.isBlank(bytes[colon]) else { throw .invalidFieldName }
            throw colon == start ? .obsoleteFolding : .whitespaceBeforeColon
        }
        guard colon > start, colon &- start <= Int(UInt16.max) else { throw .invalidFieldName }
        var value = colon &+ 1
        while value < end, Self.isBlank(bytes[value]) { value &+= 1 }
        while end > value, Self.isBlank(bytes[end &- 1]) { end &-= 1 }
        let kind = KnownFields(name: bytes, at: start, count: colon &- start)
        if fields.isEmpty { fields.reserveCapacity(8) }
        fields.append(
            Headers.Field(
                name: UInt32(truncatingIfNeeded: start), value: UInt32(truncatingIfNeeded: value),
                valueLength: UInt32(truncatingIfNeeded: end &- value),
                nameLength: UInt16(truncatingIfNeeded: colon &- start), known: kind))
        guard !kind.isEmpty else { return }
        try framing.note(kind, seenBefore: known.contains(kind), bytes, value..<end)
        known.formUnion(kind)
    }

    @inline(__always)
    private static func isBlank(_ byte: UInt8) -> Bool { byte == Bytes.space || byte == Bytes.tab }
}

/// What the fields of a head say about its body and its connection, gathered while they are read.
struct Framing {
    var contentLength: Int?
    var isChunked = false
    var close = false
    var keepAlive = false
    var upgrade = false
    var expectsContinue = false

    /// Takes note of a well-known field's value.
    mutating func note(
        _ kind: KnownFields, seenBefore: Bool, _ bytes: UnsafeRawBufferPointer, _ value: Range<Int>
    ) throws(HTTP1Error) {
        switch kind {
        case .contentLength:
            let length = try Self.decimal(bytes, value)
            if let contentLength, contentLength != length { throw .conflictingContentLengths }
            contentLength = length
        case .transferEncoding:
            // Only `chunked`, once: a coding that we cannot undo leaves the end of the body unknown.
            guard !seenBefore, Bytes.equal(bytes, value.lowerBound, value.count, lowercase: "chunked") else {
                throw .unknownTransferCoding
            }
            isChunked = true
        case .connection:
            noteConnection(bytes, value)
        case .expect:
            expectsContinue = Bytes.equal(bytes, value.lowerBound, value.count, lowercase: "100-continue")
        case .host:
            if seenBefore { throw .multipleHosts }
            for byte in bytes[value] where !Bytes.isHost(byte) { throw .invalidHost }
        default: break
        }
    }

    private mutating func noteConnection(_ bytes: UnsafeRawBufferPointer, _ value: Range<Int>) {
        var start = value.lowerBound
        while start < value.upperBound {
            var end = start
            while end < value.upperBound, bytes[end] != UInt8(ascii: ",") { end &+= 1 }
            var first = start
            var last = end
            while first < last, bytes[first] <= Bytes.space { first &+= 1 }
            while last > first, bytes[last &- 1] <= Bytes.space { last &-= 1 }
            let count = last &- first
            if Bytes.equal(bytes, first, count, lowercase: "close") { close = true }
            if Bytes.equal(bytes, first, count, lowercase: "keep-alive") { keepAlive = true }
            if Bytes.equal(bytes, first, count, lowercase: "upgrade") { upgrade = true }
            start = end &+ 1
        }
    }

    /// One or more digits, at most eighteen, so that no sum of lengths overflows (RFC 9110, section 8.6).
    private static func decimal(_ bytes: UnsafeRawBufferPointer, _ range: Range<Int>) throws(HTTP1Error) -> Int {
        guard !range.isEmpty, range.count <= 18 else { throw .invalidContentLength }
        var number = 0
        for index in range {
            guard Bytes.isDigit(bytes[index]) else { throw .invalidContentLength }
            number = number &* 10 &+ Int(bytes[index] &- 0x30)
        }
        return number
    }

    /// The rules that hold for requests and responses alike (RFC 9112, section 6.3).
    func check(version: HTTPVersion) throws(HTTP1Error) {
        guard isChunked else { return }
        if contentLength != nil { throw .contentLengthWithTransferEncoding }
        if version == .http1_0 { throw .transferEncodingInHTTP10 }
    }

    /// Whether the connection persists after the message (RFC 9112, section 9.3).
    func persists(version: HTTPVersion) -> Bool {
        version == .http1_0 ? keepAlive && !close : !close
    }
}
