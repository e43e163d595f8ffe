// The values of DynamoDB
// (https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_AttributeValue.html).

import SkeinCore

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// An item: attributes by name.
public typealias DynamoItem = [String: AttributeValue]

/// The value of an attribute. Literals are values: `["id": "x", "year": 1931, "tags": ["a", "b"]]` is an item.
public enum AttributeValue: Sendable, Hashable {
    /// A text (S).
    case string(String)
    /// A number, by its digits: 38 are preserved.
    case number(String)
    /// Bytes (B).
    case binary(Data)
    /// True or false (BOOL).
    case bool(Bool)
    /// No value (NULL).
    case null
    /// A list (L).
    case list([AttributeValue])
    /// A map (M).
    case map([String: AttributeValue])
    /// A set of texts (SS).
    case stringSet(Set<String>)
    /// A set of numbers (NS).
    case numberSet(Set<String>)
    /// A set of bytes (BS).
    case binarySet(Set<Data>)

    /// An integer.
    public init(_ number: some BinaryInteger) { self = .number("\(number)") }

    /// Text.
    public init(_ text: String) { self = .string(text) }

    /// An encoded value.
    /// - Throws: `EncodingError`.
    public init(encoding value: some Encodable) throws {
        self = try TreeEncoder<AttributeValue>.value(of: value, path: [])
    }

    /// The text of a string.
    public var string: String? { if case .string(let value) = self { value } else { nil } }
    /// The integer, if it is one that fits.
    public var int: Int? { if case .number(let digits) = self { Int(digits) } else { nil } }
    /// The number.
    public var double: Double? { if case .number(let digits) = self { Double(digits) } else { nil } }
    /// The boolean, if it is one.
    public var bool: Bool? { if case .bool(let value) = self { value } else { nil } }
    /// The bytes of binary data.
    public var data: Data? { if case .binary(let value) = self { value } else { nil } }
    /// The elements of a list.
    public var list: [AttributeValue]? { if case .list(let value) = self { value } else { nil } }
    /// The members of a map.
    public var map: [String: AttributeValue]? { if case .map(let value) = self { value } else { nil } }
    /// A member of a map.
    public subscript(name: String) -> AttributeValue? { map?[name] }
    /// An element of a list.
    public subscript(place: Int) -> AttributeValue? {
        guard let list, list.indices.contains(place) else { return nil }
        return list[place]
    }
}

extension AttributeValue: ExpressibleByStringLiteral, ExpressibleByIntegerLiteral, ExpressibleByFloatLiteral,
    ExpressibleByBooleanLiteral, ExpressibleByArrayLiteral, ExpressibleByDictionaryLiteral, ExpressibleByNilLiteral
{
    public init(stringLiteral value: String) { self = .string(value) }
    public init(integerLiteral value: Int) { self.init(value) }
    public init(floatLiteral value: Double) { self = .number("\(value)") }
    public init(booleanLiteral value: Bool) { self = .bool(value) }
    public init(arrayLiteral elements: AttributeValue...) { self = .list(elements) }
    public init(dictionaryLiteral elements: (String, AttributeValue)...) {
        self = .map(Dictionary(elements) { $1 })
    }
    public init(nilLiteral: ()) { self = .null }
}

/// The wire format: an object with one member that names the type, `{"S": "text"}`.
extension AttributeValue: Codable {
    private enum Kind: String, CodingKey {
        case S, N, B, BOOL, NULL, L, M, SS, NS, BS
    }

