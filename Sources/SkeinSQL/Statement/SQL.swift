// A statement whose values cannot become part of its text, against SQL injection.

import SkeinCore

/// An SQL statement with its parameters. Interpolated values are bound, not inserted into the text:
/// `"… WHERE id = \(id)"`.
///
/// A string made at run time is not a statement, so that user input cannot become one by mistake; ``init(unsafe:)``
/// allows it explicitly.
public struct SQL: Sendable, ExpressibleByStringInterpolation {
    var first: String
    var rest: [(value: SQLValue, text: String)] = []
    /// Values for the placeholders `$1`, `$2`, … in the text.
    private var numbered: [SQLValue] = []
    /// The reason why it cannot be executed.
    package internal(set) var problem: SkeinError?

    /// A statement without parameters, from a literal.
    public init(stringLiteral text: String) { first = text }

    /// A statement from a literal with interpolated values.
    public init(stringInterpolation: StringInterpolation) { self = stringInterpolation.sql }

    /// A statement with a text made at run time. The text must not contain untrusted input.
    public init(unsafe text: String) { first = text }

    /// A statement with placeholders `$1`, `$2` and so on in its text; it cannot be a part of another one.
    /// - Parameters:
    ///   - text: the text; it must not contain untrusted input.
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

    /// The concatenation of two statements.
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

    /// The concatenation of statements with a separator.
    static func joined(_ parts: [SQL], separator: String) -> SQL {
        var whole: SQL = ""
        for (place, part) in parts.enumerated() {
            if place > 0 { whole.append(text: separator) }
            whole.append(part)
        }
        return whole
    }

    /// A quoted identifier, of a table or a column.
    public static func quoted(_ name: String) -> SQL {
        SQL(unsafe: "\"" + name.replacingBytes("\"", with: "\"\"") + "\"")
    }

    /// The parts of a literal with interpolated values.
    public struct StringInterpolation: StringInterpolationProtocol {
        fileprivate var sql: SQL = ""

        public init(literalCapacity: Int, interpolationCount: Int) {
            sql.rest.reserveCapacity(interpolationCount)
        }

        public mutating func appendLiteral(_ literal: String) { sql.append(text: literal) }

        /// A bound value.
        public mutating func appendInterpolation<T: SQLConvertible>(_ value: T) { sql.append(value: value.sqlValue) }

        /// A bound value of a type known at run time only.
        public mutating func appendInterpolation(_ value: any SQLConvertible) { sql.append(value: value.sqlValue) }

        /// A comma-separated list of bound values, for `IN (…)`. An empty list becomes `NULL`, which equals nothing;
        /// after `NOT IN` the statement is refused then.
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

        /// A quoted identifier, of a table or a column.
        public mutating func appendInterpolation(identifier name: String) { sql.append(SQL.quoted(name)) }

        /// A part of a statement.
        public mutating func appendInterpolation(_ part: SQL) { sql.append(part) }

        /// Text without quoting. It must not contain untrusted input.
        public mutating func appendInterpolation(unsafe text: String) { sql.append(text: text) }
    }
}

extension SQL: CustomStringConvertible {
    /// The text with its placeholders; values are not shown, since it may be logged.
    public var description: String { text }
}
