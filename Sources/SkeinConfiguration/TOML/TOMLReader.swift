// Reads TOML 1.0 (https://toml.io/en/v1.0.0) except dates and times, which no setting uses.
//
// An own parser, because the Swift libraries do not report positions, and error messages need line numbers.

import SkeinCore

/// Reads one document.
package struct TOMLReader {
    static let deepest = 32

    let bytes: [UInt8]
    var index = 0
    var line = 1
    var lineStart = 0
    var mark = (index: 0, column: 1)

    init(_ bytes: [UInt8]) { self.bytes = bytes }

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

    static func firstInvalid(_ bytes: [UInt8]) -> Int? {
        if String(validating: bytes, as: UTF8.self) != nil { return nil }
        // The longest valid prefix, by binary search.
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

    func position(of index: Int) -> TextPosition {
        var (line, start) = (1, 0)
        for place in 0..<min(index, bytes.count) where bytes[place] == Bytes.lf {
            (line, start) = (line + 1, place + 1)
        }
        return TextPosition(line: line, column: column(start, index))
    }

    /// The position of the next byte. The column is counted from the last position that was requested.
    var here: TextPosition {
        mutating get {
            if mark.index < lineStart || mark.index > index { mark = (lineStart, 1) }
            mark = (index, mark.column + column(mark.index, index) - 1)
            return TextPosition(line: line, column: mark.column)
        }
    }

    func column(_ start: Int, _ end: Int) -> Int {
        1 + bytes[start..<max(start, min(end, bytes.count))].reduce(0) { $0 + ($1 & 0xC0 == 0x80 ? 0 : 1) }
    }

    mutating func fail(_ message: String) -> DocumentProblem { DocumentProblem(here, message) }

    // MARK: Bytes

    var next: UInt8? { index < bytes.count ? bytes[index] : nil }

    func isNext(_ text: StaticString) -> Bool {
        text.withUTF8Buffer { bytes[index...].starts(with: $0) }
    }

    mutating func take(_ byte: Unicode.Scalar) -> Bool {
        guard next == UInt8(ascii: byte) else { return false }
        index += 1
        return true
    }

    mutating func skipBlanks() { while next == 0x20 || next == 0x09 { index += 1 } }

    /// The end of a line; a CR counts only before an LF.
    mutating func takeNewline() -> Bool {
        if next == Bytes.cr, index + 1 < bytes.count, bytes[index + 1] == Bytes.lf { index += 1 }
        guard next == Bytes.lf else { return false }
        index += 1
        line += 1
        lineStart = index
        return true
    }

    mutating func skipComment() throws(DocumentProblem) {
        guard take("#") else { return }
        while let byte = next, byte != Bytes.lf {
            if byte == Bytes.cr, index + 1 < bytes.count, bytes[index + 1] == Bytes.lf { return }
            if Self.isControl(byte) { throw fail("a comment holds a control character") }
            index += 1
        }
    }

    static func isLetterOrDigit(_ byte: UInt8) -> Bool {
        Bytes.isDigit(byte) || (byte | 0x20) &- UInt8(ascii: "a") < 26
    }

    static func isControl(_ byte: UInt8) -> Bool { byte < 0x20 && byte != 0x09 || byte == 0x7F }

    /// Skips whitespace, comments and newlines.
    mutating func skipLines() throws(DocumentProblem) {
        repeat {
            skipBlanks()
            try skipComment()
        } while takeNewline()
    }

    mutating func endLine() throws(DocumentProblem) {
        skipBlanks()
        try skipComment()
        guard next == nil || takeNewline() else { throw fail("data follows the value; begin a new line") }
    }

    // MARK: Document

    mutating func document() throws(DocumentProblem) -> TOMLTable {
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
                guard take("=") else { throw fail("expected = and a value after the key") }
                skipBlanks()
                let node = try value(depth: 0)
                try Self.open(&root, path[...]) { (table) throws(DocumentProblem) in
                    try Self.set(&table, keys[...], node)
                }
                try endLine()
            }
        }
    }

    typealias Key = (key: String, position: TextPosition)

    mutating func header(_ root: inout TOMLTable) throws(DocumentProblem) -> [Key] {
        index += 1
        let isArray = take("[")
        skipBlanks()
        let keys = try dottedKey()
        skipBlanks()
        guard take("]"), !isArray || take("]") else {
            throw fail("the name of a table must end with \(isArray ? "]]" : "]")")
        }
        try endLine()
        try Self.define(&root, keys[...], isArray: isArray)
        return keys
    }

    /// Finds the table of a header that was defined before.
    static func open(
        _ table: inout TOMLTable, _ path: ArraySlice<Key>,
        _ work: (inout TOMLTable) throws(DocumentProblem) -> Void
    ) throws(DocumentProblem) {
        guard let (key, _) = path.first else { return try work(&table) }
        guard let place = table.index(key) else { return }
        try change(&table.entries[place].node) { (inner) throws(DocumentProblem) in
            try open(&inner, path.dropFirst(), work)
        }
    }

    /// Changes the table in a node, or the last table in its array.
    static func change(
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

    /// Applies a header: `[a.b]` defines a table, `[[a.b]]` adds one to an array.
    static func define(
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
            DocumentProblem(position, key: key, "\(key) is \(what), in line \(first.line)")
        }
        switch table.entries[place].node.value {
        case .table(let inner):
            if inner.origin == .inline { throw again("defined already as an inline table") }
            if rest.isEmpty {
                if isArray { throw again("defined already as a single table") }
                guard inner.origin == .implicit else { throw again("defined already") }
            }
            try change(&table.entries[place].node) { (inner) throws(DocumentProblem) in
                if rest.isEmpty { inner.origin = .header }
                try define(&inner, rest, isArray: isArray)
            }
        case .array(var items):
            guard case .table(let last)? = items.last?.value, last.origin != .inline else {
                throw again("defined already as an array of values")
            }
            if rest.isEmpty {
                guard isArray else { throw again("defined already as an array of tables") }
                items.append(TOMLNode(value: .table(TOMLTable(.header)), position: position))
                table.entries[place].node.value = .array(items)
            } else {
                try change(&table.entries[place].node) { (inner) throws(DocumentProblem) in
                    try define(&inner, rest, isArray: isArray)
                }
            }
        default: throw again("defined already as a value")
        }
    }

    /// Applies `a.b = value` to a table.
    static func set(_ table: inout TOMLTable, _ keys: ArraySlice<Key>, _ node: TOMLNode) throws(DocumentProblem) {
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
                position, key: key, "\(key) is defined already, in line \(table.entries[place].position.line)")
        }
        try change(&table.entries[place].node) { (inner) throws(DocumentProblem) in try set(&inner, rest, node) }
    }

    // MARK: Keys

    mutating func dottedKey() throws(DocumentProblem) -> [Key] {
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

    mutating func simpleKey() throws(DocumentProblem) -> String {
        if next == UInt8(ascii: "\"") || next == UInt8(ascii: "'") {
            if isNext("\"\"\"") || isNext("'''") { throw fail("a key must not span several lines") }
            return next == UInt8(ascii: "'") ? try literal() : try basic()
        }
        let start = index
        while let byte = next, Self.isLetterOrDigit(byte) || byte == UInt8(ascii: "_") || byte == UInt8(ascii: "-") {
            index += 1
        }
        guard index > start else { throw fail("expected a key: letters, digits, _ and -, or a string") }
        return String(decoding: bytes[start..<index], as: UTF8.self)
    }
}
