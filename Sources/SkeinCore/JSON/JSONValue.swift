// Untyped JSON, for inspecting responses and for passing values on unchanged.

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// Any JSON value (RFC 8259). Numbers keep their digits and objects the order of their members.
public enum JSONValue: Sendable, Hashable {
    /// No value.
    case null
    /// True or false.
    case bool(Bool)
    /// A number.
    case number(JSONNumber)
    /// A text.
    case string(String)
    /// A list of values.
    case array([JSONValue])
    /// Members, in order.
    case object(JSONObject)

    /// An integer.
    public static func integer(_ value: some BinaryInteger) -> JSONValue { .number(JSONNumber(value)) }

    /// Reads a document.
    /// - Parameter json: UTF-8, without a byte order mark.
    /// - Throws: ``JSONError`` with the error and its position: a trailing comma, a lone surrogate, a duplicate name, a
    ///   number beyond the range of a `Double`.
    public init(json: some Collection<UInt8>) throws(JSONError) { self = try JSONParser.value(of: json) }

    /// Reads a document from text.
    /// - Throws: ``JSONError``.
    public init(json text: String) throws(JSONError) { try self.init(json: text.utf8) }

    /// The document, without whitespace.
    public var json: String {
        var output: [UInt8] = []
        JSONWriter.write(self, to: &output)
        return String(decoding: output, as: UTF8.self)
    }

    /// A member of an object, or nil.
    public subscript(name: String) -> JSONValue? {
        if case .object(let members) = self { members[name] } else { nil }
    }

    /// An element of an array, or nil.
    public subscript(index: Int) -> JSONValue? {
        if case .array(let elements) = self, elements.indices.contains(index) { elements[index] } else { nil }
    }

    /// The string, if it is one.
    public var string: String? { if case .string(let value) = self { value } else { nil } }

    /// The integer, if it is one that fits.
    public var integer: Int? { if case .number(let value) = self { value.int } else { nil } }

    /// The number, to the precision of a `Double`, if it is one.
    public var double: Double? { if case .number(let value) = self { value.double } else { nil } }

    /// The boolean, if it is one.
    public var bool: Bool? { if case .bool(let value) = self { value } else { nil } }

    /// The elements, if it is an array.
    public var elements: [JSONValue]? { if case .array(let elements) = self { elements } else { nil } }

    /// The members, if it is an object.
    public var members: JSONObject? { if case .object(let members) = self { members } else { nil } }

    /// Decodes the value as a type.
    /// - Throws: ``JSONError`` or `DecodingError`.
    public func decoded<T: Decodable>(as type: T.Type) throws -> T {
        if let value = self as? T { return value }
        return try JSON.decode(type, from: json.utf8)
    }
}

extension JSONValue: CustomStringConvertible {
    /// The document, without whitespace.
    public var description: String { json }
}

extension JSONValue: ExpressibleByStringLiteral, ExpressibleByIntegerLiteral, ExpressibleByFloatLiteral,
    ExpressibleByBooleanLiteral, ExpressibleByArrayLiteral, ExpressibleByDictionaryLiteral, ExpressibleByNilLiteral
{
    public init(stringLiteral value: String) { self = .string(value) }
    public init(integerLiteral value: Int) { self = .integer(value) }
    public init(floatLiteral value: Double) { self = JSONNumber(value).map { .number($0) } ?? .null }
    public init(booleanLiteral value: Bool) { self = .bool(value) }
    public init(arrayLiteral elements: JSONValue...) { self = .array(elements) }
    public init(dictionaryLiteral elements: (String, JSONValue)...) { self = .object(JSONObject(elements)) }
    public init(nilLiteral: ()) { self = .null }
}

/// With other encoders and decoders, which do not know digits, a number has their precision.
extension JSONValue: Codable {
    /// Reads any value.
    public init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        if container.decodeNil() {
            self = .null
        } else if let value = try? container.decode(Bool.self) {
            self = .bool(value)
        } else if let value = try? container.decode(Int.self) {
            self = .integer(value)
        } else if let value = try? container.decode(String.self) {
            self = .string(value)
        } else if let members = try? decoder.container(keyedBy: TreeKey.self) {
            self = .object(
                JSONObject(try members.allKeys.map { ($0.stringValue, try members.decode(JSONValue.self, forKey: $0)) })
            )
        } else if var list = try? decoder.unkeyedContainer() {
            var elements: [JSONValue] = []
            while !list.isAtEnd { elements.append(try list.decode(JSONValue.self)) }
            self = .array(elements)
        } else if let value = try? container.decode(Decimal.self), let number = JSONNumber("\(value)") {
            self = .number(number)
        } else if let number = JSONNumber(try container.decode(Double.self)) {
            self = .number(number)
        } else {
            throw DecodingError.dataCorruptedError(in: container, debugDescription: "JSON cannot represent this number")
        }
    }

    /// Writes the value unchanged.
    /// - Throws: `EncodingError` for a number that the encoder cannot represent with all of its digits.
    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        switch self {
        case .null: try container.encodeNil()
        case .bool(let value): try container.encode(value)
        case .string(let value): try container.encode(value)
        case .array(let value): try container.encode(value)
        case .object(let members):
            var container = encoder.container(keyedBy: TreeKey.self)
            for (name, value) in members { try container.encode(value, forKey: TreeKey(stringValue: name)) }
        case .number(let value):
            if let number = value.int {
                try container.encode(number)
            } else if let number = value.decimal {
                try container.encode(number)
            } else if value.isExactDouble {
                try container.encode(value.double)
            } else {
                throw EncodingError.invalidValue(
                    value,
                    EncodingError.Context(
                        codingPath: encoder.codingPath,
                        debugDescription: "\(value) has more digits than the encoder's numbers"))
            }
        }
    }
}
