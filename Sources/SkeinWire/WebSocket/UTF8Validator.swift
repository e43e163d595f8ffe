// Incremental UTF-8 validation: an invalid text is refused before its end has arrived.

/// Validates a text piece by piece (RFC 3629, section 4).
struct UTF8Validator {
    /// The missing bytes of the current character.
    private var needed: UInt8 = 0
    /// The lower bound of the next byte.
    private var low: UInt8 = 0x80
    private var high: UInt8 = 0xBF

    /// Whether the last character is complete.
    var isComplete: Bool { needed == 0 }

    /// Checks the next bytes. Returns false when they are invalid.
    mutating func accept(_ bytes: UnsafeRawBufferPointer) -> Bool {
        var index = 0
        let count = bytes.count
        while index < count {
            if needed == 0 {
                index = Self.endOfASCII(in: bytes, from: index)
                guard index < count else { return true }
                guard begin(bytes[index]) else { return false }
            } else {
                let byte = bytes[index]
                guard byte >= low, byte <= high else { return false }
                needed &-= 1
                low = 0x80
                high = 0xBF
            }
            index &+= 1
        }
        return true
    }

    private mutating func begin(_ byte: UInt8) -> Bool {
        switch byte {
        case 0xC2...0xDF: needed = 1
        case 0xE0...0xEF:
            needed = 2
            if byte == 0xE0 { low = 0xA0 }  // otherwise it would be an overlong encoding
            if byte == 0xED { high = 0x9F }  // otherwise it would be a surrogate
        case 0xF0...0xF4:
            needed = 3
            if byte == 0xF0 { low = 0x90 }
            if byte == 0xF4 { high = 0x8F }  // otherwise it would be above U+10FFFF
        default: return false
        }
        return true
    }

    private static func endOfASCII(in bytes: UnsafeRawBufferPointer, from start: Int) -> Int {
        var index = start
        while index &+ 8 <= bytes.count {
            guard bytes.loadUnaligned(fromByteOffset: index, as: UInt64.self) & 0x8080_8080_8080_8080 == 0 else {
                break
            }
            index &+= 8
        }
        while index < bytes.count, bytes[index] < 0x80 { index &+= 1 }
        return index
    }
}
