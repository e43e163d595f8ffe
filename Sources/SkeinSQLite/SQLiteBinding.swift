// Values between SQLite and Swift, by their bytes: a text may contain NULs, which would end it in C string functions.

import Foundation
import GRDB
import GRDBSQLite
import SkeinCore
import SkeinSQL

/// Binds the parameters of one statement, or of several: `$2` is the second value, wherever it occurs, and each `?` the
/// next one.
struct SQLiteBinding {
    private let values: [SQLValue]
    private var next = 0
    private var bound: Set<Int> = []

    init(_ values: [SQLValue]) { self.values = values }

    /// - Throws: code 701 when a parameter has no value.
    mutating func bind(to statement: Statement) throws {
        // The library binds nothing, but clears earlier bindings and its check for missing arguments.
        statement.setUncheckedArguments(StatementArguments())
        let handle = statement.sqliteStatement
        for index in 1..<(sqlite3_bind_parameter_count(handle) + 1) {
            let place = try place(of: sqlite3_bind_parameter_name(handle, index).map { String(cString: $0) })
            guard values.indices.contains(place) else {
                throw SkeinError(
                    .exception,
                    because: "the statement has a parameter \(place + 1), but \(values.count) values were given")
            }
            bound.insert(place)
            let code = values[place].bind(to: handle, at: index)
            guard code == SQLITE_OK else { throw DatabaseError(resultCode: ResultCode(rawValue: code)) }
        }
    }

    private mutating func place(of name: String?) throws -> Int {
        guard let name else {
            next += 1
            return next - 1
        }
        guard let number = Int(name.dropFirst()), number > 0, name.hasBytePrefix("$") || name.hasBytePrefix("?") else {
            throw SkeinError(
                .exception, because: "named parameters such as \(name) are not supported; use $1, $2 and so on, or ?")
        }
        return number - 1
    }

    /// - Throws: code 701 when a value has no parameter.
    func checkAllWereBound() throws {
        guard bound.count == values.count else {
            throw SkeinError(
                .exception,
                because: "the statement has \(bound.count) parameters, but \(values.count) values were given")
        }
    }
}

extension SQLValue {
    /// A cell of the statement's current row.
    init(_ statement: OpaquePointer, _ column: CInt) {
        switch sqlite3_column_type(statement, column) {
        case SQLITE_INTEGER: self = .integer(sqlite3_column_int64(statement, column))
        case SQLITE_FLOAT: self = .double(sqlite3_column_double(statement, column))
        case SQLITE_TEXT:
            let start = sqlite3_column_text(statement, column)
            let bytes = UnsafeBufferPointer(start: start, count: Int(sqlite3_column_bytes(statement, column)))
            // Invalid UTF-8 is returned as bytes: SQLite accepts any bytes as text.
            self = String(validating: bytes, as: UTF8.self).map { .text($0) } ?? .bytes(Array(bytes))
        case SQLITE_BLOB:
            let start = sqlite3_column_blob(statement, column)
            self = .bytes(
                Array(UnsafeRawBufferPointer(start: start, count: Int(sqlite3_column_bytes(statement, column)))))
        default: self = .null
        }
    }

    /// Binds the value as SQLite stores it: numbers, text and bytes unchanged, all other types as text that SQLite's
    /// functions can parse.
    fileprivate func bind(to statement: OpaquePointer, at index: CInt) -> CInt {
        switch self {
        case .null: sqlite3_bind_null(statement, index)
        case .bool(let value): sqlite3_bind_int64(statement, index, value ? 1 : 0)
        case .integer(let value): sqlite3_bind_int64(statement, index, value)
        case .double(let value): sqlite3_bind_double(statement, index, value)
        case .bytes(let bytes): bytes.withUnsafeBytes { Self.bind($0, to: statement, at: index) }
        case .timestamp(let value): Self.bind(value.description.prefix(before: "+"), to: statement, at: index)
        case .array(let elements): Self.bind(Self.json(elements), to: statement, at: index)
        case .literal(let text): Self.bind(literal: text, to: statement, at: index)
        default: Self.bind(description, to: statement, at: index)
        }
    }

    /// A literal is bound as a number if the number prints the same: `7` is one, while `1.10` and `007` stay text.
    private static func bind(literal text: String, to statement: OpaquePointer, at index: CInt) -> CInt {
        if let number = Int64(text), String(number).equalsBytes(text) {
            return sqlite3_bind_int64(statement, index, number)
        }
        if let number = Double(text), "\(number)".equalsBytes(text), number.isFinite {
            return sqlite3_bind_double(statement, index, number)
        }
        return bind(text, to: statement, at: index)
    }

    /// Tells SQLite to copy the bytes (`SQLITE_TRANSIENT`).
    private static let copied = unsafeBitCast(-1, to: sqlite3_destructor_type.self)

    private static func bind(_ text: some StringProtocol, to statement: OpaquePointer, at index: CInt) -> CInt {
        var text = String(text)
        return text.withUTF8 { bytes in
            bytes.withMemoryRebound(to: CChar.self) { chars in
                // An empty text has no address, and must not be bound as NULL.
                guard let start = chars.baseAddress else { return sqlite3_bind_text(statement, index, "", 0, copied) }
                return sqlite3_bind_text64(
                    statement, index, start, sqlite3_uint64(chars.count), copied, UInt8(SQLITE_UTF8))
            }
        }
    }

    private static func bind(_ bytes: UnsafeRawBufferPointer, to statement: OpaquePointer, at index: CInt) -> CInt {
        guard let start = bytes.baseAddress, bytes.count > 0 else { return sqlite3_bind_zeroblob(statement, index, 0) }
        return sqlite3_bind_blob64(statement, index, start, sqlite3_uint64(bytes.count), copied)
    }

    /// An array as JSON, for `json_each`.
    private static func json(_ elements: [SQLValue]) -> String {
        let parts = elements.map { element -> String in
            switch element {
            case .null: return "null"
            case .bool, .integer, .json: return element.description
            case .double(let value) where value.isFinite: return "\(value)"
            case .array(let inner): return json(inner)
            default:
                return JSONValue.string(element.description).json
            }
        }
        return "[" + parts.joined(separator: ",") + "]"
    }
}
