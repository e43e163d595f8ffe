// Rows as text: for people, for spreadsheets, for scripts.

import Foundation
import Skein
import SkeinCore
import SkeinSQL

enum RowsText {
    /// Aligned columns, with numbers to the right.
    static func table(_ rows: Rows) -> String {
        let names = rows.columns.map(visible)
        let cells = rows.map { row in row.values.map { $0.isNull ? "" : visible($0.description) } }
        let widths = names.indices.map { column in cells.reduce(names[column].count) { max($0, $1[column].count) } }
        let isNumber = names.indices.map { column in
            !rows.isEmpty
                && rows.allSatisfy { row in
                    switch row[column] {
                    case .integer, .double, .numeric, .null: true
                    default: false
                    }
                }
        }
        func line(_ cells: [String]) -> String {
            let padded = cells.indices.map { column in
                let space = String(repeating: " ", count: widths[column] - cells[column].count)
                return isNumber[column] ? space + cells[column] : cells[column] + space
            }
            return padded.joined(separator: " | ")
        }
        let rule = widths.map { String(repeating: "-", count: $0) }.joined(separator: "-+-")
        let count = "(\(rows.count) row\(rows.count == 1 ? "" : "s"))"
        return ([line(names), rule] + cells.map(line) + [count]).joined(separator: "\n")
    }

    /// Text for a terminal. Control characters are replaced by visible ones, so that a value cannot move the cursor or change colours.
    private static func visible(_ text: String) -> String {
        var shown = String.UnicodeScalarView()
        for scalar in text.unicodeScalars {
            switch scalar.value {
            case 0x0A: shown.append("\u{21B5}")
            case 0x0D: shown.append(contentsOf: "\\r".unicodeScalars)
            case 0x09: shown.append(contentsOf: "\\t".unicodeScalars)
            case 0..<0x20, 0x7F..<0xA0:
                shown.append(contentsOf: "\\x\(Hex.encode([UInt8(scalar.value)]))".unicodeScalars)
            default: shown.append(scalar)
            }
        }
        return String(shown)
    }

    /// Comma-separated lines (RFC 4180); NULL is an empty cell.
    static func csv(_ rows: Rows) -> String {
        func cell(_ text: String) -> String {
            guard text.utf8.contains(where: { ",\"\n\r".utf8.contains($0) }) else { return text }
            return "\"" + text.replacingBytes("\"", with: "\"\"") + "\""
        }
        let lines = rows.map { row in row.values.map { $0.isNull ? "" : cell($0.description) } }
        return ([rows.columns.map(cell)] + lines).map { $0.joined(separator: ",") }.joined(separator: "\r\n")
    }

    /// An array of objects, their members in the order of the columns.
    static func json(_ rows: Rows) -> String {
        let names = rows.columns.map { text(.string($0)) }
        let objects = rows.map { row in
            "{" + zip(names, row.values).map { "\($0): \(json($1))" }.joined(separator: ", ") + "}"
        }
        return objects.isEmpty ? "[]" : "[\n  " + objects.joined(separator: ",\n  ") + "\n]"
    }

    private static func json(_ value: SQLValue) -> String {
        switch value {
        case .null: "null"
        case .bool(let value): value ? "true" : "false"
        case .integer(let value): "\(value)"
        case .double(let value) where value.isFinite: "\(value)"
        case .numeric(let digits)
        where digits.utf8.allSatisfy({ (0x30...0x39).contains($0) || $0 == 0x2E || $0 == 0x2D }): digits
        case .json(let text): text
        case .array(let elements): "[" + elements.map(json).joined(separator: ", ") + "]"
        case .bytes(let bytes): text(.base64(bytes))
        default: text(.string(value.description))
        }
    }

    static func text(_ value: JSONValue) -> String { value.json }

    /// The cells unchanged, separated by tabs and line ends; a single cell is printed as its bytes only.
    static func raw(_ rows: Rows) -> [UInt8] {
        let lines = rows.map { row in
            Array(
                row.values.map {
                    if case .bytes(let bytes) = $0 { bytes } else { $0.isNull ? [] : Array($0.description.utf8) }
                }
                .joined(separator: "\t".utf8))
        }
        let all = Array(lines.joined(separator: "\n".utf8))
        return rows.count == 1 && rows.columns.count == 1 || rows.isEmpty ? all : all + [UInt8(ascii: "\n")]
    }
}

extension JSONValue {
    /// Bytes as JSON, in a form that no string has: `{"$base64": "gA=="}`.
    static func base64(_ bytes: some Sequence<UInt8>) -> JSONValue {
        ["$base64": .string(Data(bytes).base64EncodedString())]
    }

    /// The bytes of this form.
    var base64: Data? {
        guard let members, members.count == 1, let text = members["$base64"]?.string else { return nil }
        return Data(base64Encoded: text)
    }
}
