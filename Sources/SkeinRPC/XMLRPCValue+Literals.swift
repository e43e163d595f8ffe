// Literals of mixed types: `["item": "yarn", "count": 3] as XMLRPCValue`.

extension XMLRPCValue: ExpressibleByStringLiteral, ExpressibleByIntegerLiteral, ExpressibleByFloatLiteral,
    ExpressibleByBooleanLiteral, ExpressibleByNilLiteral, ExpressibleByArrayLiteral, ExpressibleByDictionaryLiteral
{
    /// A text.
    public init(stringLiteral value: String) { self = .string(value) }
    /// A whole number.
    public init(integerLiteral value: Int) { self = .integer(value) }
    /// A number.
    public init(floatLiteral value: Double) { self = .double(value) }
    /// True or false.
    public init(booleanLiteral value: Bool) { self = .bool(value) }
    /// The extension nil.
    public init(nilLiteral: ()) { self = .none }
    /// An array.
    public init(arrayLiteral elements: XMLRPCValue...) { self = .array(elements) }
    /// A structure; of a name that stands twice, the last value counts.
    public init(dictionaryLiteral elements: (String, XMLRPCValue)...) {
        self = .structure(Dictionary(elements) { _, last in last })
    }
}
