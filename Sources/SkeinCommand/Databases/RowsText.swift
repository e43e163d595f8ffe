// Rows as text: for people, for spreadsheets, for scripts.

import Foundation
import Skein

enum RowsText {
    /// Columns side by side, numbers to the right.
    static func table(_ rows: Rows) -> String {
        let names = rows.columns
        let cells = rows.map { row in
            row.values.map { $0.isNull ? "" : $0.description.replacingBytes("\n", with: "\u{21B5}") }
        }
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

    /// Lines with commas (RFC 4180); nothing is an empty cell.
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
        case .bytes(let bytes): text(.string(Data(bytes).base64EncodedString()))
        default: text(.string(value.description))
        }
    }

    static func text(_ value: JSONValue) -> String {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.withoutEscapingSlashes, .sortedKeys]
        return (try? encoder.encode(value)).map { String(decoding: $0, as: UTF8.self) } ?? "null"
    }
}
