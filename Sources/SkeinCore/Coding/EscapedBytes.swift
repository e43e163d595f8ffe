// Bytes that may be invalid UTF-8, as text: each invalid byte becomes one character of a private range. Characters of
// that range are escaped in the same way, so that no two byte sequences have the same text.

/// Bytes as text that can be converted back.
package enum EscapedBytes {
    /// U+10FF00, to which the byte is added.
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
