// JSON text written member by member, in the order of the calls (RFC 8259).

/// Writes strings and objects of JSON.
package enum JSONText {
    /// Appends a quoted string. Control characters and Unicode line separators are escaped, so that the text stays on
    /// one line in a terminal, too.
    package static func write(_ text: some StringProtocol, to output: inout [UInt8]) {
        output.append(UInt8(ascii: "\""))
        var lead = (UInt8(0), UInt8(0))
        for byte in text.utf8 {
            switch byte {
            case UInt8(ascii: "\""), UInt8(ascii: "\\"): output += [UInt8(ascii: "\\"), byte]
            case 0x0A: output += "\\n".utf8
            case 0x0D: output += "\\r".utf8
            case 0x09: output += "\\t".utf8
            case 0..<0x20, 0x7F: output += "\\u00\(Hex.encode([byte]))".utf8
            case 0x80...0x9F where lead.1 == 0xC2:  // U+0080 to U+009F
                output.removeLast()
                output += "\\u00\(Hex.encode([byte]))".utf8
            case 0xA8...0xA9 where lead == (0xE2, 0x80):  // U+2028 and U+2029
                output.removeLast(2)
                output += (byte == 0xA8 ? "\\u2028" : "\\u2029").utf8
            default: output.append(byte)
            }
            lead = (lead.1, byte)
        }
        output.append(UInt8(ascii: "\""))
    }

    /// A quoted string.
    package static func string(_ text: some StringProtocol) -> String {
        var bytes: [UInt8] = []
        write(text, to: &bytes)
        return String(decoding: bytes, as: UTF8.self)
    }

    /// An object of values that are encoded already.
    package static func object(_ members: [(String, String)]) -> String {
        "{" + members.map { "\(string($0.0)): \($0.1)" }.joined(separator: ", ") + "}"
    }
}
