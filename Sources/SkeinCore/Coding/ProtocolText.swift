// Text of protocols is bytes. Swift's own functions compare, search and split by grapheme clusters and canonical
// equivalence: a quotation mark before a combining mark is not found, CR LF is one character, and two spellings of é
// are equal. Peers compare bytes. These functions are for text that is exchanged with a peer, and for keys made of it.

extension StringProtocol {
    /// Whether both have the same UTF-8 bytes.
    package func equalsBytes(_ other: some StringProtocol) -> Bool { utf8.elementsEqual(other.utf8) }

    /// Whether the text begins with the bytes of another one.
    package func hasBytePrefix(_ prefix: some StringProtocol) -> Bool { utf8.starts(with: prefix.utf8) }

    /// Whether the text ends with the bytes of another one.
    package func hasByteSuffix(_ suffix: some StringProtocol) -> Bool {
        utf8.count >= suffix.utf8.count && utf8.suffix(suffix.utf8.count).elementsEqual(suffix.utf8)
    }

    /// The first range with the bytes of another text.
    package func rangeOfBytes(_ part: some StringProtocol) -> Range<Index>? {
        guard let first = part.utf8.first else { return nil }
        let count = part.utf8.count
        var rest = utf8[...]
        while let start = rest.firstIndex(of: first) {
            rest = rest[start...]
            if rest.starts(with: part.utf8) { return start..<rest.index(start, offsetBy: count) }
            rest = rest.dropFirst()
        }
        return nil
    }

    /// Whether the text contains the bytes of another one.
    package func containsBytes(_ part: some StringProtocol) -> Bool { rangeOfBytes(part) != nil }

    /// The first index of an ASCII character.
    package func firstByte(_ character: Unicode.Scalar) -> Index? { utf8.firstIndex(of: UInt8(ascii: character)) }

    /// The last index of an ASCII character.
    package func lastByte(_ character: Unicode.Scalar) -> Index? {
        Substring(self).utf8.lastIndex(of: UInt8(ascii: character))
    }

    /// Whether the text contains an ASCII character.
    package func containsByte(_ character: Unicode.Scalar) -> Bool { utf8.contains(UInt8(ascii: character)) }

    /// The text before the first of some ASCII characters; all of it if there is none.
    package func prefix(before ends: Unicode.Scalar...) -> SubSequence {
        let end = utf8.firstIndex { byte in ends.contains { UInt8(ascii: $0) == byte } }
        return self[..<(end ?? endIndex)]
    }

    /// The text after an ASCII character at an index.
    package func text(after index: Index) -> SubSequence { self[utf8.index(after: index)...] }

    /// The text without a number of ASCII characters at its ends.
    package func droppingBytes(first: Int = 0, last: Int = 0) -> SubSequence {
        let rest = Substring(self).utf8.dropFirst(first).dropLast(last)
        return self[rest.startIndex..<rest.endIndex]
    }

    /// The text with ASCII letters in lower case; protocols have no other letters.
    package var asciiLowercased: String {
        String(decoding: utf8.map { (0x41...0x5A).contains($0) ? $0 | 0x20 : $0 }, as: UTF8.self)
    }

    /// The text with ASCII letters in upper case.
    package var asciiUppercased: String {
        String(decoding: utf8.map { (0x61...0x7A).contains($0) ? $0 & 0xDF : $0 }, as: UTF8.self)
    }

    /// Whether both are equal, ignoring the case of ASCII letters.
    package func equalsIgnoringCase(_ other: some StringProtocol) -> Bool {
        utf8.count == other.utf8.count
            && zip(utf8, other.utf8).allSatisfy { left, right in
                left == right || left ^ right == 0x20 && (0x61...0x7A).contains(left | 0x20)
            }
    }

    /// The parts between separators, an ASCII character.
    package func splitBytes(
        separator: Unicode.Scalar, maxSplits: Int = .max, omittingEmptySubsequences: Bool = true
    ) -> [SubSequence] {
        utf8.split(
            separator: UInt8(ascii: separator), maxSplits: maxSplits,
            omittingEmptySubsequences: omittingEmptySubsequences
        ).map { self[$0.startIndex..<$0.endIndex] }
    }

    /// The parts between spaces, tabs and line ends.
    package func splitAtBlanks() -> [SubSequence] {
        utf8.split { $0 == 0x20 || (0x09...0x0D).contains($0) }.map { self[$0.startIndex..<$0.endIndex] }
    }

    /// The lines, without their ends (LF or CR LF); empty ones are left out.
    package func lines() -> [SubSequence] {
        utf8.split { $0 == 0x0A || $0 == 0x0D }.map { self[$0.startIndex..<$0.endIndex] }
    }

    /// The text with a byte sequence replaced.
    package func replacingBytes(_ part: String, with other: String) -> String {
        guard let first = rangeOfBytes(part) else { return String(self) }
        var text = String(self[..<first.lowerBound])
        text += other
        var rest = self[first.upperBound...]
        while let next = rest.rangeOfBytes(part) {
            text += rest[..<next.lowerBound]
            text += other
            rest = rest[next.upperBound...]
        }
        return text + rest
    }

    /// The text without blanks and tabs at its ends.
    package func trimmingBlanks() -> SubSequence {
        var rest = Substring(self).utf8
        while let first = rest.first, first == 0x20 || first == 0x09 { rest.removeFirst() }
        while let last = rest.last, last == 0x20 || last == 0x09 { rest.removeLast() }
        return self[rest.startIndex..<rest.endIndex]
    }
}

extension String {
    /// The text of bytes; nil when they are not valid UTF-8.
    ///
    /// `String(validating:)` is several times slower than `String(decoding:)`, which replaces malformed bytes; so the
    /// text is decoded first, and then compared with the bytes.
    package init?(checkedUTF8 bytes: UnsafeRawBufferPointer) {
        var text = String(decoding: bytes, as: UTF8.self)
        let isSame = text.withUTF8 { made in
            guard made.count == bytes.count, let one = made.baseAddress, let other = bytes.baseAddress else {
                return made.count == bytes.count
            }
            return memcmp(one, other, made.count) == 0
        }
        guard isSame else { return nil }
        self = text
    }
}

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// Text as a key: equal to another one when the bytes are.
package struct ByteKey: Hashable, Sendable, CustomStringConvertible {
    package let text: String

    package init(_ text: String) { self.text = text }

    package var description: String { text }

    package static func == (left: ByteKey, right: ByteKey) -> Bool {
        // Canonical equivalence is what the standard library checks fastest, and it nearly always decides.
        left.text == right.text && left.text.utf8.elementsEqual(right.text.utf8)
    }

    package func hash(into hasher: inout Hasher) {
        var text = text
        text.withUTF8 { hasher.combine(bytes: UnsafeRawBufferPointer($0)) }
    }
}
