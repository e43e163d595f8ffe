// Numbers, arrays, inline tables.

import SkeinCore

extension TOMLReader {
    mutating func value(depth: Int) throws(DocumentProblem) -> TOMLNode {
        guard depth < Self.deepest else { throw fail("values are nested more than \(Self.deepest) levels deep") }
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

    mutating func array(depth: Int) throws(DocumentProblem) -> [TOMLNode] {
        index += 1
        var items: [TOMLNode] = []
        while true {
            try skipLines()
            if take("]") { return items }
            items.append(try value(depth: depth + 1))
            try skipLines()
            if take("]") { return items }
            guard take(",") else { throw fail("expected a comma or ] after a value of the array") }
        }
    }

    mutating func inlineTable(depth: Int) throws(DocumentProblem) -> TOMLTable {
        index += 1
        var table = TOMLTable(.inline)
        skipBlanks()
        if take("}") { return table }
        while true {
            let keys = try dottedKey()
            skipBlanks()
            guard take("=") else { throw fail("expected = and a value after the key") }
            skipBlanks()
            try Self.set(&table, keys[...], try value(depth: depth + 1))
            skipBlanks()
            if take("}") { return Self.closed(table) }
            guard take(",") else {
                throw fail("expected a comma or } on the same line after a value of the inline table")
            }
        }
    }

    /// Nothing can be added to an inline table, nor to tables made by its dotted keys.
    static func closed(_ table: TOMLTable) -> TOMLTable {
        var table = table
        table.origin = .inline
        for place in table.entries.indices {
            guard case .table(let inner) = table.entries[place].node.value, inner.origin == .dotted else { continue }
            table.entries[place].node.value = .table(closed(inner))
        }
        return table
    }

    mutating func word() throws(DocumentProblem) -> TOMLNode.Value {
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
        if word.isEmpty { throw fail("expected a value") }
        if word.utf8.count >= 8, word.utf8.prefix(2).allSatisfy(Bytes.isDigit),
            word.containsBytes("-") || word.containsBytes(":")
        {
            throw fail("dates and times are not supported; write a string")
        }
        throw fail("\(word.debugDescription) is not a value; a string needs quotation marks")
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
}