    public init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: Kind.self)
        guard let kind = container.allKeys.first, container.allKeys.count == 1 else {
            throw DecodingError.dataCorrupted(
                .init(
                    codingPath: decoder.codingPath,
                    debugDescription: "an attribute must have exactly one type, such as {\"S\": \"text\"}"))
        }
        func data(_ text: String) throws -> Data {
            guard let data = Data(base64Encoded: text) else {
                throw DecodingError.dataCorruptedError(
                    forKey: kind, in: container, debugDescription: "the value is not Base64")
            }
            return data
        }
        switch kind {
        case .S: self = .string(try container.decode(String.self, forKey: kind))
        case .N: self = .number(try container.decode(String.self, forKey: kind))
        case .B: self = .binary(try data(container.decode(String.self, forKey: kind)))
        case .BOOL: self = .bool(try container.decode(Bool.self, forKey: kind))
        case .NULL: self = .null
        case .L: self = .list(try container.decode([AttributeValue].self, forKey: kind))
        case .M: self = .map(try container.decode([String: AttributeValue].self, forKey: kind))
        case .SS: self = .stringSet(try container.decode(Set<String>.self, forKey: kind))
        case .NS: self = .numberSet(try container.decode(Set<String>.self, forKey: kind))
        case .BS: self = .binarySet(Set(try container.decode([String].self, forKey: kind).map(data)))
        }
    }

    public func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: Kind.self)
        switch self {
        case .string(let value): try container.encode(value, forKey: .S)
        case .number(let value): try container.encode(value, forKey: .N)
        case .binary(let value): try container.encode(value.base64EncodedString(), forKey: .B)
        case .bool(let value): try container.encode(value, forKey: .BOOL)
        case .null: try container.encode(true, forKey: .NULL)
        case .list(let values): try container.encode(values, forKey: .L)
        case .map(let values): try container.encode(values, forKey: .M)
        case .stringSet(let values): try container.encode(values.sorted(), forKey: .SS)
        case .numberSet(let values): try container.encode(values.sorted(), forKey: .NS)
        case .binarySet(let values): try container.encode(values.map { $0.base64EncodedString() }.sorted(), forKey: .BS)
        }
    }
}

extension AttributeValue: EncodedTree {
    /// Numbers become digits, bytes binary, dates seconds since 1970; sets of strings and numbers become sets unless
    /// they are empty.
    package static func leaf(_ value: any Encodable, path: [any CodingKey]) throws -> AttributeValue? {
        switch value {
        case let value as AttributeValue: return value
        case .number(let number) as JSONValue: return .number(number.text)
        case let value as String: return .string(value)
        case let value as Bool: return .bool(value)
        case let value as any BinaryInteger: return .number("\(value)")
        case let value as Decimal: return .number("\(value)")
        case let value as Date: return try number(value.timeIntervalSince1970, path)
        case let value as Data: return .binary(value)
        case let value as UUID: return .string(value.uuidString)
        case let value as Double: return try number(value, path)
        case let value as Float: return try number(Double("\(value)") ?? Double(value), path)
        case let value as Set<String> where !value.isEmpty: return .stringSet(value)
        case let value as Set<Int> where !value.isEmpty: return .numberSet(Set(value.map { "\($0)" }))
        case let value as Set<Data> where !value.isEmpty: return .binarySet(value)
        default: return nil
        }
    }

    private static func number(_ value: Double, _ path: [any CodingKey]) throws -> AttributeValue {
        guard value.isFinite else {
            throw EncodingError.invalidValue(
                value, .init(codingPath: path, debugDescription: "DynamoDB cannot represent the number \(value)"))
        }
        return .number("\(value)")
    }

    package static func tree(_ elements: [AttributeValue]) -> AttributeValue { .list(elements) }
    package static func tree(_ members: [(String, AttributeValue)], path: [any CodingKey]) -> AttributeValue {
        .map(Dictionary(members) { $1 })
    }
}

extension DynamoItem {
    /// The item of a keyed value.
    /// - Throws: `EncodingError`, also for a value that is not keyed.
    public init(encoding value: some Encodable) throws {
        guard case .map(let members) = try AttributeValue(encoding: value) else {
            throw EncodingError.invalidValue(
                value,
                .init(
                    codingPath: [],
                    debugDescription: "\(Swift.type(of: value)) has no keys for the attribute names of an item"))
        }
        self = members
    }

    /// Decodes the item as a type.
    /// - Throws: `DecodingError`.
    public func decode<T: Decodable>(_ type: T.Type) throws -> T { try AttributeDecoder.decode(type, from: .map(self)) }
}
