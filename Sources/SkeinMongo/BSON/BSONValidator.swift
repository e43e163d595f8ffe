// Validates bytes when they become a document. Later readers rely on that.

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// Checks that bytes are exactly one valid document.
struct BSONValidator {
    /// The maximum nesting; servers allow 100.
    static let maximumDepth = 200

    private let bytes: UnsafeRawBufferPointer
    private var position = 0

    /// - Throws: when they are invalid.
    static func validate(_ bytes: UnsafeRawBufferPointer) throws(BSONError) {
        var validator = BSONValidator(bytes: bytes)
        try validator.document(end: bytes.count, depth: 0)
    }

    private init(bytes: UnsafeRawBufferPointer) { self.bytes = bytes }

    /// A document that ends where its container says.
    private mutating func document(end: Int, depth: Int) throws(BSONError) {
        guard depth <= Self.maximumDepth else {
            throw BSONError("documents are nested deeper than \(Self.maximumDepth)")
        }
        let start = position
        let length = try integer(end: end)
        guard length >= 5, start + length == end else {
            throw BSONError("a document of \(end - start) bytes declares a length of \(length)")
        }
        let last = end - 1
        guard bytes[last] == 0 else { throw BSONError("a document does not end with a zero") }
        while position < last {
            let byte = bytes[position]
            guard let type = BSONType(rawValue: byte) else { throw BSONError("the type \(byte) is unknown") }
            position += 1
            try cString(end: last)
            try value(type, end: last, depth: depth)
        }
        position = end
    }

    @inline(__always)
    private mutating func integer(end: Int) throws(BSONError) -> Int {
        guard position + 4 <= end else { throw Self.cut }
        defer { position += 4 }
        return Int(Int32(littleEndian: bytes.loadUnaligned(fromByteOffset: position, as: Int32.self)))
    }

    private static var cut: BSONError { BSONError("a value extends beyond the end of its document") }

    private mutating func cString(end: Int) throws(BSONError) {
        guard position < end, let base = bytes.baseAddress, let zero = memchr(base + position, 0, end - position) else {
            throw BSONError("a field name is not terminated")
        }
        let stop = UnsafeRawPointer(zero) - base
        try text(position..<stop)
        position = stop + 1
    }

    private mutating func string(end: Int) throws(BSONError) {
        let length = try integer(end: end)
        guard length >= 1, length <= end - position else {
            throw BSONError("a string declares \(length) bytes, but \(max(0, end - position)) are left")
        }
        let stop = position + length - 1
        guard bytes[stop] == 0 else { throw BSONError("a string does not end with a zero") }
        try text(position..<stop)
        position = stop + 1
    }

    /// Fast path: nearly all text is ASCII, which is checked eight bytes at a time.
    private func text(_ range: Range<Int>) throws(BSONError) {
        var place = range.lowerBound
        var seen: UInt64 = 0
        while place + 8 <= range.upperBound {
            seen |= bytes.loadUnaligned(fromByteOffset: place, as: UInt64.self)
            place += 8
        }
        while place < range.upperBound {
            seen |= UInt64(bytes[place])
            place += 1
        }
        guard seen & 0x8080_8080_8080_8080 != 0 else { return }
        guard String(validating: UnsafeRawBufferPointer(rebasing: bytes[range]), as: UTF8.self) != nil else {
            throw BSONError("a string is not UTF-8")
        }
    }

    private mutating func skip(_ count: Int, end: Int) throws(BSONError) {
        guard count >= 0, count <= end - position else { throw Self.cut }
        position += count
    }

    private mutating func nested(end: Int, depth: Int) throws(BSONError) {
        let start = position
        let length = try integer(end: end)
        guard length >= 5, length <= end - start else {
            throw BSONError("a document declares \(length) bytes, but \(end - start) are left")
        }
        position = start
        try document(end: start + length, depth: depth + 1)
    }

    private mutating func value(_ type: BSONType, end: Int, depth: Int) throws(BSONError) {
        if let size = type.fixedSize {
            let start = position
            try skip(size, end: end)
            if type == .bool, bytes[start] > 1 { throw BSONError("a boolean has the value \(bytes[start])") }
            return
        }
        switch type {
        case .string, .code, .symbol: try string(end: end)
        case .document, .array: try nested(end: end, depth: depth)
        case .binary:
            let length = try integer(end: end)
            guard position < end else { throw Self.cut }
            let isOld = bytes[position] == 2
            position += 1
            let start = position
            try skip(length, end: end)
            guard isOld else { return }
            // The old subtype repeats its length inside.
            position = start
            guard length >= 4, try integer(end: start + length) == length - 4 else {
                throw BSONError("binary data of subtype 2 has a wrong length inside")
            }
            position = start + length
        case .regex:
            try cString(end: end)
            try cString(end: end)
        case .dbPointer:
            try string(end: end)
            try skip(12, end: end)
        case .codeWithScope:
            let start = position
            let length = try integer(end: end)
            guard length >= 14, length <= end - start else {
                throw BSONError("code with a scope declares a wrong length of \(length) bytes")
            }
            let stop = start + length
            try string(end: stop)
            guard position + 5 <= stop else { throw Self.cut }
            try document(end: stop, depth: depth + 1)
        default: break
        }
    }
}
