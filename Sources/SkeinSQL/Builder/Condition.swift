// Conditions as values.

import SkeinCore

/// The comparison of a column with a value.
public enum SQLOperator: String, Sendable, CaseIterable {
    /// Equal; for a null value, `IS NULL`.
    case eq
    /// Not equal; for a null value, `IS NOT NULL`.
    case neq
    /// Less than.
    case lt
    /// Less than or equal.
    case lte
    /// Greater than.
    case gt
    /// Greater than or equal.
    case gte
    /// Between two values, inclusive.
    case between
    /// In a list of values.
    case `in`
    /// Contains a text.
    case contains
    /// Begins with a text.
    case startswith
    /// Ends with a text.
    case endswith
    /// Is null, or, with `false`, is not null.
    case null
}

/// A condition: `SQLCondition("age", .gte, 18) & !SQLCondition("name", .startswith, "_")`.
public struct SQLCondition: Sendable {
    let sql: SQL
    /// Whether it needs parentheses inside of another condition.
    private let isCompound: Bool

    private init(_ sql: SQL, isCompound: Bool) {
        self.sql = sql
        self.isCompound = isCompound
    }

    /// A condition in SQL: `SQLCondition("length(name) > \(limit)")`.
    public init(_ condition: SQL) { self.init(condition, isCompound: true) }

    /// A comparison of a column with a value.
    /// - Parameters:
    ///   - column: the column, or another expression; a literal. It may have its operator as a suffix after two
    ///     underscores: `title__contains`, and two underscores may stand for a dot: `b__name`.
    ///   - comparison: the operator.
    ///   - value: the value, which is bound.
    public init(_ column: SQL, _ comparison: SQLOperator, _ value: some SQLConvertible) {
        self.init(Self.make(column, comparison, value.sqlValue), isCompound: false)
    }

    /// A column equal to a value; NULL, when the value is nil.
    public init(_ column: SQL, _ value: some SQLConvertible) { self.init(column, .eq, value) }

    /// A column between two values, inclusive.
    public init(_ column: SQL, between low: some SQLConvertible, and high: some SQLConvertible) {
        self.init("\(column) BETWEEN \(low) AND \(high)", isCompound: false)
    }

    /// A column in the results of a query with one column.
    public init(_ column: SQL, in query: SelectQuery, dialect: SQLDialect = .postgres) {
        self.init("\(column) IN (\(query.sql(for: dialect)))", isCompound: false)
    }

    /// Both.
    public static func & (left: SQLCondition, right: SQLCondition) -> SQLCondition {
        SQLCondition("\(left.inner) AND \(right.inner)", isCompound: true)
    }
    /// One of them, or both.
    public static func | (left: SQLCondition, right: SQLCondition) -> SQLCondition {
        SQLCondition("\(left.inner) OR \(right.inner)", isCompound: true)
    }
    /// Not.
    public static prefix func ! (condition: SQLCondition) -> SQLCondition {
        SQLCondition("NOT (\(condition.sql))", isCompound: false)
    }

    var inner: SQL { isCompound ? "(\(sql))" : sql }

    private static func make(_ column: SQL, _ comparison: SQLOperator, _ value: SQLValue) -> SQL {
        switch comparison {
        case .eq: value.isNull ? "\(column) IS NULL" : "\(column) = \(value)"
        case .neq: value.isNull ? "\(column) IS NOT NULL" : "\(column) <> \(value)"
        case .lt: "\(column) < \(value)"
        case .lte: "\(column) <= \(value)"
        case .gt: "\(column) > \(value)"
        case .gte: "\(column) >= \(value)"
        case .between: between(column, value)
        case .in: among(column, value.elements ?? [value])
        case .contains: like(column, "%", value, "%")
        case .startswith: like(column, "", value, "%")
        case .endswith: like(column, "%", value, "")
        case .null: value.bool == false ? "\(column) IS NOT NULL" : "\(column) IS NULL"
        }
    }

    /// A column in a list of values. An empty list matches no row, and a null in the list matches NULL, so that the
    /// negation matches exactly the other rows.
    private static func among(_ column: SQL, _ values: [SQLValue]) -> SQL {
        let some = values.filter { !$0.isNull }
        if values.isEmpty { return "1 = 0" }
        if some.isEmpty { return "\(column) IS NULL" }
        if some.count == values.count { return "\(column) IN (\(list: some))" }
        return "(\(column) IN (\(list: some)) OR \(column) IS NULL)"
    }

    private static func between(_ column: SQL, _ value: SQLValue) -> SQL {
        guard let bounds = value.elements, bounds.count == 2 else {
            return .refused("between takes two values, not \(value.elements?.count ?? 1)")
        }
        return "\(column) BETWEEN \(bounds[0]) AND \(bounds[1])"
    }

    /// Wildcards of a pattern are escaped in the value.
    private static func like(_ column: SQL, _ before: String, _ value: SQLValue, _ after: String) -> SQL {
        guard let text = value.string else {
            return .refused(
                "contains, startswith and endswith take a string; filter(ifPresent:) omits a condition without a value")
        }
        let pattern = text.replacingBytes("\\", with: "\\\\").replacingBytes("%", with: "\\%")
            .replacingBytes(
                "_", with: "\\_")
        return "\(column) LIKE \(before + pattern + after) ESCAPE '\\'"
    }
}
