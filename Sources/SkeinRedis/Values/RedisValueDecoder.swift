// Decodes Codable types from replies: scalars from strings, structs from maps, arrays from lists.

import NIOCore
import SkeinCore

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// A decoder over a value.
struct RedisValueDecoder: Decoder {
    fileprivate let value: RedisValue
    let codingPath: [any CodingKey]
    var userInfo: [CodingUserInfoKey: Any] { [:] }

    static func decode<T: Decodable>(_ type: T.Type, _ value: RedisValue, path: [any CodingKey] = []) throws -> T {
        if let plain = plain(type, value), let value = plain as? T { return value }
        if type == Date.self || type == Data.self || type == UUID.self || type == ByteBuffer.self
            || type == RedisValue.self
        {
            throw mismatch(type, path)
        }
        return try T(from: RedisValueDecoder(value: value, codingPath: path))
    }

    /// Types that are decoded as a whole.
    private static func plain(_ type: Any.Type, _ value: RedisValue) -> Any? {
        switch type {
        case is String.Type: value.string
        case is Int.Type: value.int
        case is Double.Type: value.double
        case is Bool.Type: value.bool
        case is RedisValue.Type: value
        case is ByteBuffer.Type: value.bytes
        case is Data.Type: value.bytes.map { Data($0.readableBytesView) }
        case is UUID.Type: value.string.flatMap { UUID(uuidString: $0) }
        case is Date.Type: value.double.map { Date(timeIntervalSince1970: $0) }
        default: nil
        }
    }

    fileprivate static func mismatch(_ type: Any.Type, _ path: [any CodingKey]) -> DecodingError {
        .typeMismatch(type, DecodingError.Context(codingPath: path, debugDescription: "the value is not of this type"))
    }

    func container<Key: CodingKey>(keyedBy type: Key.Type) throws -> KeyedDecodingContainer<Key> {
        guard let entries = value.entries else { throw Self.mismatch([String: Any].self, codingPath) }
        var members = ByteDictionary<RedisValue>()
        for entry in entries { if let name = entry.key.string { members[name] = entry.value } }
        return KeyedDecodingContainer(Members<Key>(members: members, codingPath: codingPath))
    }

    func unkeyedContainer() throws -> any UnkeyedDecodingContainer {
        guard let elements = value.elements else { throw Self.mismatch([Any].self, codingPath) }
        return Elements(elements: elements, codingPath: codingPath)
    }

    func singleValueContainer() -> any SingleValueDecodingContainer { Single(value: value, codingPath: codingPath) }
}

private struct Members<Key: CodingKey>: KeyedDecodingContainerProtocol {
    let members: ByteDictionary<RedisValue>
    let codingPath: [any CodingKey]
    var allKeys: [Key] { members.keys.compactMap { Key(stringValue: $0) } }

    private func member(_ key: Key) throws -> RedisValue {
        guard let value = members[key.stringValue] else {
            throw DecodingError.keyNotFound(
                key, DecodingError.Context(codingPath: codingPath, debugDescription: "there is no such field"))
        }
        return value
    }

    func contains(_ key: Key) -> Bool { members[key.stringValue] != nil }
    func decodeNil(forKey key: Key) throws -> Bool { try member(key).isNull }
    func decode<T: Decodable>(_ type: T.Type, forKey key: Key) throws -> T {
        try RedisValueDecoder.decode(type, try member(key), path: codingPath + [key])
    }
    func nestedContainer<Nested: CodingKey>(
        keyedBy type: Nested.Type, forKey key: Key
    ) throws -> KeyedDecodingContainer<Nested> { try superDecoder(forKey: key).container(keyedBy: type) }
    func nestedUnkeyedContainer(forKey key: Key) throws -> any UnkeyedDecodingContainer {
        try superDecoder(forKey: key).unkeyedContainer()
    }
    func superDecoder() throws -> any Decoder {
        RedisValueDecoder(value: .map(members.map { RedisEntry(.text($0.key), $0.value) }), codingPath: codingPath)
    }
    func superDecoder(forKey key: Key) throws -> any Decoder {
        RedisValueDecoder(value: try member(key), codingPath: codingPath + [key])
    }
}

private struct Elements: UnkeyedDecodingContainer {
    let elements: [RedisValue]
    let codingPath: [any CodingKey]
    private(set) var currentIndex = 0
    var count: Int? { elements.count }
    var isAtEnd: Bool { currentIndex >= elements.count }

    init(elements: [RedisValue], codingPath: [any CodingKey]) {
        self.elements = elements
        self.codingPath = codingPath
    }

    private mutating func next() throws -> RedisValue {
        guard !isAtEnd else { throw RedisValueDecoder.mismatch([Any].self, codingPath) }
        defer { currentIndex += 1 }
        return elements[currentIndex]
    }

    mutating func decodeNil() throws -> Bool {
        guard !isAtEnd, elements[currentIndex].isNull else { return false }
        currentIndex += 1
        return true
    }
    mutating func decode<T: Decodable>(_ type: T.Type) throws -> T {
        try RedisValueDecoder.decode(type, try next(), path: codingPath)
    }
    mutating func nestedContainer<Key: CodingKey>(keyedBy type: Key.Type) throws -> KeyedDecodingContainer<Key> {
        try superDecoder().container(keyedBy: type)
    }
    mutating func nestedUnkeyedContainer() throws -> any UnkeyedDecodingContainer {
        try superDecoder().unkeyedContainer()
    }
    mutating func superDecoder() throws -> any Decoder { RedisValueDecoder(value: try next(), codingPath: codingPath) }
}

private struct Single: SingleValueDecodingContainer {
    let value: RedisValue
    let codingPath: [any CodingKey]

    func decodeNil() -> Bool { value.isNull }
    func decode<T: Decodable>(_ type: T.Type) throws -> T {
        try RedisValueDecoder.decode(type, value, path: codingPath)
    }
    // Numeric types without a method of their own are decoded here.
    func decode(_ type: Bool.Type) throws -> Bool { try take(value.bool, type) }
    func decode(_ type: String.Type) throws -> String { try take(value.string, type) }
    func decode(_ type: Double.Type) throws -> Double { try take(value.double, type) }
    func decode(_ type: Float.Type) throws -> Float { try take(value.double.map { Float($0) }, type) }
    func decode(_ type: Int.Type) throws -> Int { try take(value.int, type) }
    func decode(_ type: Int8.Type) throws -> Int8 { try exact(type) }
    func decode(_ type: Int16.Type) throws -> Int16 { try exact(type) }
    func decode(_ type: Int32.Type) throws -> Int32 { try exact(type) }
    func decode(_ type: Int64.Type) throws -> Int64 { try exact(type) }
    func decode(_ type: UInt.Type) throws -> UInt { try exact(type) }
    func decode(_ type: UInt8.Type) throws -> UInt8 { try exact(type) }
    func decode(_ type: UInt16.Type) throws -> UInt16 { try exact(type) }
    func decode(_ type: UInt32.Type) throws -> UInt32 { try exact(type) }
    func decode(_ type: UInt64.Type) throws -> UInt64 { try exact(type) }

    private func exact<T: FixedWidthInteger>(_ type: T.Type) throws -> T {
        try take(value.int.flatMap { T(exactly: $0) } ?? value.string.flatMap { T($0) }, type)
    }

    private func take<T>(_ value: T?, _ type: T.Type) throws -> T {
        guard let value else { throw RedisValueDecoder.mismatch(type, codingPath) }
        return value
    }
}
