// Names and values in a query or a form.

import SkeinCore
import SkeinWire

/// Names with values in order, each name any number of times; encoded as a form (WHATWG URL,
/// application/x-www-form-urlencoded).
public struct Parameters: Sendable, Hashable, ExpressibleByDictionaryLiteral {
    private var pairs: [Pair] = []

    private struct Pair: Hashable {
        let name: String
        let value: String
    }

    /// None.
    public init() {}

    /// Names and values from a literal, in order. A list repeats the name for each element: `["id": [1, 2]]`.
    public init(dictionaryLiteral elements: (String, any ParameterValue)...) {
        for (name, value) in elements { add(name, value) }
    }

    /// Names and values of a dictionary, by name.
    public init(_ dictionary: [String: some ParameterValue]) {
        for (name, value) in dictionary.sorted(by: { $0.key.utf8.lexicographicallyPrecedes($1.key.utf8) }) {
            add(name, value)
        }
    }

    /// Appends a name with its value or values.
    public mutating func add(_ name: String, _ value: any ParameterValue) {
        for text in value.parameterTexts { pairs.append(Pair(name: name, value: text)) }
    }

    /// Whether it is empty.
    public var isEmpty: Bool { pairs.isEmpty }

    /// The form-encoded text: `a=1&b=two+words`.
    public var encoded: String {
        pairs.map { "\(Percent.encodeForm($0.name))=\(Percent.encodeForm($0.value))" }.joined(separator: "&")
    }
}

/// A value of a parameter: text, a number, a boolean, or a list of them.
public protocol ParameterValue: Sendable {
    /// The value as text; more than one for a list.
    var parameterTexts: [String] { get }
}

extension String: ParameterValue {
    /// The text itself.
    public var parameterTexts: [String] { [self] }
}
extension Int: ParameterValue {
    /// The decimal digits.
    public var parameterTexts: [String] { [String(self)] }
}
extension Double: ParameterValue {
    /// The shortest decimal form.
    public var parameterTexts: [String] { [String(self)] }
}
extension Bool: ParameterValue {
    /// `true` or `false`.
    public var parameterTexts: [String] { [String(self)] }
}
extension Array: ParameterValue where Element: ParameterValue {
    /// The texts of the elements.
    public var parameterTexts: [String] { flatMap(\.parameterTexts) }
}
extension Optional: ParameterValue where Wrapped: ParameterValue {
    /// The texts of the value; none for nil, so that the name is left out.
    public var parameterTexts: [String] { map(\.parameterTexts) ?? [] }
}
