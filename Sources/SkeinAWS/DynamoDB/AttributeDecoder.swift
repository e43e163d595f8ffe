// Decodes Codable values from attributes.

import SkeinCore

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// Decodes one value. Numbers are converted if the conversion is exact; missing attributes are nil.
struct AttributeDecoder: Decoder {
    private let value: AttributeValue
    let codingPath: [any CodingKey]
    var userInfo: [CodingUserInfoKey: Any] { [:] }

    static func decode<T: Decodable>(_ type: T.Type, from value: AttributeValue) throws -> T {
        try AttributeDecoder(value: value, codingPath: []).decode(type)
    }

    private func decode<T: Decodable>(_ type: T.Type) throws -> T {
        if let leaf = try leaf(type) {
            guard let leaf = leaf as? T else { throw mismatch(type) }
            return leaf
        }
        return try T(from: self)
    }

    /// The value as a type without parts; nil when it must be decoded by its parts.
    private func leaf(_ type: Any.Type) throws -> Any? {
        switch type {
        case is AttributeValue.Type: return value
        case is String.Type: return try need(value.string ?? digits, type)
        case is Bool.Type: return try need(value.bool, type)
        case is Data.Type: return try need(value.data, type)
        case is Date.Type: return try need(value.double.map(Date.init(timeIntervalSince1970:)), type)
        case is UUID.Type: return try need(value.string.flatMap(UUID.init(uuidString:)), type)
        case is Decimal.Type: return try need(digits.flatMap { Decimal(string: $0) }, type)
        case is Double.Type: return try need(value.double, type)
        case is Float.Type: return try need(value.double.map { Float($0) }, type)
        case let type as any FixedWidthInteger.Type: return try need(digits.flatMap { Self.integer($0, type) }, type)
        default: return nil
        }
    }

    private var digits: String? { if case .number(let digits) = value { digits } else { nil } }

    private static func integer<T: FixedWidthInteger>(_ digits: String, _ type: T.Type) -> T? {
        T(digits) ?? Double(digits).flatMap(T.init(exactly:))
    }

    private func need<T>(_ found: T?, _ type: Any.Type) throws -> T {
        guard let found else { throw mismatch(type) }
        return found
    }

    private func mismatch(_ type: Any.Type) -> DecodingError {
        let context = DecodingError.Context(codingPath: codingPath, debugDescription: "\(value) is not a \(type)")
        return value == .null ? .valueNotFound(type, context) : .typeMismatch(type, context)
    }

    /// The elements of a list or a set.
    private var elements: [AttributeValue]? {
        switch value {
        case .list(let values): values
        case .stringSet(let values): values.sorted().map(AttributeValue.string)
        case .numberSet(let values): values.sorted().map(AttributeValue.number)
        case .binarySet(let values): values.map(AttributeValue.binary)
        default: nil
        }
    }

    func container<Key: CodingKey>(keyedBy type: Key.Type) throws -> KeyedDecodingContainer<Key> {
        KeyedDecodingContainer(Keyed(members: try need(value.map, [String: Any].self), codingPath: codingPath))
    }
    func unkeyedContainer() throws -> any UnkeyedDecodingContainer {
        Unkeyed(elements: try need(elements, [Any].self), codingPath: codingPath)
    }
    func singleValueContainer() -> any SingleValueDecodingContainer { Single(decoder: self) }

    private struct Single: SingleValueDecodingContainer {
        let decoder: AttributeDecoder
        var codingPath: [any CodingKey] { decoder.codingPath }

        func decodeNil() -> Bool { decoder.value == .null }
        func decode<T: Decodable>(_ type: T.Type) throws -> T { try decoder.decode(type) }
    }

    private struct Keyed<Key: CodingKey>: KeyedDecodingContainerProtocol {
        let members: [String: AttributeValue]
        let codingPath: [any CodingKey]

        var allKeys: [Key] { members.keys.compactMap { Key(stringValue: $0) } }
        func contains(_ key: Key) -> Bool { members[key.stringValue] != nil }
        private func member(_ key: any CodingKey) throws -> AttributeDecoder {
            guard let value = members[key.stringValue] else {
                throw DecodingError.keyNotFound(
                    key, .init(codingPath: codingPath, debugDescription: "the item has no \(key.stringValue)"))
            }
            return AttributeDecoder(value: value, codingPath: codingPath + [key])
        }
        func decodeNil(forKey key: Key) throws -> Bool { try member(key).value == .null }
        func decode<T: Decodable>(_ type: T.Type, forKey key: Key) throws -> T { try member(key).decode(type) }
        func nestedContainer<Nested: CodingKey>(
            keyedBy type: Nested.Type, forKey key: Key
        ) throws -> KeyedDecodingContainer<Nested> { try member(key).container(keyedBy: type) }
        func nestedUnkeyedContainer(forKey key: Key) throws -> any UnkeyedDecodingContainer {
            try member(key).unkeyedContainer()
        }
        func superDecoder() throws -> any Decoder { try member(TreeKey.super) }
        func superDecoder(forKey key: Key) throws -> any Decoder { try member(key) }
    }

    private struct Unkeyed: UnkeyedDecodingContainer {
        let elements: [AttributeValue]
        let codingPath: [any CodingKey]
        private(set) var currentIndex = 0

        init(elements: [AttributeValue], codingPath: [any CodingKey]) {
            self.elements = elements
            self.codingPath = codingPath
        }

        var count: Int? { elements.count }
        var isAtEnd: Bool { currentIndex >= elements.count }
        private mutating func next() throws -> AttributeDecoder {
            guard !isAtEnd else {
                throw DecodingError.valueNotFound(
                    AttributeValue.self,
                    .init(codingPath: codingPath, debugDescription: "there are only \(elements.count) elements"))
            }
            defer { currentIndex += 1 }
            return AttributeDecoder(
                value: elements[currentIndex], codingPath: codingPath + [TreeKey(index: currentIndex)])
        }
        mutating func decodeNil() -> Bool {
            guard !isAtEnd, elements[currentIndex] == .null else { return false }
            currentIndex += 1
            return true
        }
        mutating func decode<T: Decodable>(_ type: T.Type) throws -> T { try next().decode(type) }
        mutating func nestedContainer<Nested: CodingKey>(
            keyedBy type: Nested.Type
        ) throws -> KeyedDecodingContainer<Nested> { try next().container(keyedBy: type) }
        mutating func nestedUnkeyedContainer() throws -> any UnkeyedDecodingContainer { try next().unkeyedContainer() }
        mutating func superDecoder() throws -> any Decoder { try next() }
    }
}
