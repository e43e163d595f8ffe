// The rows of a result as received; a cell is converted to a value on demand.

import SkeinCore

/// The columns of rows: their names, in order.
public final class RowColumns: Sendable {
    /// The names, from the database.
    public let names: [String]
    private let places: ByteDictionary<Int>

    package init(_ names: [String]) {
        self.names = names
        var places = ByteDictionary<Int>()
        for (place, name) in names.enumerated() where places[name] == nil { places[name] = place }
        self.places = places
    }

    /// No columns.
    package static let none = RowColumns([])

    /// The index of a column; of several with one name, the first.
    public func index(of name: String) -> Int? { places[name] }
}

/// The storage of the cells. Each database has its own type, which has one owner until it is complete and published.
@usableFromInline package protocol RowSet: AnyObject, Sendable {
    /// The columns.
    var columns: RowColumns { get }
    /// The number of rows.
    var count: Int { get }
    /// The memory of the cells, in bytes, approximately.
    var size: Int { get }
    /// A cell.
    /// - Throws: `SkeinError` when its bytes are invalid for its type.
    func value(_ row: Int, _ column: Int) throws -> SQLValue
    /// A cell with an integer; nil for another type, or null.
    func integer(_ row: Int, _ column: Int) -> Int64?
    /// A cell with a floating-point number; nil for another type, or null.
    func double(_ row: Int, _ column: Int) -> Double?
    /// A cell with text; nil for another type, or null.
    func text(_ row: Int, _ column: Int) -> String?
    /// A cell with a boolean; nil for another type, or null.
    func bool(_ row: Int, _ column: Int) -> Bool?
    /// Whether a cell is null.
    func isNull(_ row: Int, _ column: Int) -> Bool
}

extension RowSet {
    package func integer(_ row: Int, _ column: Int) -> Int64? { (try? value(row, column))?.sqlInteger }
    package func double(_ row: Int, _ column: Int) -> Double? {
        if case .double(let value)? = try? value(row, column) { value } else { nil }
    }
    package func text(_ row: Int, _ column: Int) -> String? {
        if case .text(let text)? = try? value(row, column) { text } else { nil }
    }
    package func bool(_ row: Int, _ column: Int) -> Bool? {
        if case .bool(let value)? = try? value(row, column) { value } else { nil }
    }
    package func isNull(_ row: Int, _ column: Int) -> Bool { (try? value(row, column))?.isNull ?? false }
}

extension SQLValue {
    var sqlInteger: Int64? { if case .integer(let value) = self { value } else { nil } }
}

/// Rows whose cells are values already.
package final class ValueRowSet: RowSet {
    package let columns: RowColumns
    private let cells: [SQLValue]

    package init(_ columns: RowColumns, cells: [SQLValue]) {
        self.columns = columns
        self.cells = cells
    }

    package var size: Int {
        cells.reduce(0) { sum, cell in
            switch cell {
            case .text(let text): sum + 32 + text.utf8.count
            case .bytes(let bytes): sum + 32 + bytes.count
            default: sum + 32
            }
        }
    }
    package var count: Int { columns.names.isEmpty ? 0 : cells.count / columns.names.count }
    package func value(_ row: Int, _ column: Int) -> SQLValue { cells[row * columns.names.count + column] }
}
