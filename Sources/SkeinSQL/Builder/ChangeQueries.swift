// INSERT, UPDATE, DELETE.

import SkeinCore

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// Inserts rows.
public struct InsertQuery: ReturningQuery {
    private let table: SQL
    private var rows: [[String: SQLValue]] = []
    private var conflict: (columns: [String], updated: [String]?)?
    private var ignoresConflicts = false
    public var returned: [SQL] = []

    init(_ table: SQL) { self.table = table }

    /// A row, by the names of its columns, which are quoted.
    public func data(_ values: [String: SQLValue]) -> Self {
        changed { $0.rows.append(values) }
    }

    /// Rows, by the names of their columns; a column that a row lacks gets its default value. SQLite has no syntax for
    /// that: its rows need the same columns.
    public func data(_ rows: [[String: SQLValue]]) -> Self { rows.reduce(self) { $0.data($1) } }

    /// A row made from a value, with a column for each coding key.
    /// - Throws: the error of its encoding.
    public func data(encoding value: some Encodable) throws -> Self { data(try RowEncoder.encode(value)) }

    /// Updates the existing row on a conflict.
    /// - Parameters:
    ///   - columns: the columns of a unique index.
    ///   - updated: the columns to update. Default: all others.
    public func upsert(on columns: String..., updating updated: [String]? = nil) -> Self {
        changed { $0.conflict = (columns, updated) }
    }

    /// Skips rows that exist already.
    public func ignoringConflicts() -> Self {
        changed { $0.ignoresConflicts = true }
    }

    public func sql(for dialect: SQLDialect) -> SQL {
        let columns = Set(rows.flatMap { $0.keys.map(ByteKey.init) }).map(\.text).sorted {
            $0.utf8.lexicographicallyPrecedes($1.utf8)
        }
        guard !rows.isEmpty else {
            return .refused("an INSERT without rows; data([:]) inserts one row of default values")
        }
        var sql: SQL = "INSERT INTO \(table)"
        if columns.isEmpty {
            guard rows.count == 1 || dialect == .postgres else {
                return .refused("several rows of default values; SQLite inserts only one per statement")
            }
            sql.append(
                text: rows.count == 1 ? " DEFAULT VALUES" : " SELECT FROM generate_series(1, \(rows.count))")
        } else {
            guard dialect != .sqlite || rows.allSatisfy({ $0.count == columns.count }) else {
                return .refused(
                    "rows with different columns; SQLite has no DEFAULT in VALUES, so insert those rows separately")
            }
            sql.append(" (\(SQL.joined(columns.map(SQL.quoted), separator: ", "))) VALUES ")
            let lines = rows.map { row -> SQL in
                let cells = columns.map { column -> SQL in
                    guard let place = row.index(forKey: column), row[place].key.equalsBytes(column) else {
                        return "DEFAULT"
                    }
                    return "\(row[place].value)"
                }
                return "(\(SQL.joined(cells, separator: ", ")))"
            }
            sql.append(SQL.joined(lines, separator: ", "))
        }
        if let conflict {
            let updated =
                conflict.updated ?? columns.filter { column in !conflict.columns.contains { $0.equalsBytes(column) } }
            sql.append(" ON CONFLICT (\(SQL.joined(conflict.columns.map(SQL.quoted), separator: ", "))) ")
            let changes = updated.map { SQL.quoted($0) + " = excluded." + SQL.quoted($0) }
            sql.append(changes.isEmpty ? "DO NOTHING" : "DO UPDATE SET \(SQL.joined(changes, separator: ", "))")
        } else if ignoresConflicts {
            sql.append(text: " ON CONFLICT DO NOTHING")
        }
        sql.append(returningClause)
        return sql
    }
}

/// Updates rows.
public struct UpdateQuery: FilteredQuery, ReturningQuery {
    private let table: SQL
    private var changes: [SQL] = []
    private var isForAll = false
    public var conditions: [SQLCondition] = []
    public var returned: [SQL] = []

    init(_ table: SQL) { self.table = table }

    /// New values, by the names of the columns, which are quoted.
    public func data(_ values: [String: SQLValue]) -> Self {
        changed { $0.changes += values.sorted { $0.key < $1.key }.map { SQL.quoted($0.key) + " = \($0.value)" } }
    }

    /// New values, from the coding keys of a value.
    /// - Throws: the error of its encoding.
    public func data(encoding value: some Encodable) throws -> Self { data(try RowEncoder.encode(value)) }

    /// Sets a column to an expression: `set("hits", to: "hits + 1")`.
    public func set(_ column: SQL, to expression: SQL) -> Self {
        changed { $0.changes.append("\(column) = \(expression)") }
    }

    /// Selects all rows. Without it and without a filter, the query is refused.
    public func all() -> Self {
        changed { $0.isForAll = true }
    }

    public func sql(for dialect: SQLDialect) -> SQL {
        guard isForAll || !conditions.isEmpty else {
            return .refused("an UPDATE of every row; call all() if this is intended")
        }
        guard !changes.isEmpty else { return .refused("an UPDATE without changes; pass them to data(…)") }
        return "UPDATE \(table) SET \(SQL.joined(changes, separator: ", "))\(whereClause)\(returningClause)"
    }
}

/// Deletes rows.
public struct DeleteQuery: FilteredQuery, ReturningQuery {
    private let table: SQL
    private var isForAll = false
    public var conditions: [SQLCondition] = []
    public var returned: [SQL] = []

    init(_ table: SQL) { self.table = table }

    /// Selects all rows. Without it and without a filter, the query is refused.
    public func all() -> Self {
        changed { $0.isForAll = true }
    }

    public func sql(for dialect: SQLDialect) -> SQL {
        guard isForAll || !conditions.isEmpty else {
            return .refused("a DELETE of every row; call all() if this is intended")
        }
        return "DELETE FROM \(table)\(whereClause)\(returningClause)"
    }
}

extension SQL {
    /// A statement that fails without being sent.
    static func refused(_ message: String) -> SQL {
        var sql: SQL = ""
        sql.problem = SkeinError(.exception, because: message)
        return sql
    }
}
