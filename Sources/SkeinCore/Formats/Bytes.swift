// Byte classes and word-at-a-time scans for the HTTP grammars.

/// The byte classes of RFC 9110, section 5.6, and scans that stop at the first byte outside one.
package enum Bytes {
    @inlinable package static var tab: UInt8 { 0x09 }
    @inlinable package static var lf: UInt8 { 0x0A }
    @inlinable package static var cr: UInt8 { 0x0D }
    @inlinable package static var space: UInt8 { 0x20 }
    @inlinable package static var colon: UInt8 { 0x3A }

    /// `! # $ % & ' * + - . 0-9`, as bits 33 to 57.
    @inlinable static var tokensBelow64: UInt64 { 0x03FF_6CFA_0000_0000 }
    /// ``A-Z ^ _ ` a-z | ~``, as bits 65 to 126 less 64.
    @inlinable static var tokensAbove64: UInt64 { 0x57FF_FFFF_C7FF_FFFE }

    /// Whether a byte is allowed in a token: a method or a field name (RFC 9110, section 5.6.2).
    @inlinable @inline(__always)
    package static func isToken(_ byte: UInt8) -> Bool {
        if byte < 64 { return tokensBelow64 &>> UInt64(byte) & 1 == 1 }
        return byte < 128 && tokensAbove64 &>> UInt64(byte &- 64) & 1 == 1
    }

    /// Whether a byte is allowed in a request target: visible ASCII.
    @inlinable @inline(__always)
    package static func isTarget(_ byte: UInt8) -> Bool { byte > 0x20 && byte < 0x7F }

    @inlinable @inline(__always)
    package static func isDigit(_ byte: UInt8) -> Bool { byte &- 0x30 < 10 }

    /// A letter in lower case; other bytes may change too, so both sides of a comparison must use it.
    @inlinable @inline(__always)
    package static func lowercased(_ byte: UInt8) -> UInt8 {
        byte &- 0x41 < 26 ? byte | 0x20 : byte
    }

    /// The bytes of `uri-host [ ":" port ]` (RFC 9110, section 7.2): no space, comma, slash or user part.
    package static func isHost(_ byte: UInt8) -> Bool {
        guard Bytes.isTarget(byte) else { return false }
        switch byte {
        case UInt8(ascii: "/"), UInt8(ascii: "@"), UInt8(ascii: ","), UInt8(ascii: "?"), UInt8(ascii: "#"),
            UInt8(ascii: "\\"), UInt8(ascii: "\""), UInt8(ascii: "<"), UInt8(ascii: ">"), UInt8(ascii: "^"),
            UInt8(ascii: "`"), UInt8(ascii: "{"), UInt8(ascii: "|"), UInt8(ascii: "}"):
            return false
        default: return true
        }
    }

    /// The value of a hexadecimal digit, or nil.
    @inlinable @inline(__always)
    package static func hexValue(_ byte: UInt8) -> Int? {
        switch byte {
        case 0x30...0x39: Int(byte &- 0x30)
        case 0x41...0x46: Int(byte &- 0x41 &+ 10)
        case 0x61...0x66: Int(byte &- 0x61 &+ 10)
        default: nil
        }
    }

    /// The index of the first control byte (below space, or DEL) in a range, or the range's end.
    ///
    /// Reads eight bytes at a time: in a word, `(w - 0x20…) & ~w & 0x80…` has the top bit of the first byte below
    /// 0x20 set, and nothing set before it.
    @inlinable @inline(__always)
    package static func firstControl(in bytes: UnsafeRawBufferPointer, from start: Int, to end: Int) -> Int {
        let ones: UInt64 = 0x0101_0101_0101_0101
        let tops: UInt64 = 0x8080_8080_8080_8080
        var index = start
        while index &+ 8 <= end {
            let word = UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: index, as: UInt64.self))
            let low = (word &- ones &* 0x20) & ~word
            let deleted = word ^ (ones &* 0x7F)
            let found = (low | ((deleted &- ones) & ~deleted)) & tops
            if found != 0 { return index &+ found.trailingZeroBitCount >> 3 }
            index &+= 8
        }
        while index < end {
            let byte = bytes[index]
            if byte < 0x20 || byte == 0x7F { return index }
            index &+= 1
        }
        return end
    }

    /// Compares a range with a lower-case ASCII name, ignoring case.
    @inlinable @inline(__always)
    package static func equal(
        _ bytes: UnsafeRawBufferPointer, _ start: Int, _ count: Int, lowercase name: StaticString
    ) -> Bool {
        guard name.utf8CodeUnitCount == count else { return false }
        let pointer = name.utf8Start
        for index in 0..<count where lowercased(bytes[start &+ index]) != pointer[index] { return false }
        return true
    }
}
