// Header fields (RFC 5322, section 2.2): folding, and non-ASCII text as encoded words (RFC 2047) and parameters (RFC
// 2231).

import SkeinCore

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// Formats fields.
enum HeaderText {
    private static let lineLength = 76

    /// Whether a byte is allowed in an atom (RFC 5322, section 3.2.3).
    static func isAtom(_ byte: UInt8) -> Bool {
        Bytes.isToken(byte) && byte != UInt8(ascii: ".") || byte == UInt8(ascii: "/") || byte == UInt8(ascii: "=")
            || byte == UInt8(ascii: "?")
            || byte == UInt8(ascii: "{") || byte == UInt8(ascii: "}")
    }

    /// Whether text has control characters, which are not allowed in a field: a line end would start another field.
    static func hasControl(_ text: String) -> Bool { text.utf8.contains { $0 < 0x20 && $0 != 0x09 || $0 == 0x7F } }

    /// A field whose value is text, such as a subject.
    static func unstructured(_ name: String, _ value: String) -> String {
        var line = FoldedLine(name)
        if isPlain(value) {
            for token in tokens(value) { line.add(token) }
        } else {
            for word in encodedWords(value, first: lineLength - name.utf8.count - 2) { line.add(" " + word) }
        }
        return line.text
    }

    /// A field of addresses.
    static func addresses(_ name: String, _ list: [MailAddress]) -> String {
        var line = FoldedLine(name)
        for (index, address) in list.enumerated() {
            let comma = index + 1 < list.count ? "," : ""
            guard let display = address.name, !display.isEmpty else {
                line.add(" " + address.mailbox + comma)
                continue
            }
            for word in phrase(display) { line.add(" " + word) }
            line.add(" <\(address.mailbox)>\(comma)")
        }
        return line.text
    }

    /// A field whose value has parameters, such as a content type.
    /// - Parameter parameters: names with values of any text.
    static func parameters(_ name: String, _ value: String, _ parameters: [(String, String)]) -> String {
        var line = FoldedLine(name)
        let all = parameters.flatMap { parameter($0.0, $0.1) }
        line.add(" " + value + (all.isEmpty ? "" : ";"))
        for (index, part) in all.enumerated() { line.add(" " + part + (index + 1 < all.count ? ";" : "")) }
        return line.text
    }

    /// A field whose value is written unchanged, folded at spaces; it has no control characters.
    static func structured(_ name: String, _ value: String) -> String {
        var line = FoldedLine(name)
        for token in tokens(value) { line.add(token) }
        return line.text
    }

    // MARK: Parts

    /// Whether text can be written unchanged: ASCII that is not mistaken for an encoded word, with spaces for folding.
    private static func isPlain(_ text: String) -> Bool {
        text.utf8.allSatisfy { $0 < 0x7F && $0 >= 0x20 } && !text.containsBytes("=?") && isFoldable(text)
    }

    private static func isFoldable(_ text: String) -> Bool {
        text.utf8.first != 0x20 && text.utf8.last != 0x20 && !text.containsByte("\t")
            && tokens(text).allSatisfy { $0.utf8.count <= 900 }
    }

    /// Words, each with the spaces before it.
    private static func tokens(_ text: String) -> [String] {
        var tokens: [String] = []
        var current: [UInt8] = [Bytes.space]
        var hasWord = false
        for byte in text.utf8 {
            if byte == Bytes.space, hasWord {
                tokens.append(String(decoding: current, as: UTF8.self))
                current = []
                hasWord = false
            }
            current.append(byte)
            if byte != Bytes.space { hasWord = true }
        }
        if hasWord { tokens.append(String(decoding: current, as: UTF8.self)) }
        return tokens
    }

    /// A display name as atoms, as a quoted string, or as encoded words.
    private static func phrase(_ name: String) -> [String] {
        let words = name.splitBytes(separator: " ", omittingEmptySubsequences: false)
        if words.allSatisfy({ !$0.isEmpty && $0.utf8.count < 60 && $0.utf8.allSatisfy(isAtom) }),
            !name.containsBytes("=?")
        {
            return words.map(String.init)
        }
        if name.utf8.count < 60, name.utf8.allSatisfy({ $0 >= 0x20 && $0 < 0x7F }), !name.containsBytes("=?") {
            let escaped = name.replacingBytes("\\", with: "\\\\").replacingBytes("\"", with: "\\\"")
            return ["\"\(escaped)\""]
        }
        return encodedWords(name, first: 75)
    }

