// Rows and their cells, by index, by name, or as a value of a type.

import SkeinCore

/// The rows of a result.
public struct Rows: RandomAccessCollection, Sendable {
    @usableFromInline package let cells: any RowSet

    package init(_ cells: any RowSet) { self.cells = cells }

    /// No rows, without columns.
    package static let none = Rows(ValueRowSet(.none, cells: []))

    /// The names of the columns.
    public var columns: [String] { cells.columns.names }
    /// 0.
    @inlinable public var startIndex: Int { 0 }
    /// The number of rows.
    @inlinable public var endIndex: Int { cells.count }
    /// A row by its index.
    @inlinable public subscript(position: Int) -> Row { Row(cells, position) }

    /// The rows as values of a type: a struct by the columns' names, or, with a single column, its cells.
    /// - Throws: `SkeinError` with code 709, with row and column.
    public func decode<T: Decodable>(_ type: T.Type) throws -> [T] { try RowDecoder(cells).decodeAll(type) }
}

/// One row.
@dynamicMemberLookup
public struct Row: Sendable {
    @usableFromInline package let cells: any RowSet
    @usableFromInline package let index: Int

    @usableFromInline package init(_ cells: any RowSet, _ index: Int) {
        self.cells = cells
        self.index = index
    }

    /// The names of the columns.
    public var columns: [String] { cells.columns.names }
    /// The values, in the order of the columns.
    public var values: [SQLValue] { columns.indices.map { self[$0] } }

    /// A cell by the index of its column; null when there is no such column.
    public subscript(column: Int) -> SQLValue {
        guard columns.indices.contains(column) else { return .null }
        return (try? cells.value(index, column)) ?? .null
    }

    /// A cell by the name of its column; nil when there is no such column.
    public subscript(name: String) -> SQLValue? { cells.columns.index(of: name).map { self[$0] } }

    /// `row.city`: a cell by the name of its column; nil when there is no such column.
    public subscript(dynamicMember name: String) -> SQLValue? { self[name] }

    /// A cell as a value of a type.
    /// - Throws: `SkeinError` with code 709 when there is no such column, or its cell cannot be converted.
    public func get<T: SQLConvertible>(_ name: String, as type: T.Type = T.self) throws -> T {
        guard let column = cells.columns.index(of: name) else {
            throw SkeinError(
                .invalidContent,
                because: "there is no column \(name.debugDescription) among \(columns.joined(separator: ", "))")
        }
        return try get(column, as: type)
    }

    /// A cell as a value of a type.
    /// - Throws: `SkeinError` with code 709 when there is no such column, or its cell cannot be converted.
    public func get<T: SQLConvertible>(_ column: Int, as type: T.Type = T.self) throws -> T { try converted(column) }

    // The most frequent types, without an intermediate value.

    /// A cell as an integer.
    public func get(_ column: Int) throws -> Int {
        if has(column), let value = cells.integer(index, column), let result = Int(exactly: value) { return result }
        return try converted(column)
    }

    /// A cell as text.
    public func get(_ column: Int) throws -> String {
        if has(column), let value = cells.text(index, column) { return value }
        return try converted(column)
    }

    /// A cell as a floating-point number.
    public func get(_ column: Int) throws -> Double {
        if has(column), let value = cells.double(index, column) { return value }
        return try converted(column)
    }

    /// A cell as a boolean.
    public func get(_ column: Int) throws -> Bool {
        if has(column), let value = cells.bool(index, column) { return value }
        return try converted(column)
    }

    private func has(_ column: Int) -> Bool { column >= 0 && column < cells.columns.names.count }

    private func converted<T: SQLConvertible>(_ column: Int) throws -> T {
        guard columns.indices.contains(column) else {
            throw SkeinError(.invalidContent, because: "there is no column \(column): the row has \(columns.count)")
        }
        let value = try cells.value(index, column)
        guard let result = T(sqlValue: value) else {
            throw RowDecoder.mismatch(value, T.self, column: columns[column], row: index)
        }
        return result
    }

    /// The row as a value of a type.
    /// - Throws: `SkeinError` with code 709, with the column.
    public func decode<T: Decodable>(_ type: T.Type) throws -> T { try RowDecoder(cells).decode(type, row: index) }
}

/// A type that reads a row itself, which is several times faster than decoding:
/// `init(row: Row) throws { id = try row.get(0); name = try row.get(1) }`.
public protocol RowDecodable: Sendable {
    /// Makes a value from a row.
    /// - Throws: the errors of `get`.
    init(row: Row) throws
}

extension Rows {
    /// The rows as values of a type that reads them itself.
    /// - Throws: the error of its initializer.
    @inlinable public func decode<T: RowDecodable>(_ type: T.Type) throws -> [T] {
        var values: [T] = []
        values.reserveCapacity(count)
        for row in self { values.append(try T(row: row)) }
        return values
    }
}

extension Row: CustomStringConvertible {
    /// `city: Hayward, temp_lo: 37`
    public var description: String {
        zip(columns, values).map { "\($0): \($1)" }.joined(separator: ", ")
    }
}
