// The rows of an answer as the database sent them; a cell is made into a value when somebody asks for it.

import SkeinCore

/// The columns of rows: their names, in order.
public final class RowColumns: Sendable {
    /// The names, as the database says them.
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

    /// The place of a column; of several with one name, the first.
    public func index(of name: String) -> Int? { places[name] }
}

/// Where the cells are. Each database has its own type, which is filled by one owner and published when it does not change any more.
@usableFromInline package protocol RowSet: AnyObject, Sendable {
    /// The columns.
    var columns: RowColumns { get }
    /// The number of rows.
    var count: Int { get }
    /// A cell.
    /// - Throws: `SkeinError` when its bytes are no value of its type.
    func value(_ row: Int, _ column: Int) throws -> SQLValue
    /// A cell that is a whole number; nil when it is none, or nothing.
    func integer(_ row: Int, _ column: Int) -> Int64?
    /// A cell that is a number of floating point; nil when it is none, or nothing.
    func double(_ row: Int, _ column: Int) -> Double?
    /// A cell that is text; nil when it is none, or nothing.
    func text(_ row: Int, _ column: Int) -> String?
    /// A cell that is a truth value; nil when it is none, or nothing.
    func bool(_ row: Int, _ column: Int) -> Bool?
    /// Whether a cell holds nothing.
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

/// Rows of cells that are values already.
package final class ValueRowSet: RowSet {
    package let columns: RowColumns
    private let cells: [SQLValue]

    package init(_ columns: RowColumns, cells: [SQLValue]) {
        self.columns = columns
        self.cells = cells
    }

    package var count: Int { columns.names.isEmpty ? 0 : cells.count / columns.names.count }
    package func value(_ row: Int, _ column: Int) -> SQLValue { cells[row * columns.names.count + column] }
}