    /// Text as encoded words of at most 75 bytes, each with whole characters (RFC 2047, section 5).
    private static func encodedWords(_ text: String, first: Int) -> [String] {
        let plain = text.utf8.count { isPlainInWord($0) }
        let usesBase64 = (text.utf8.count - plain) * 3 > text.utf8.count
        // `=?utf-8?b?` and `?=`
        func room(_ length: Int) -> Int { usesBase64 ? max(1, (length - 12) / 4) * 3 : max(12, length - 12) }
        var words: [String] = []
        var current: [UInt8] = []
        var cost = 0
        var limit = room(min(75, max(first, 28)))
        func word(_ bytes: [UInt8]) -> String {
            if usesBase64 { return "=?utf-8?b?\(Data(bytes).base64EncodedString())?=" }
            var output: [UInt8] = []
            for byte in bytes {
                switch byte {
                case Bytes.space: output.append(UInt8(ascii: "_"))
                case _ where isPlainInWord(byte): output.append(byte)
                default: output += "=\(Hex.encode([byte]).asciiUppercased)".utf8
                }
            }
            return "=?utf-8?q?\(String(decoding: output, as: UTF8.self))?="
        }
        for scalar in text.unicodeScalars {
            let bytes = Array(String(scalar).utf8)
            let more =
                usesBase64 ? bytes.count : bytes.reduce(0) { $0 + (isPlainInWord($1) || $1 == Bytes.space ? 1 : 3) }
            if cost + more > limit, !current.isEmpty {
                words.append(word(current))
                current = []
                cost = 0
                limit = room(75)
            }
            current += bytes
            cost += more
        }
        if !current.isEmpty || words.isEmpty { words.append(word(current)) }
        return words
    }

    /// Whether a byte is allowed in an encoded word in any position (RFC 2047, section 5, rule 3).
    private static func isPlainInWord(_ byte: UInt8) -> Bool {
        Bytes.isDigit(byte) || Bytes.lowercased(byte) &- 0x61 < 26 || "!*+-/".utf8.contains(byte)
    }

    /// A parameter; a long one is split, and non-ASCII text is percent-encoded (RFC 2231).
    private static func parameter(_ name: String, _ value: String) -> [String] {
        let isASCII = value.utf8.allSatisfy { $0 >= 0x20 && $0 < 0x7F }
        if isASCII, value.utf8.count <= 60 {
            if !value.isEmpty, value.utf8.allSatisfy({ Bytes.isToken($0) }) { return ["\(name)=\(value)"] }
            let escaped = value.replacingBytes("\\", with: "\\\\").replacingBytes("\"", with: "\\\"")
            return ["\(name)=\"\(escaped)\""]
        }
        var parts: [String] = []
        var current: [UInt8] = []
        for byte in value.utf8 {
            let isPlain = Bytes.isToken(byte) && !"*'%".utf8.contains(byte)
            let encoded = isPlain ? [byte] : Array("%\(Hex.encode([byte]).asciiUppercased)".utf8)
            if current.count + encoded.count > 50 {
                parts.append(String(decoding: current, as: UTF8.self))
                current = []
            }
            current += encoded
        }
        parts.append(String(decoding: current, as: UTF8.self))
        if parts.count == 1 { return ["\(name)*=utf-8''\(parts[0])"] }
        return parts.enumerated().map { "\(name)*\($0)*=\($0 == 0 ? "utf-8''" : "")\($1)" }
    }
}

/// A field that is folded at a space when the line is full.
private struct FoldedLine {
    private(set) var output: String
    private var column: Int
    private var hasWord = false

    init(_ name: String) {
        output = "\(name):"
        column = name.utf8.count + 1
    }

    var text: String { output + "\r\n" }

    /// - Parameter token: begins with a space.
    mutating func add(_ token: String) {
        let count = token.utf8.count
        // The first word stays on the line of the name: some parsers reject a first line without a value.
        if column + count > 76, hasWord {
            output += "\r\n"
            column = 0
        }
        output += token
        column += count
        hasWord = true
    }
}
