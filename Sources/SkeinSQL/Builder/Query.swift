// Queries as immutable values: each step makes another one, so that one stem may have many branches.

import SkeinCore

/// A query that was built.
public protocol SQLQuery: Sendable {
    /// Its statement in a database's language; everything in it is bound.
    func sql(for dialect: SQLDialect) -> SQL
}

extension SQLQuery {
    /// The query with one thing changed.
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

/// Where the steps of building begin: `Query.select("blogpost").filter("title", .contains, word)`.
public enum Query {
    /// Reads rows of a table, or of several: `"user a, profile b"`.
    public static func select(_ tables: SQL) -> SelectQuery { SelectQuery(tables) }
    /// Adds rows to a table.
    public static func insert(_ table: SQL) -> InsertQuery { InsertQuery(table) }
    /// Changes rows of a table.
    public static func update(_ table: SQL) -> UpdateQuery { UpdateQuery(table) }
    /// Removes rows of a table.
    public static func delete(_ table: SQL) -> DeleteQuery { DeleteQuery(table) }
}

/// A query that is about some of the rows.
public protocol FilteredQuery: SQLQuery {
    /// What its rows are like, all at once.
    var conditions: [SQLCondition] { get set }
}

extension FilteredQuery {
    /// Only rows for which a condition holds.
    public func filter(_ condition: SQLCondition) -> Self {
        changed { $0.conditions.append(condition) }
    }

    /// Only rows in which a column compares so with a value: `filter("age", .gte, 18)`.
    public func filter(_ column: SQL, _ comparison: SQLOperator, _ value: some SQLConvertible) -> Self {
        filter(SQLCondition(column, comparison, value))
    }

    /// Only rows in which a column is equal to a value: `filter("id", 7)`.
    public func filter(_ column: SQL, _ value: some SQLConvertible) -> Self { filter(SQLCondition(column, value)) }

    /// Only rows for which a condition holds that is made of a value, if there is one: `filter(ifPresent: word) { SQLCondition("title", .contains, $0) }`.
    public func filter<T>(ifPresent value: T?, _ condition: (T) -> SQLCondition) -> Self {
        value.map { filter(condition($0)) } ?? self
    }

    /// Only rows for which a condition does not hold.
    public func exclude(_ condition: SQLCondition) -> Self { filter(!condition) }

    /// Only rows in which a column does not compare so with a value.
    public func exclude(_ column: SQL, _ comparison: SQLOperator, _ value: some SQLConvertible) -> Self {
        exclude(SQLCondition(column, comparison, value))
    }

    /// Only rows in which a column is not equal to a value.
    public func exclude(_ column: SQL, _ value: some SQLConvertible) -> Self { exclude(SQLCondition(column, value)) }

    /// The same query, from which others are made; a value, so that none of them changes it.
    public func branch() -> Self { self }

    var whereClause: SQL {
        conditions.isEmpty
            ? ""
            : " WHERE \(SQL.joined(conditions.count == 1 ? conditions.map(\.sql) : conditions.map(\.inner), separator: " AND "))"
    }
}

/// A query that answers with the rows it has changed.
public protocol ReturningQuery: SQLQuery {
    /// What of them.
    var returned: [SQL] { get set }
}

extension ReturningQuery {
    /// Answers with columns of the rows that were changed.
    public func returning(_ columns: SQL...) -> Self {
        changed { $0.returned += columns }
    }

    var returningClause: SQL { returned.isEmpty ? "" : " RETURNING \(SQL.joined(returned, separator: ", "))" }
}
