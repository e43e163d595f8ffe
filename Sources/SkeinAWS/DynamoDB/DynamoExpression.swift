// Expressions with placeholders for names and values
// (https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Expressions.html).

import SkeinCore

/// An expression: `"\(name: "year") BETWEEN \(1990) AND \(1999)"`. Interpolated names and values are sent separately,
/// so that they cannot change the expression, and names may be reserved words.
public struct DynamoExpression: Sendable, Hashable, ExpressibleByStringInterpolation {
    enum Part: Sendable, Hashable {
        case text(String)
        case name(String)
        case value(AttributeValue)
    }

    private(set) var parts: [Part] = []

    public init(stringLiteral value: String) { parts = [.text(value)] }
    public init(stringInterpolation: StringInterpolation) { parts = stringInterpolation.parts }

    /// Names, and the text between them: `name, age`.
    static func names(_ names: [String]) -> DynamoExpression {
        var expression: DynamoExpression = ""
        for (place, name) in names.enumerated() {
            if place > 0 { expression.parts.append(.text(", ")) }
            expression.parts.append(.name(name))
        }
        return expression
    }

    /// The conjunction.
    public static func && (left: DynamoExpression, right: DynamoExpression) -> DynamoExpression {
        "(\(left)) AND (\(right))"
    }
    /// The disjunction.
    public static func || (left: DynamoExpression, right: DynamoExpression) -> DynamoExpression {
        "(\(left)) OR (\(right))"
    }
    /// The negation.
    public static prefix func ! (expression: DynamoExpression) -> DynamoExpression { "NOT (\(expression))" }

    /// The parts of an expression.
    public struct StringInterpolation: StringInterpolationProtocol {
        fileprivate var parts: [Part] = []

        public init(literalCapacity: Int, interpolationCount: Int) {}
        public mutating func appendLiteral(_ literal: String) { parts.append(.text(literal)) }
        /// A value.
        public mutating func appendInterpolation(_ value: AttributeValue) { parts.append(.value(value)) }
        public mutating func appendInterpolation(_ value: String) { parts.append(.value(.string(value))) }
        public mutating func appendInterpolation(_ value: some BinaryInteger) {
            parts.append(.value(AttributeValue(value)))
        }
        public mutating func appendInterpolation(_ value: Double) { parts.append(.value(.number("\(value)"))) }
        public mutating func appendInterpolation(_ value: Bool) { parts.append(.value(.bool(value))) }
        /// The name of an attribute; for a path, interpolate the names of its parts one by one.
        public mutating func appendInterpolation(name: String) { parts.append(.name(name)) }
        /// A part of an expression.
        public mutating func appendInterpolation(_ expression: DynamoExpression) { parts += expression.parts }
    }
}

/// The names and values of all expressions of one request.
struct ExpressionAttributes {
    private var names = ByteDictionary<String>()
    private var values: [(place: String, value: AttributeValue)] = []

    /// The text of an expression, in which names are `#n0` and values `:v0`.
    mutating func text(_ expression: DynamoExpression) -> String {
        var text = ""
        for part in expression.parts {
            switch part {
            case .text(let literal): text += literal
            case .name(let name): text += place(of: name)
            case .value(let value): text += place(of: value)
            }
        }
        return text
    }

    private mutating func place(of name: String) -> String {
        if let known = names[name] { return known }
        let place = "#n\(names.count)"
        names[name] = place
        return place
    }

    private mutating func place(of value: AttributeValue) -> String {
        let known = values.first { known in
            switch (known.value, value) {
            case (.string(let left), .string(let right)), (.number(let left), .number(let right)):
                left.equalsBytes(right)
            default: false
            }
        }
        if let known { return known.place }
        let place = ":v\(values.count)"
        values.append((place, value))
        return place
    }

    var allNames: [String: String]? {
        names.isEmpty ? nil : Dictionary(uniqueKeysWithValues: names.map { ($0.value, $0.key) })
    }
    var allValues: [String: AttributeValue]? {
        values.isEmpty ? nil : Dictionary(uniqueKeysWithValues: values.map { ($0.place, $0.value) })
    }
}
