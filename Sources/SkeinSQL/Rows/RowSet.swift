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

/// Where the cells are. Each database has its own kind.
///
/// Unchecked: it is filled by one owner and published when it does not change any more.
open class RowSet: @unchecked Sendable {
    /// The columns.
    public final let columns: RowColumns

    @usableFromInline package init(_ columns: RowColumns) { self.columns = columns }

    /// The number of rows.
    open var count: Int { 0 }
    /// A cell.
    /// - Throws: `SkeinError` when its bytes are no value of its type.
    open func value(_ row: Int, _ column: Int) throws -> SQLValue { .null }
    /// A cell that is a whole number; nil when it is none, or nothing.
    open func integer(_ row: Int, _ column: Int) -> Int64? { (try? value(row, column))?.sqlInteger }
    /// A cell that is a number of floating point; nil when it is none, or nothing.
    open func double(_ row: Int, _ column: Int) -> Double? {
        if case .double(let value)? = try? value(row, column) { value } else { nil }
    }
    /// A cell that is text; nil when it is none, or nothing.
    open func text(_ row: Int, _ column: Int) -> String? {
        if case .text(let text)? = try? value(row, column) { text } else { nil }
    }
    /// A cell that is a truth value; nil when it is none, or nothing.
    open func bool(_ row: Int, _ column: Int) -> Bool? {
        if case .bool(let value)? = try? value(row, column) { value } else { nil }
    }
    /// Whether a cell holds nothing.
    open func isNull(_ row: Int, _ column: Int) -> Bool { (try? value(row, column))?.isNull ?? false }
}

extension SQLValue {
    var sqlInteger: Int64? { if case .integer(let value) = self { value } else { nil } }
}

/// Rows of cells that are values already.
package final class ValueRowSet: RowSet, @unchecked Sendable {
    private let cells: [SQLValue]

    package init(_ columns: RowColumns, cells: [SQLValue]) {
        self.cells = cells
        super.init(columns)
    }

    package override var count: Int { columns.names.isEmpty ? 0 : cells.count / columns.names.count }
    package override func value(_ row: Int, _ column: Int) -> SQLValue { cells[row * columns.names.count + column] }
}
