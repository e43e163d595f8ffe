// The first line of a message: request line and status line (RFC 9112, sections 3 and 4).

import SkeinCore
import NIOCore

/// A request line, as ranges in the bytes of the head.
struct RequestLine {
    let method: HTTPMethod
    let target: Range<Int>
    let version: HTTPVersion

    /// Parses a request line: method, one space, target, one space, version.
    init(_ bytes: UnsafeRawBufferPointer, _ line: Range<Int>) throws(HTTP1Error) {
        let end = line.upperBound
        var cursor = line.lowerBound
        while cursor < end, Bytes.isToken(bytes[cursor]) { cursor &+= 1 }
        guard cursor < end, cursor > line.lowerBound, bytes[cursor] == Bytes.space else { throw .invalidMethod }
        method = Self.method(bytes, line.lowerBound..<cursor)
        let start = cursor &+ 1
        cursor = start
        while cursor < end, Bytes.isTarget(bytes[cursor]) { cursor &+= 1 }
        guard cursor < end else { throw .malformedRequestLine }
        guard bytes[cursor] == Bytes.space, cursor > start else { throw .invalidTarget }
        for index in (cursor &+ 1)..<end where bytes[index] == Bytes.space { throw .spaceInTarget }
        version = try HTTPVersion(bytes, (cursor &+ 1)..<end)
        target = start..<cursor
        try Self.check(method, bytes, target)
    }

    private static func method(_ bytes: UnsafeRawBufferPointer, _ range: Range<Int>) -> HTTPMethod {
        switch (range.count, bytes[range.lowerBound]) {
        case (3, UInt8(ascii: "G")) where is3(bytes, range, "GET"): .get
        case (4, UInt8(ascii: "P")) where is3(bytes, range, "POST"): .post
        default: HTTPMethod(rawValue: String(decoding: bytes[range], as: UTF8.self))
        }
    }

    private static func is3(_ bytes: UnsafeRawBufferPointer, _ range: Range<Int>, _ name: StaticString) -> Bool {
        for (offset, index) in range.enumerated() where bytes[index] != name.utf8Start[offset] { return false }
        return true
    }

    /// Checks whether the form of the target fits the method (RFC 9112, section 3.2).
    private static func check(
        _ method: HTTPMethod, _ bytes: UnsafeRawBufferPointer, _ target: Range<Int>
    ) throws(HTTP1Error) {
        let first = bytes[target.lowerBound]
        if method == .connect {
            guard first != UInt8(ascii: "/"), bytes[target].contains(Bytes.colon) else { throw .invalidTarget }
        } else if first == UInt8(ascii: "/") {
            return
        } else if first == UInt8(ascii: "*") {
            guard target.count == 1, method == .options else { throw .invalidTarget }
        } else {
            let text = String(decoding: bytes[target].prefix(16), as: UTF8.self).lowercased()
            guard text.hasBytePrefix("http://") || text.hasBytePrefix("https://") else { throw .invalidTarget }
            // Its authority replaces the Host field, and is checked as strictly.
            let authority = bytes[target].dropFirst(text.hasBytePrefix("https") ? 8 : 7)
                .prefix { $0 != UInt8(ascii: "/") && $0 != UInt8(ascii: "?") }
            guard !authority.isEmpty, authority.allSatisfy(Bytes.isHost) else { throw .invalidTarget }
        }
    }
}

/// A status line.
struct StatusLine {
    let version: HTTPVersion
    let status: HTTPStatus
    let reason: Range<Int>

    /// Parses a status line. The space before a missing reason may be missing, too, as from many servers.
    init(
        _ bytes: UnsafeRawBufferPointer, _ line: Range<Int>, _ parsing: HTTPParsing
    ) throws(HTTP1Error) {
        let start = line.lowerBound
        guard line.count >= 12, bytes[start &+ 8] == Bytes.space else { throw .malformedStatusLine }
        version = try HTTPVersion(bytes, start..<(start &+ 8))
        var code = 0
        for index in (start &+ 9)..<(start &+ 12) {
            guard Bytes.isDigit(bytes[index]) else { throw .malformedStatusLine }
            code = code &* 10 &+ Int(bytes[index] &- 0x30)
        }
        // A status above 599 counts as an unknown server error (RFC 9110, section 15).
        guard code >= 100, code <= 599 || parsing == .tolerant else { throw .malformedStatusLine }
        status = HTTPStatus(code)
        if line.count > 12, bytes[start &+ 12] != Bytes.space { throw .malformedStatusLine }
        reason = min(start &+ 13, line.upperBound)..<line.upperBound
    }
}

extension HTTPVersion {
    /// Parses `HTTP/1.1` (RFC 9112, section 2.3); a minor version above 1 counts as 1.
    init(_ bytes: UnsafeRawBufferPointer, _ range: Range<Int>) throws(HTTP1Error) {
        let start = range.lowerBound
        guard range.count == 8, Self.startsWithName(bytes, start), Bytes.isDigit(bytes[start &+ 5]),
            bytes[start &+ 6] == UInt8(ascii: "."), Bytes.isDigit(bytes[start &+ 7])
        else { throw .malformedVersion }
        guard bytes[start &+ 5] == UInt8(ascii: "1") else { throw .unsupportedVersion }
        self = bytes[start &+ 7] == UInt8(ascii: "0") ? .http1_0 : .http1_1
    }

    private static func startsWithName(_ bytes: UnsafeRawBufferPointer, _ start: Int) -> Bool {
        let name: StaticString = "HTTP/"
        for index in 0..<5 where bytes[start &+ index] != name.utf8Start[index] { return false }
        return true
    }

    /// Whether the first bytes can be the start of `HTTP/`, so that garbage is detected before a line ends.
    static func couldStart(_ bytes: UnsafeRawBufferPointer) -> Bool {
        let name: StaticString = "HTTP/"
        for index in 0..<min(5, bytes.count) where bytes[index] != name.utf8Start[index] { return false }
        return true
    }
}
