// The SQL of aquests and skitai: other names for the same calls, and conditions whose operator is part of the column's name.

import SkeinCore
import SkeinSQL

extension SQLExecutor {
    /// Starts a statement and returns at once: `execute`.
    @discardableResult
    public func `do`(_ sql: SQL, timeout: Duration? = nil) -> Corequest<SQLResponse> { execute(sql, timeout: timeout) }
}

extension SQLTransaction {
    /// Gives the connection back; what was not committed is undone: `end`.
    public func putback() async { await end() }
}

/// A condition whose operator stands behind two underscores: `Q("age__gte", 18) & !Q("name__startswith", "_")`.
///
/// The operators are those of `SQLOperator`; without one the column is equal to the value. Two underscores elsewhere stand for a point:
/// `b__name` is the column `b.name`. A name in quotation marks is taken as it is.
/// - Parameters:
///   - lookup: the column and its operator; a literal.
///   - value: what the column is compared with, bound.
public func Q(_ lookup: SQL, _ value: some SQLConvertible) -> SQLCondition {
    let (column, comparison) = lookup.lookup
    return SQLCondition(column, comparison ?? .eq, value)
}

/// A column compared with a value: `Q("age", .gte, 18)`.
public func Q(_ column: SQL, _ comparison: SQLOperator, _ value: some SQLConvertible) -> SQLCondition {
    SQLCondition(column.lookup.column, comparison, value)
}

/// A condition in SQL: `Q("length(name) > \(limit)")`.
public func Q(_ condition: SQL) -> SQLCondition { SQLCondition(condition) }

extension SQL {
    /// `b__name__contains` is the column `b.name` and the operator `contains`.
    fileprivate var lookup: (column: SQL, comparison: SQLOperator?) {
        guard let text = literal, text.containsBytes("__"), !text.containsByte("\"") else { return (self, nil) }
        var parts = text.replacingBytes("__", with: "\0").splitBytes(separator: "\0").map(String.init)
        let comparison = parts.count > 1 ? parts.last.flatMap(SQLOperator.init(rawValue:)) : nil
        if comparison != nil { parts.removeLast() }
        return (SQL(unsafe: parts.joined(separator: ".")), comparison)
    }
}
