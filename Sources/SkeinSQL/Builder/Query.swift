// Queries as immutable values: each step returns a new one, so that several queries can share a base.

import SkeinCore

/// A query made by the builder.
public protocol SQLQuery: Sendable {
    /// Its statement in a dialect; all values are bound.
    func sql(for dialect: SQLDialect) -> SQL
}

extension SQLQuery {
    /// A copy with one change.
    func changed(_ change: (inout Self) -> Void) -> Self {
        var query = self
        change(&query)
        return query
    }

    /// Starts it on a database or in a transaction and returns at once.
    @discardableResult
    public func execute(on database: some SQLExecutor, timeout: Duration? = nil) -> Corequest<SQLResponse> {
        database.execute(self, timeout: timeout)
    }
}

/// The start of a query: `Query.select("blogpost").filter("title__contains", word)`.
public enum Query {
    /// Reads rows of a table, or of several: `"user a, profile b"`.
    public static func select(_ tables: SQL) -> SelectQuery { SelectQuery(tables) }
    /// Inserts rows into a table.
    public static func insert(_ table: SQL) -> InsertQuery { InsertQuery(table) }
    /// Updates rows of a table.
    public static func update(_ table: SQL) -> UpdateQuery { UpdateQuery(table) }
    /// Deletes rows of a table.
    public static func delete(_ table: SQL) -> DeleteQuery { DeleteQuery(table) }
}

/// A query with conditions.
public protocol FilteredQuery: SQLQuery {
    /// Its conditions, combined by AND.
    var conditions: [SQLCondition] { get set }
}

extension FilteredQuery {
    /// Limits it to rows that meet a condition.
    public func filter(_ condition: SQLCondition) -> Self {
        changed { $0.conditions.append(condition) }
    }

    /// Limits it to rows by a comparison: `filter("age", .gte, 18)`.
    public func filter(_ column: SQL, _ comparison: SQLOperator, _ value: some SQLConvertible) -> Self {
        filter(SQLCondition(column, comparison, value))
    }

    /// Limits it to rows by the comparison in the column's name: `filter("age__gte", 18)`.
    public func filter(_ column: SQL, _ value: some SQLConvertible) -> Self { filter(SQLCondition(column, value)) }

    /// Adds a condition made from a value, if there is one: `filter(ifPresent: word) { Q("title__contains", $0) }`.
    public func filter<T>(ifPresent value: T?, _ condition: (T) -> SQLCondition) -> Self {
        value.map { filter(condition($0)) } ?? self
    }

    /// Excludes rows that meet a condition.
    public func exclude(_ condition: SQLCondition) -> Self { filter(!condition) }

    /// Excludes rows by a comparison.
    public func exclude(_ column: SQL, _ comparison: SQLOperator, _ value: some SQLConvertible) -> Self {
        exclude(SQLCondition(column, comparison, value))
    }

    /// Excludes rows by the comparison in the column's name.
    public func exclude(_ column: SQL, _ value: some SQLConvertible) -> Self { exclude(SQLCondition(column, value)) }

    /// The same query, as a base for others; a value, so that they do not change it.
    public func branch() -> Self { self }

    var whereClause: SQL {
        conditions.isEmpty
            ? ""
            : " WHERE \(SQL.joined(conditions.count == 1 ? conditions.map(\.sql) : conditions.map(\.inner), separator: " AND "))"
    }
}

/// A query that can return the rows it has changed.
public protocol ReturningQuery: SQLQuery {
    /// The returned columns.
    var returned: [SQL] { get set }
}

extension ReturningQuery {
    /// Returns columns of the changed rows.
    public func returning(_ columns: SQL...) -> Self {
        changed { $0.returned += columns }
    }

    var returningClause: SQL { returned.isEmpty ? "" : " RETURNING \(SQL.joined(returned, separator: ", "))" }
}
