// Normalises the paths of requests, so that no access check can be bypassed by another spelling.

import NIOCore
import SkeinCore
import SkeinWire

/// Normal forms of paths (RFC 3986, section 6.2.2).
enum RequestPath {
    /// The path of a request's target: percent-encoded letters, digits and `-._~` are decoded, other encodings use
    /// upper-case digits.
    /// - Throws: ``ServerError`` 400 for a path with dot segments, an encoded NUL, a malformed encoding or a fragment.
    static func of(_ target: ByteBuffer) throws(ServerError) -> ByteBuffer {
        var path = target
        let kind = target.withUnsafeReadableBytes { bytes in scan(bytes) }
        switch kind {
        case .plain(let end): path.moveWriterIndex(to: path.readerIndex + end)
        case .other:
            path = origin(of: target)
            let end = path.readableBytesView.firstIndex(of: UInt8(ascii: "?")) ?? path.writerIndex
            path.moveWriterIndex(to: end)
            path = try normalised(path)
        }
        guard path.readableBytes <= Int(UInt16.max) else { throw ServerError(414, "the path is too long") }
        return path
    }

    /// The normal form of a path from the program.
    static func normalise(_ path: String) throws(SkeinError) -> ByteBuffer {
        do {
            return try normalised(ByteBuffer(string: Percent.encodeUnsafe(path)))
        } catch {
            throw SkeinError(.exception, because: "\(path.debugDescription) is not a path: \(error.message)")
        }
    }

    private enum Kind {
        /// The path is in normal form; the value is its end.
        case plain(Int)
        case other
    }

    /// Finds whether a path needs normalisation.
    private static func scan(_ bytes: UnsafeRawBufferPointer) -> Kind {
        guard bytes.first == UInt8(ascii: "/") else { return .other }
        var last: UInt8 = 0
        var index = 0
        while index < bytes.count {
            let byte = bytes[index]
            switch byte {
            case UInt8(ascii: "?"): return .plain(index)
            case UInt8(ascii: ".") where last == UInt8(ascii: "/"): return .other
            default: if !isPathByte(byte) { return .other }
            }
            last = byte
            index &+= 1
        }
        return .plain(index)
    }

    /// `! $ & ' ( ) * + , - . / 0-9 : ; =`, as bits 33 to 61.
    private static let pathBelow64: UInt64 = 0x2FFF_FFD2_0000_0000
    /// `@ A-Z _ a-z ~`, as bits 64 to 126 less 64.
    private static let pathAbove64: UInt64 = 0x47FF_FFFE_87FF_FFFF

    /// Whether a byte is allowed in a path (RFC 3986, section 3.3). Other raw bytes are treated as if they were
    /// encoded.
    @inline(__always)
    private static func isPathByte(_ byte: UInt8) -> Bool {
        if byte < 64 { return pathBelow64 &>> UInt64(byte) & 1 == 1 }
        return byte < 128 && pathAbove64 &>> UInt64(byte &- 64) & 1 == 1
    }

    /// The target without scheme and authority, which clients send to proxies (RFC 9112, section 3.2.2).
    private static func origin(of target: ByteBuffer) -> ByteBuffer {
        let view = target.readableBytesView
        guard view.first != UInt8(ascii: "/"), let colon = view.firstIndex(of: Bytes.colon),
            view[colon...].starts(with: "://".utf8)
        else { return target }
        let rest = view[(colon + 3)...]
        guard let start = rest.firstIndex(where: { $0 == UInt8(ascii: "/") || $0 == UInt8(ascii: "?") }) else {
            return ByteBuffer(string: "/")
        }
        var origin = ByteBuffer(string: rest[start] == UInt8(ascii: "/") ? "" : "/")
        origin.writeBytes(rest[start...])
        return origin
    }

    private static func normalised(_ path: ByteBuffer) throws(ServerError) -> ByteBuffer {
        var normal = ByteBuffer()
        normal.reserveCapacity(path.readableBytes)
        var rest = path.readableBytesView.makeIterator()
        while let byte = rest.next() {
            guard byte != UInt8(ascii: "#") else { throw ServerError(.badRequest, "the path holds a fragment") }
            if isPathByte(byte) {
                normal.writeInteger(byte)
                continue
            }
            guard byte == UInt8(ascii: "%") else {
                guard byte != 0 else { throw ServerError(.badRequest, "the path holds a NUL") }
                encode(byte, into: &normal)
                continue
            }
            guard let high = rest.next().flatMap(Bytes.hexValue), let low = rest.next().flatMap(Bytes.hexValue) else {
                throw ServerError(.badRequest, "the path is not correctly percent-encoded")
            }
            let value = UInt8(high << 4 | low)
            guard value != 0 else { throw ServerError(.badRequest, "the path holds a NUL") }
            if Percent.isUnreserved(value) {
                normal.writeInteger(value)
            } else {
                encode(value, into: &normal)
            }
        }
        try refuseDots(normal)
        return normal
    }

    private static func encode(_ byte: UInt8, into path: inout ByteBuffer) {
        path.writeInteger(UInt8(ascii: "%"))
        for digit in [byte >> 4, byte & 15] { path.writeInteger(digit < 10 ? 0x30 + digit : 0x37 + digit) }
    }

    /// A path as read by servers that decode slashes (`%2F`, and `%5C` as one) and merge repeated ones; nil when that
    /// is the same path.
    static func readWithSlashes(_ path: ByteBuffer) -> ByteBuffer? {
        let bytes = path.readableBytesView
        // Most paths have neither, so a single scan suffices.
        let slash = UInt8(ascii: "/")
        let isOdd = path.withUnsafeReadableBytes { bytes in
            bytes.indices.contains { place in
                bytes[place] == UInt8(ascii: "%") || bytes[place] == slash && place > 0 && bytes[place - 1] == slash
            }
        }
        guard isOdd else { return nil }
        var read = ByteBuffer()
        var last: UInt8 = 0
        var place = bytes.startIndex
        while place < bytes.endIndex {
            var byte = bytes[place]
            if byte == UInt8(ascii: "%"), place + 2 < bytes.endIndex {
                let pair = (bytes[place + 1], bytes[place + 2])
                let isSlash =
                    pair == (UInt8(ascii: "2"), UInt8(ascii: "F")) || pair == (UInt8(ascii: "5"), UInt8(ascii: "C"))
                if isSlash {
                    byte = UInt8(ascii: "/")
                    place += 2
                }
            }
            place += 1
            if byte == UInt8(ascii: "/"), last == byte { continue }
            read.writeInteger(byte)
            last = byte
        }
        return read.readableBytes == bytes.count ? nil : read
    }

    /// A path with dot segments is refused instead of resolved: a proxy in front may have resolved it differently.
    static func refuseDots(_ normal: ByteBuffer) throws(ServerError) {
        let segments = normal.readableBytesView.split(separator: UInt8(ascii: "/"))
        guard !segments.contains(where: { $0.elementsEqual(".".utf8) || $0.elementsEqual("..".utf8) }) else {
            throw ServerError(.badRequest, "the path has dot segments; request the resolved path")
        }
    }
}
