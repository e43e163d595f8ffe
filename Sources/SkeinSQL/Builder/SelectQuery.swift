// SELECT.

/// Reads rows.
public struct SelectQuery: FilteredQuery {
    private let tables: SQL
    private var columns: [SQL] = []
    private var joins: SQL = ""
    public var conditions: [SQLCondition] = []
    private var groups: [SQL] = []
    private var groupConditions: [SQLCondition] = []
    private var orders: [SQL] = []
    private var limited: Int?
    private var skipped: Int?
    private var isDistinct = false

    init(_ tables: SQL) { self.tables = tables }

    /// The selected columns and expressions. Default: all columns.
    public func get(_ columns: SQL...) -> Self { changed { $0.columns += columns } }

    /// Removes duplicate rows.
    public func distinct() -> Self { changed { $0.isDistinct = true } }

    /// The kind of a join.
    public enum Join: String, Sendable {
        case inner = "INNER JOIN"
        case left = "LEFT JOIN"
        case right = "RIGHT JOIN"
        case full = "FULL JOIN"
    }

    /// Joins another table: `join("profile b", on: "a.id = b.user_id")`.
    public func join(_ table: SQL, _ kind: Join = .inner, on condition: SQL) -> Self {
        changed { $0.joins.append(" \(unsafe: kind.rawValue) \(table) ON \(condition)") }
    }

    /// Groups rows by these columns.
    public func group(_ columns: SQL...) -> Self { changed { $0.groups += columns } }

    /// Limits the groups to those that meet a condition.
    public func having(_ condition: SQLCondition) -> Self { changed { $0.groupConditions.append(condition) } }

    /// The order; a minus before a column sorts descending: `order("-posted_at", "id")`.
    public func order(_ columns: SQL...) -> Self {
        changed { query in
            query.orders += columns.map { column in
                guard column.first.hasBytePrefix("-") else { return column }
                var column = column
                column.first = String(column.first.droppingBytes(first: 1))
                column.append(text: " DESC")
                return column
            }
        }
    }

    /// The maximum number of rows.
    public func limit(_ count: Int) -> Self { changed { $0.limited = max(0, count) } }

    /// The number of rows to skip.
    public func offset(_ count: Int) -> Self { changed { $0.skipped = max(0, count) } }

    /// `query[10..<20]`: rows by their positions in the order.
    public subscript(range: Range<Int>) -> Self { offset(range.lowerBound).limit(range.count) }
    /// `query[..<20]`: the first rows.
    public subscript(range: PartialRangeUpTo<Int>) -> Self { limit(range.upperBound) }
    /// `query[10...]`: skips the first rows.
    public subscript(range: PartialRangeFrom<Int>) -> Self { offset(range.lowerBound) }

    public func sql(for dialect: SQLDialect) -> SQL {
        var sql: SQL = "SELECT \(unsafe: isDistinct ? "DISTINCT " : "")"
        sql.append(columns.isEmpty ? "*" : SQL.joined(columns, separator: ", "))
        sql.append(" FROM \(tables)\(joins)\(whereClause)")
        if !groups.isEmpty { sql.append(" GROUP BY \(SQL.joined(groups, separator: ", "))") }
        if !groupConditions.isEmpty {
            sql.append(" HAVING \(SQL.joined(groupConditions.map(\.inner), separator: " AND "))")
        }
        if !orders.isEmpty { sql.append(" ORDER BY \(SQL.joined(orders, separator: ", "))") }
        if let limited {
            sql.append(" LIMIT \(limited)")
        } else if skipped != nil, dialect == .sqlite {
            sql.append(text: " LIMIT -1")  // SQLite allows OFFSET only after LIMIT
        }
        if let skipped { sql.append(" OFFSET \(skipped)") }
        return sql
    }
}
