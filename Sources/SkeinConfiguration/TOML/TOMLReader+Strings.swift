// The four kinds of strings.

import SkeinCore

extension TOMLReader {
    mutating func literal() throws(DocumentProblem) -> String {
        index += 1
        let start = index
        while let byte = next, byte != UInt8(ascii: "'") {
            if Self.isControl(byte) { throw fail(Self.unended(byte)) }
            index += 1
        }
        guard take("'") else { throw fail("the string is not terminated") }
        return String(decoding: bytes[start..<index - 1], as: UTF8.self)
    }

    mutating func basic() throws(DocumentProblem) -> String {
        index += 1
        var text: [UInt8] = []
        while let byte = next {
            switch byte {
            case UInt8(ascii: "\""):
                index += 1
                return String(decoding: text, as: UTF8.self)
            case UInt8(ascii: "\\"): try escape(&text)
            case _ where Self.isControl(byte): throw fail(Self.unended(byte))
            default:
                text.append(byte)
                index += 1
            }
        }
        throw fail("the string is not terminated")
    }

    static func unended(_ byte: UInt8) -> String {
        byte == Bytes.lf || byte == Bytes.cr
            ? "the string does not end on its line" : "the string holds a control character"
    }

    mutating func longLiteral() throws(DocumentProblem) -> String {
        index += 3
        _ = takeNewline()
        var text: [UInt8] = []
        while let byte = next {
            if byte == UInt8(ascii: "'"), let end = quotes(byte) {
                text += Array(repeating: byte, count: end)
                return String(decoding: text, as: UTF8.self)
            }
            try takeLong(byte, &text)
        }
        throw fail("the string is not terminated")
    }

    mutating func longBasic() throws(DocumentProblem) -> String {
        index += 3
        _ = takeNewline()
        var text: [UInt8] = []
        while let byte = next {
            if byte == UInt8(ascii: "\""), let end = quotes(byte) {
                text += Array(repeating: byte, count: end)
                return String(decoding: text, as: UTF8.self)
            }
            guard byte == UInt8(ascii: "\\") else {
                try takeLong(byte, &text)
                continue
            }
            // A backslash at the end of a line removes the whitespace and newlines that follow it.
            var end = index + 1
            while end < bytes.count, bytes[end] == 0x20 || bytes[end] == 0x09 { end += 1 }
            let isEnd = end < bytes.count && (bytes[end] == Bytes.lf || bytes[end] == Bytes.cr)
            guard isEnd else {
                try escape(&text)
                continue
            }
            index = end
            guard takeNewline() else { throw fail("the string holds a control character") }
            repeat { skipBlanks() } while takeNewline()
        }
        throw fail("the string is not terminated")
    }

    /// Consumes the quotation marks that end a long string. Returns how many of those before them belong to the string.
    mutating func quotes(_ mark: UInt8) -> Int? {
        var count = 0
        while index + count < bytes.count, bytes[index + count] == mark { count += 1 }
        guard count >= 3 else { return nil }
        let end = min(count, 5)
        index += end
        return end - 3
    }

    mutating func takeLong(_ byte: UInt8, _ text: inout [UInt8]) throws(DocumentProblem) {
        if takeNewline() {
            text.append(Bytes.lf)  // whatever the file ends its lines with
            return
        }
        if Self.isControl(byte) { throw fail("the string holds a control character") }
        text.append(byte)
        index += 1
    }

    mutating func escape(_ text: inout [UInt8]) throws(DocumentProblem) {
        let problem = fail("unknown escape sequence; known are \\b \\t \\n \\f \\r \\\" \\\\ \\uXXXX \\UXXXXXXXX")
        index += 1
        guard let letter = next else { throw problem }
        let simple: [UInt8: UInt8] = [
            UInt8(ascii: "b"): 8, UInt8(ascii: "t"): 9, UInt8(ascii: "n"): 10, UInt8(ascii: "f"): 12,
            UInt8(ascii: "r"): 13, UInt8(ascii: "\""): 34, UInt8(ascii: "\\"): 92,
        ]
        if let byte = simple[letter] {
            text.append(byte)
            index += 1
            return
        }
        let count = letter == UInt8(ascii: "u") ? 4 : letter == UInt8(ascii: "U") ? 8 : 0
        let digits = bytes[min(index + 1, bytes.count)..<min(index + 1 + count, bytes.count)]
        guard count > 0, digits.count == count, digits.allSatisfy({ Bytes.hexValue($0) != nil }),
            let scalar = UInt32(String(decoding: digits, as: UTF8.self), radix: 16).flatMap(Unicode.Scalar.init)
        else { throw problem }
        text += Array(String(scalar).utf8)
        index += 1 + count
    }
}
