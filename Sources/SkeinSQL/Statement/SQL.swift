// A statement whose values cannot become a part of its text.

import SkeinCore

/// A statement of SQL with its parameters. What is interpolated into it is bound, not pasted: `"… WHERE id = \(id)"`.
///
/// A text that is made while the program runs is no statement, so that nobody makes one of a user's words by mistake;
/// ``init(unsafe:)`` says that it is meant.
public struct SQL: Sendable, ExpressibleByStringInterpolation {
    var first: String
    var rest: [(value: SQLValue, text: String)] = []
    /// Values for `$1`, `$2`, … that stand in the text already.
    private var numbered: [SQLValue] = []
    /// Why it cannot be executed.
    package internal(set) var problem: SkeinError?

    /// A statement without parameters, from a literal.
    public init(stringLiteral text: String) { first = text }

    /// A statement from a literal with values in it.
    public init(stringInterpolation: StringInterpolation) { self = stringInterpolation.sql }

    /// A statement whose text is known only now. Nothing of it may come from somebody who is not trusted.
    public init(unsafe text: String) { first = text }

    /// A statement whose text has its own placeholders, `$1`, `$2` and so on; it cannot be a part of another one.
    /// - Parameters:
    ///   - text: nothing of it may come from somebody who is not trusted.
    ///   - parameters: the values, in the order of the numbers.
    public init(unsafe text: String, parameters: [any SQLConvertible]) {
        first = text
        numbered = parameters.map(\.sqlValue)
    }

    /// The text of a statement without parameters.
    package var literal: String? { parameters.isEmpty ? first : nil }

    /// The values, in the order of their placeholders.
    public var parameters: [SQLValue] { rest.isEmpty ? numbered : rest.map(\.value) }

    /// The text, with `$1`, `$2`, … for the values.
    public var text: String {
        if rest.isEmpty { return first }
        var text = first
        for (place, part) in rest.enumerated() {
            text += "$\(place + 1)"
            text += part.text
        }
        return text
    }

    /// One statement behind another.
    public static func + (left: SQL, right: SQL) -> SQL {
        var sum = left
        sum.append(right)
        return sum
    }

    mutating func append(text: String) {
        if rest.isEmpty { first += text } else { rest[rest.count - 1].text += text }
    }

    mutating func append(value: SQLValue) { rest.append((value, "")) }

    /// Whether the text ends with `NOT IN (`.
    fileprivate var endsInNotIn: Bool {
        let words = (rest.last?.text ?? first).asciiUppercased.splitAtBlanks().joined(separator: " ")
        return words.hasByteSuffix("NOT IN (") || words.hasByteSuffix("NOT IN(")
    }

    mutating func append(_ other: SQL) {
        if !other.numbered.isEmpty || !numbered.isEmpty {
            problem = SkeinError(
                .exception, because: "a statement with numbered parameters cannot be part of another statement")
        }
        problem = problem ?? other.problem
        append(text: other.first)
        rest += other.rest
    }

    /// Statements with something between them.
    static func joined(_ parts: [SQL], separator: String) -> SQL {
        var whole: SQL = ""
        for (place, part) in parts.enumerated() {
            if place > 0 { whole.append(text: separator) }
            whole.append(part)
        }
        return whole
    }

    /// A name in quotation marks: a table's, a column's.
    public static func quoted(_ name: String) -> SQL {
        SQL(unsafe: "\"" + name.replacingBytes("\"", with: "\"\"") + "\"")
    }

    /// What a literal with values is made of.
    public struct StringInterpolation: StringInterpolationProtocol {
        fileprivate var sql: SQL = ""

        public init(literalCapacity: Int, interpolationCount: Int) {
            sql.rest.reserveCapacity(interpolationCount)
        }

        public mutating func appendLiteral(_ literal: String) { sql.append(text: literal) }

        /// A value, which is bound.
        public mutating func appendInterpolation<T: SQLConvertible>(_ value: T) { sql.append(value: value.sqlValue) }

        /// A value whose type is not known, which is bound.
        public mutating func appendInterpolation(_ value: any SQLConvertible) { sql.append(value: value.sqlValue) }

        /// Values, each bound, with commas between: for `IN (…)`. Without values it is `NULL`, which nothing is equal to;
        /// behind `NOT IN` the statement is refused then.
        public mutating func appendInterpolation(list values: [some SQLConvertible]) {
            if values.isEmpty {
                if sql.endsInNotIn {
                    sql.problem = SkeinError(
                        .exception, because: "NOT IN with an empty list matches no row; leave the condition out")
                }
                return sql.append(text: "NULL")
            }
            for (place, value) in values.enumerated() {
                if place > 0 { sql.append(text: ", ") }
                sql.append(value: value.sqlValue)
            }
        }

        /// A name, in quotation marks: a table's, a column's.
        public mutating func appendInterpolation(identifier name: String) { sql.append(SQL.quoted(name)) }

        /// A part of a statement.
        public mutating func appendInterpolation(_ part: SQL) { sql.append(part) }

        /// Text as it is. Nothing of it may come from somebody who is not trusted.
        public mutating func appendInterpolation(unsafe text: String) { sql.append(text: text) }
    }
}

extension SQL: CustomStringConvertible {
    /// The text with its placeholders; the values are not shown, since they end up in logs.
    public var description: String { text }
}
