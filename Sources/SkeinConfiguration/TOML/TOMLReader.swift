// Reads TOML 1.0 (https://toml.io/en/v1.0.0) but for dates and times, which no setting has.
//
// Our own, since the libraries for Swift do not tell where a value stands, and a message without its line is of little use.

import SkeinCore

/// Reads one document.
package struct TOMLReader {
    private static let deepest = 32

    private let bytes: [UInt8]
    private var index = 0
    private var line = 1
    private var lineStart = 0
    private var mark = (index: 0, column: 1)

    private init(_ bytes: [UInt8]) { self.bytes = bytes }

    /// Reads a document.
    /// - Parameter text: UTF-8.
    /// - Throws: ``DocumentProblem`` with the place of the first error.
    package static func read(_ text: some Collection<UInt8>) throws(DocumentProblem) -> TOMLTable {
        let bytes = Array(text)
        var reader = TOMLReader(bytes)
        if let bad = firstInvalid(bytes) {
            throw DocumentProblem(reader.position(of: bad), "the text is not UTF-8")
        }
        if bytes.starts(with: [0xEF, 0xBB, 0xBF]) { reader.index = 3 }
        return try reader.document()
    }

    private static func firstInvalid(_ bytes: [UInt8]) -> Int? {
        if String(validating: bytes, as: UTF8.self) != nil { return nil }
        // The longest valid beginning, by halves.
        var (low, high) = (0, bytes.count)
        while low < high {
            let middle = (low + high + 1) / 2
            var end = middle
            while end > 0, end < bytes.count, bytes[end] & 0xC0 == 0x80 { end -= 1 }
            if String(validating: bytes[..<end], as: UTF8.self) != nil { low = middle } else { high = middle - 1 }
        }
        return min(low, bytes.count - 1)
    }

    // MARK: Places

    private func position(of index: Int) -> TextPosition {
        var (line, start) = (1, 0)
        for place in 0..<min(index, bytes.count) where bytes[place] == Bytes.lf {
            (line, start) = (line + 1, place + 1)
        }
        return TextPosition(line: line, column: column(start, index))
    }

    /// The place of the next byte. The column is counted on from the last one that was asked for.
    private var here: TextPosition {
        mutating get {
            if mark.index < lineStart || mark.index > index { mark = (lineStart, 1) }
            mark = (index, mark.column + column(mark.index, index) - 1)
            return TextPosition(line: line, column: mark.column)
        }
    }

    private func column(_ start: Int, _ end: Int) -> Int {
        1 + bytes[start..<max(start, min(end, bytes.count))].reduce(0) { $0 + ($1 & 0xC0 == 0x80 ? 0 : 1) }
    }

    private mutating func fail(_ message: String) -> DocumentProblem { DocumentProblem(here, message) }

    // MARK: Bytes

    private var next: UInt8? { index < bytes.count ? bytes[index] : nil }

    private func isNext(_ text: StaticString) -> Bool {
        text.withUTF8Buffer { bytes[index...].starts(with: $0) }
    }

    private mutating func take(_ byte: Unicode.Scalar) -> Bool {
        guard next == UInt8(ascii: byte) else { return false }
        index += 1
        return true
    }

    private mutating func skipBlanks() { while next == 0x20 || next == 0x09 { index += 1 } }

    /// The end of a line; a CR counts only before an LF.
    private mutating func takeNewline() -> Bool {
        if next == Bytes.cr, index + 1 < bytes.count, bytes[index + 1] == Bytes.lf { index += 1 }
        guard next == Bytes.lf else { return false }
        index += 1
        line += 1
        lineStart = index
        return true
    }

    private mutating func skipComment() throws(DocumentProblem) {
        guard take("#") else { return }
        while let byte = next, byte != Bytes.lf {
            if byte == Bytes.cr, index + 1 < bytes.count, bytes[index + 1] == Bytes.lf { return }
            if Self.isControl(byte) { throw fail("a comment holds a control character") }
            index += 1
        }
    }

    private static func isLetterOrDigit(_ byte: UInt8) -> Bool {
        Bytes.isDigit(byte) || (byte | 0x20) &- UInt8(ascii: "a") < 26
    }

    private static func isControl(_ byte: UInt8) -> Bool { byte < 0x20 && byte != 0x09 || byte == 0x7F }

    /// Blanks, comments and ends of lines.
    private mutating func skipLines() throws(DocumentProblem) {
        repeat {
            skipBlanks()
            try skipComment()
        } while takeNewline()
    }

    private mutating func endLine() throws(DocumentProblem) {
        skipBlanks()
        try skipComment()
        guard next == nil || takeNewline() else { throw fail("the line goes on behind its value; begin a new one") }
    }

    // MARK: Document

    private mutating func document() throws(DocumentProblem) -> TOMLTable {
        var root = TOMLTable(.header)
        var path: [(key: String, position: TextPosition)] = []
        while true {
            try skipLines()
            guard let byte = next else { return root }
            if byte == UInt8(ascii: "[") {
                path = try header(&root)
            } else {
                let keys = try dottedKey()
                skipBlanks()
                guard take("=") else { throw fail("a key is followed by = and its value") }
                skipBlanks()
                let node = try value(depth: 0)
                try Self.open(&root, path[...]) { (table) throws(DocumentProblem) in
                    try Self.set(&table, keys[...], node)
                }
                try endLine()
            }
        }
    }

    private typealias Key = (key: String, position: TextPosition)

    private mutating func header(_ root: inout TOMLTable) throws(DocumentProblem) -> [Key] {
        index += 1
        let isArray = take("[")
        skipBlanks()
        let keys = try dottedKey()
        skipBlanks()
        guard take("]"), !isArray || take("]") else {
            throw fail("the name of a table ends with \(isArray ? "]]" : "]")")
        }
        try endLine()
        try Self.define(&root, keys[...], isArray: isArray)
        return keys
    }

    /// Walks to the table of a header that was defined before.
    private static func open(
        _ table: inout TOMLTable, _ path: ArraySlice<Key>,
        _ work: (inout TOMLTable) throws(DocumentProblem) -> Void
    ) throws(DocumentProblem) {
        guard let (key, _) = path.first else { return try work(&table) }
        guard let place = table.index(key) else { return }
        try change(&table.entries[place].node) { (inner) throws(DocumentProblem) in
            try open(&inner, path.dropFirst(), work)
        }
    }

    /// Changes the table that a node is, or the last of the tables that it has.
    private static func change(
        _ node: inout TOMLNode, _ work: (inout TOMLTable) throws(DocumentProblem) -> Void
    ) throws(DocumentProblem) {
        switch node.value {
        case .table(var table):
            node.value = .boolean(false)  // so that the table has one owner while it changes
            try work(&table)
            node.value = .table(table)
        case .array(var items) where !items.isEmpty:
            guard case .table(var table) = items[items.count - 1].value else { return }
            node.value = .boolean(false)
            try work(&table)
            items[items.count - 1].value = .table(table)
            node.value = .array(items)
        default: break
        }
    }

    /// What a header does: `[a.b]` defines a table, `[[a.b]]` adds one to an array.
    private static func define(
        _ table: inout TOMLTable, _ keys: ArraySlice<Key>, isArray: Bool
    ) throws(DocumentProblem) {
        guard let (key, position) = keys.first else { return }
        let rest = keys.dropFirst()
        guard let place = table.index(key) else {
            var new = TOMLTable(rest.isEmpty ? .header : .implicit)
            if !rest.isEmpty { try define(&new, rest, isArray: isArray) }
            let node = TOMLNode(value: .table(new), position: position)
            let isItem = rest.isEmpty && isArray
            _ = table.append(key, position, isItem ? TOMLNode(value: .array([node]), position: position) : node)
            return
        }
        let first = table.entries[place].position
        func again(_ what: String) -> DocumentProblem {
            DocumentProblem(position, key: key, "\(key) is \(what) since line \(first.line)")
        }
        switch table.entries[place].node.value {
        case .table(let inner):
            if inner.origin == .inline { throw again("complete") }
            if rest.isEmpty {
                if isArray { throw again("a single table") }
                guard inner.origin == .implicit else { throw again("there already,") }
            }
            try change(&table.entries[place].node) { (inner) throws(DocumentProblem) in
                if rest.isEmpty { inner.origin = .header }
                try define(&inner, rest, isArray: isArray)
            }
        case .array(var items):
            guard case .table(let last)? = items.last?.value, last.origin != .inline else {
                throw again("an array of values")
            }
            if rest.isEmpty {
                guard isArray else { throw again("an array of tables") }
                items.append(TOMLNode(value: .table(TOMLTable(.header)), position: position))
                table.entries[place].node.value = .array(items)
            } else {
                try change(&table.entries[place].node) { (inner) throws(DocumentProblem) in
                    try define(&inner, rest, isArray: isArray)
                }
            }
        default: throw again("a value")
        }
    }

    /// What `a.b = value` does in a table.
    private static func set(_ table: inout TOMLTable, _ keys: ArraySlice<Key>, _ node: TOMLNode) throws(DocumentProblem)
    {
        guard let (key, position) = keys.first else { return }
        let rest = keys.dropFirst()
        guard let place = table.index(key) else {
            if rest.isEmpty {
                _ = table.append(key, position, node)
            } else {
                var inner = TOMLTable(.dotted)
                try set(&inner, rest, node)
                _ = table.append(key, position, TOMLNode(value: .table(inner), position: position))
            }
            return
        }
        guard !rest.isEmpty, case .table(let inner) = table.entries[place].node.value, inner.origin == .dotted else {
            throw DocumentProblem(
                position, key: key, "\(key) is there already, since line \(table.entries[place].position.line)")
        }
        try change(&table.entries[place].node) { (inner) throws(DocumentProblem) in try set(&inner, rest, node) }
    }

    // MARK: Keys

    private mutating func dottedKey() throws(DocumentProblem) -> [Key] {
        var keys: [Key] = []
        repeat {
            skipBlanks()
            let position = here
            keys.append((try simpleKey(), position))
            if keys.count > Self.deepest { throw fail("the key has more than \(Self.deepest) parts") }
            skipBlanks()
        } while take(".")
        return keys
    }

    private mutating func simpleKey() throws(DocumentProblem) -> String {
        if next == UInt8(ascii: "\"") || next == UInt8(ascii: "'") {
            if isNext("\"\"\"") || isNext("'''") { throw fail("a key does not go over several lines") }
            return next == UInt8(ascii: "'") ? try literal() : try basic()
        }
        let start = index
        while let byte = next, Self.isLetterOrDigit(byte) || byte == UInt8(ascii: "_") || byte == UInt8(ascii: "-") {
            index += 1
        }
        guard index > start else { throw fail("a key is expected here: letters, digits, _ and -, or a string") }
        return String(decoding: bytes[start..<index], as: UTF8.self)
    }

    // MARK: Values

    private mutating func value(depth: Int) throws(DocumentProblem) -> TOMLNode {
        guard depth < Self.deepest else { throw fail("values stand in more than \(Self.deepest) others") }
        let position = here
        func node(_ value: TOMLNode.Value) -> TOMLNode { TOMLNode(value: value, position: position) }
        switch next {
        case UInt8(ascii: "\"")?:
            return node(.string(isNext("\"\"\"") ? try longBasic() : try basic()))
        case UInt8(ascii: "'")?:
            return node(.string(isNext("'''") ? try longLiteral() : try literal()))
        case UInt8(ascii: "[")?: return node(.array(try array(depth: depth)))
        case UInt8(ascii: "{")?: return node(.table(try inlineTable(depth: depth)))
        default: return node(try word())
        }
    }

    private mutating func array(depth: Int) throws(DocumentProblem) -> [TOMLNode] {
        index += 1
        var items: [TOMLNode] = []
        while true {
            try skipLines()
            if take("]") { return items }
            items.append(try value(depth: depth + 1))
            try skipLines()
            if take("]") { return items }
            guard take(",") else { throw fail("the values of an array stand between commas, and end with ]") }
        }
    }

    private mutating func inlineTable(depth: Int) throws(DocumentProblem) -> TOMLTable {
        index += 1
        var table = TOMLTable(.inline)
        skipBlanks()
        if take("}") { return table }
        while true {
            let keys = try dottedKey()
            skipBlanks()
            guard take("=") else { throw fail("a key is followed by = and its value") }
            skipBlanks()
            try Self.set(&table, keys[...], try value(depth: depth + 1))
            skipBlanks()
            if take("}") { return Self.closed(table) }
            guard take(",") else {
                throw fail("the keys of a table in braces stand between commas on one line, and end with }")
            }
        }
    }

    /// Nothing is added to a table in braces, nor to what its dotted keys have made.
    private static func closed(_ table: TOMLTable) -> TOMLTable {
        var table = table
        table.origin = .inline
        for place in table.entries.indices {
            guard case .table(let inner) = table.entries[place].node.value, inner.origin == .dotted else { continue }
            table.entries[place].node.value = .table(closed(inner))
        }
        return table
    }

    private mutating func word() throws(DocumentProblem) -> TOMLNode.Value {
        let start = index
        while let byte = next, Self.isLetterOrDigit(byte) || [0x2B, 0x2D, 0x2E, 0x3A, 0x5F].contains(byte) {
            index += 1
        }
        let word = String(decoding: bytes[start..<index], as: UTF8.self)
        switch word {
        case "true": return .boolean(true)
        case "false": return .boolean(false)
        case "inf", "+inf": return .float(.infinity)
        case "-inf": return .float(-.infinity)
        case "nan", "+nan", "-nan": return .float(.nan)
        default: break
        }
        if let number = Self.number(word) { return number }
        index = start
        if word.isEmpty { throw fail("a value is expected here") }
        if word.utf8.count >= 8, word.utf8.prefix(2).allSatisfy(Bytes.isDigit),
            word.containsBytes("-") || word.containsBytes(":")
        {
            throw fail("dates and times are not used here; write a string")
        }
        throw fail("\(word.debugDescription) is no value; a string stands in quotation marks")
    }

    static func number(_ word: String) -> TOMLNode.Value? {
        let bytes = Array(word.utf8)
        // An underscore stands between digits: those of hexadecimal numbers are letters, too.
        let isHex = bytes.starts(with: "0x".utf8)
        func isDigit(_ place: Int) -> Bool {
            bytes.indices.contains(place)
                && (isHex && place > 1 ? Bytes.hexValue(bytes[place]) != nil : Bytes.isDigit(bytes[place]))
        }
        let digits =
            bytes.starts(with: "0x".utf8) || bytes.starts(with: "0o".utf8) || bytes.starts(with: "0b".utf8) ? 2 : 0
        for (place, byte) in bytes.enumerated() where byte == UInt8(ascii: "_") {
            guard place > digits, isDigit(place - 1), isDigit(place + 1) else { return nil }
        }
        var plain = bytes.filter { $0 != UInt8(ascii: "_") }
        func text(_ bytes: some Sequence<UInt8>) -> String { String(decoding: Array(bytes), as: UTF8.self) }
        for (prefix, radix) in [("0x", 16), ("0o", 8), ("0b", 2)] where plain.starts(with: prefix.utf8) {
            let digits = plain.dropFirst(2)
            guard digits.allSatisfy({ Bytes.hexValue($0).map { $0 < radix } ?? false }) else { return nil }
            return Int(text(digits), radix: radix).map { .integer($0) }
        }
        let isSigned = plain.first == UInt8(ascii: "+") || plain.first == UInt8(ascii: "-")
        let unsigned = isSigned ? plain.dropFirst() : plain[...]
        let whole = unsigned.prefix(while: Bytes.isDigit)
        guard !whole.isEmpty, whole.count == 1 || whole.first != UInt8(ascii: "0") else { return nil }
        var rest = unsigned.dropFirst(whole.count)
        if rest.isEmpty { return Int(text(plain)).map { .integer($0) } }
        if rest.first == UInt8(ascii: ".") {
            let fraction = rest.dropFirst().prefix(while: Bytes.isDigit)
            guard !fraction.isEmpty else { return nil }
            rest = rest.dropFirst(fraction.count + 1)
        }
        if let mark = rest.first, mark | 0x20 == UInt8(ascii: "e") {
            rest = rest.dropFirst()
            if rest.first == UInt8(ascii: "+") || rest.first == UInt8(ascii: "-") { rest = rest.dropFirst() }
            guard !rest.isEmpty, rest.allSatisfy(Bytes.isDigit) else { return nil }
            rest = []
        }
        guard rest.isEmpty else { return nil }
        if plain.first == UInt8(ascii: "+") { plain.removeFirst() }
        return Double(text(plain)).map { .float($0) }
    }

    // MARK: Strings

    private mutating func literal() throws(DocumentProblem) -> String {
        index += 1
        let start = index
        while let byte = next, byte != UInt8(ascii: "'") {
            if Self.isControl(byte) { throw fail(Self.unended(byte)) }
            index += 1
        }
        guard take("'") else { throw fail("the string has no end") }
        return String(decoding: bytes[start..<index - 1], as: UTF8.self)
    }

    private mutating func basic() throws(DocumentProblem) -> String {
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
        throw fail("the string has no end")
    }

    private static func unended(_ byte: UInt8) -> String {
        byte == Bytes.lf || byte == Bytes.cr
            ? "the string has no end in its line" : "the string holds a control character"
    }

    private mutating func longLiteral() throws(DocumentProblem) -> String {
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
        throw fail("the string has no end")
    }

    private mutating func longBasic() throws(DocumentProblem) -> String {
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
            // A backslash at the end of a line takes the blanks and the ends of lines behind it away.
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
        throw fail("the string has no end")
    }

    /// Quotation marks that end a long string, and how many before them belong to it; they are taken.
    private mutating func quotes(_ mark: UInt8) -> Int? {
        var count = 0
        while index + count < bytes.count, bytes[index + count] == mark { count += 1 }
        guard count >= 3 else { return nil }
        let end = min(count, 5)
        index += end
        return end - 3
    }

    private mutating func takeLong(_ byte: UInt8, _ text: inout [UInt8]) throws(DocumentProblem) {
        if takeNewline() {
            text.append(Bytes.lf)  // whatever the file ends its lines with
            return
        }
        if Self.isControl(byte) { throw fail("the string holds a control character") }
        text.append(byte)
        index += 1
    }

    private mutating func escape(_ text: inout [UInt8]) throws(DocumentProblem) {
        let problem = fail("the backslash begins no escape: \\b \\t \\n \\f \\r \\\" \\\\ \\uXXXX \\UXXXXXXXX")
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
