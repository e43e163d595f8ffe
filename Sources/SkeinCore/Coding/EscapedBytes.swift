// Bytes that ought to be UTF-8 and need not be, as text: each byte that is no part of UTF-8 stands as one character of a private range.
// Characters of that range are taken apart in the same way, so that no two sequences of bytes have one text.

/// Bytes as text from which they can be had again.
package enum EscapedBytes {
    /// U+10FF00, to which a byte is added.
    private static let escape: UInt32 = 0x10FF00

    /// The text of a name.
    package static func text(_ bytes: some Collection<UInt8>) -> String {
        if let text = String(validating: bytes, as: UTF8.self), !text.unicodeScalars.contains(where: isEscape) {
            return text
        }
        var text = String.UnicodeScalarView()
        var decoder = UTF8()
        var rest = Array(bytes)[...]
        while !rest.isEmpty {
            var input = rest.makeIterator()
            if case .scalarValue(let scalar) = decoder.decode(&input), !isEscape(scalar) {
                text.append(scalar)
                rest = rest.dropFirst(UTF8.width(scalar))
            } else {
                text.append(Unicode.Scalar(escape + UInt32(rest.removeFirst())) ?? "?")
            }
            decoder = UTF8()
        }
        return String(text)
    }

    /// The bytes of a text.
    package static func bytes(_ text: String) -> [UInt8] {
        guard text.unicodeScalars.contains(where: isEscape) else { return Array(text.utf8) }
        return text.unicodeScalars.flatMap { scalar in
            isEscape(scalar) ? [UInt8(scalar.value & 0xFF)] : Array(String(scalar).utf8)
        }
    }

    private static func isEscape(_ scalar: Unicode.Scalar) -> Bool {
        (escape + 0x80...escape + 0xFF).contains(scalar.value)
    }
}
