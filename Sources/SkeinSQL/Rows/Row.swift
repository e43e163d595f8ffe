// Rows and the cells in them, by place, by name, or as a value of a type.

import SkeinCore

/// The rows of an answer.
public struct Rows: RandomAccessCollection, Sendable {
    package let cells: RowSet

    package init(_ cells: RowSet) { self.cells = cells }

    /// No rows of no columns.
    package static let none = Rows(RowSet(.none))

    /// The names of the columns.
    public var columns: [String] { cells.columns.names }
    /// 0.
    public var startIndex: Int { 0 }
    /// The number of rows.
    public var endIndex: Int { cells.count }
    /// A row by its place.
    public subscript(position: Int) -> Row { Row(cells, position) }

    /// The rows as values of a type: of a struct by the columns' names, or, when there is one column, of its cells.
    /// - Throws: `SkeinError` with code 709 that names row and column.
    public func decode<T: Decodable>(_ type: T.Type) throws -> [T] { try RowDecoder(cells).decodeAll(type) }
}

/// One row.
@dynamicMemberLookup
public struct Row: Sendable {
    package let cells: RowSet
    package let index: Int

    package init(_ cells: RowSet, _ index: Int) {
        self.cells = cells
        self.index = index
    }

    /// The names of the columns.
    public var columns: [String] { cells.columns.names }
    /// The values, in the order of the columns.
    public var values: [SQLValue] { columns.indices.map { self[$0] } }

    /// A cell by the place of its column; no value when there is no such column.
    public subscript(column: Int) -> SQLValue {
        guard columns.indices.contains(column) else { return .null }
        return (try? cells.value(index, column)) ?? .null
    }

    /// A cell by the name of its column; nil when there is no such column.
    public subscript(name: String) -> SQLValue? { cells.columns.index(of: name).map { self[$0] } }

    /// `row.city`: a cell by the name of its column; nil when there is no such column.
    public subscript(dynamicMember name: String) -> SQLValue? { self[name] }

    /// A cell as a value of a type.
    /// - Throws: `SkeinError` with code 709 when there is no such column, or its cell is none of the type.
    public func get<T: SQLConvertible>(_ name: String, as type: T.Type = T.self) throws -> T {
        guard let column = cells.columns.index(of: name) else {
            throw SkeinError(
                .invalidContent, because: "there is no column \(name.debugDescription) among \(columns.joined(separator: ", "))")
        }
        return try get(column, as: type)
    }

    /// A cell as a value of a type.
    /// - Throws: `SkeinError` with code 709 when there is no such column, or its cell is none of the type.
    public func get<T: SQLConvertible>(_ column: Int, as type: T.Type = T.self) throws -> T {
        guard columns.indices.contains(column) else {
            throw SkeinError(.invalidContent, because: "there is no column \(column): the row has \(columns.count)")
        }
        let value = try cells.value(index, column)
        guard let result = T(sqlValue: value) else {
            throw RowDecoder.mismatch(value, type, column: columns[column], row: index)
        }
        return result
    }

    /// The row as a value of a type.
    /// - Throws: `SkeinError` with code 709 that names the column.
    public func decode<T: Decodable>(_ type: T.Type) throws -> T { try RowDecoder(cells).decode(type, row: index) }
}

extension Row: CustomStringConvertible {
    /// `city: Hayward, temp_lo: 37`
    public var description: String {
        zip(columns, values).map { "\($0): \($1)" }.joined(separator: ", ")
    }
}
