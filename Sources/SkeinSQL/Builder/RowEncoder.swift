// Encodes a value as the cells of a row, by its coding keys.

import SkeinCore

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// An encoder for the cells of one row; nested values become JSON.
enum RowEncoder {
    static func encode(_ value: some Encodable) throws -> [String: SQLValue] {
        let encoder = Encoding()
        try value.encode(to: encoder)
        guard encoder.isKeyed else {
            throw SkeinError(.exception, because: "\(type(of: value)) has no keys for the column names")
        }
        return encoder.cells
    }

    fileprivate static func cell(_ value: some Encodable) throws -> SQLValue {
        if let value = value as? any SQLConvertible { return value.sqlValue }
        let tree = try JSON.tree(of: value)
        if let text = tree.string { return .text(text) }
        if let number = tree.integer { return .integer(Int64(number)) }
        return .json(tree.json)
    }

    private final class Encoding: Encoder {
        var cells: [String: SQLValue] = [:]
        var isKeyed = false
        let codingPath: [any CodingKey] = []
        let userInfo: [CodingUserInfoKey: Any] = [:]

        func container<Key: CodingKey>(keyedBy type: Key.Type) -> KeyedEncodingContainer<Key> {
            isKeyed = true
            return KeyedEncodingContainer(Cells<Key>(encoder: self))
        }
        func unkeyedContainer() -> any UnkeyedEncodingContainer { Refusing() }
        func singleValueContainer() -> any SingleValueEncodingContainer { Refusing() }
    }

    private struct Cells<Key: CodingKey>: KeyedEncodingContainerProtocol {
        let encoder: Encoding
        var codingPath: [any CodingKey] { [] }

        mutating func encodeNil(forKey key: Key) throws { encoder.cells[key.stringValue] = .null }
        mutating func encode<T: Encodable>(_ value: T, forKey key: Key) throws {
            encoder.cells[key.stringValue] = try RowEncoder.cell(value)
        }
        // Nil is encoded as null: if it was left out, the column would get its default, or keep its value.
        mutating func encodeIfPresent<T: Encodable>(_ value: T?, forKey key: Key) throws {
            encoder.cells[key.stringValue] = try value.map { try RowEncoder.cell($0) } ?? .null
        }
        mutating func encodeIfPresent(_ value: Bool?, forKey key: Key) { put(value, key) }
        mutating func encodeIfPresent(_ value: String?, forKey key: Key) { put(value, key) }
        mutating func encodeIfPresent(_ value: Double?, forKey key: Key) { put(value, key) }
        mutating func encodeIfPresent(_ value: Float?, forKey key: Key) { put(value, key) }
        mutating func encodeIfPresent(_ value: Int?, forKey key: Key) { put(value, key) }
        mutating func encodeIfPresent(_ value: Int8?, forKey key: Key) { put(value, key) }
        mutating func encodeIfPresent(_ value: Int16?, forKey key: Key) { put(value, key) }
        mutating func encodeIfPresent(_ value: Int32?, forKey key: Key) { put(value, key) }
        mutating func encodeIfPresent(_ value: Int64?, forKey key: Key) { put(value, key) }
        mutating func encodeIfPresent(_ value: UInt?, forKey key: Key) { put(value, key) }
        mutating func encodeIfPresent(_ value: UInt8?, forKey key: Key) { put(value, key) }
        mutating func encodeIfPresent(_ value: UInt16?, forKey key: Key) { put(value, key) }
        mutating func encodeIfPresent(_ value: UInt32?, forKey key: Key) { put(value, key) }
        mutating func encodeIfPresent(_ value: UInt64?, forKey key: Key) { put(value, key) }
        private func put(_ value: (some SQLConvertible)?, _ key: Key) {
            encoder.cells[key.stringValue] = value.sqlValue
        }
        mutating func nestedContainer<Nested: CodingKey>(
            keyedBy type: Nested.Type, forKey key: Key
        ) -> KeyedEncodingContainer<Nested> { KeyedEncodingContainer(Cells<Nested>(encoder: encoder)) }
        mutating func nestedUnkeyedContainer(forKey key: Key) -> any UnkeyedEncodingContainer { Refusing() }
        mutating func superEncoder() -> any Encoder { encoder }
        mutating func superEncoder(forKey key: Key) -> any Encoder { encoder }
    }

    /// For values that are not rows.
    private struct Refusing: UnkeyedEncodingContainer, SingleValueEncodingContainer {
        var codingPath: [any CodingKey] { [] }
        var count: Int { 0 }

        private func refuse(_ value: Any) -> EncodingError {
            .invalidValue(
                value,
                EncodingError.Context(codingPath: [], debugDescription: "every value of a row needs a column name"))
        }
        mutating func encodeNil() throws { throw refuse(0) }
        mutating func encode<T: Encodable>(_ value: T) throws { throw refuse(value) }
        mutating func nestedContainer<Key: CodingKey>(keyedBy type: Key.Type) -> KeyedEncodingContainer<Key> {
            KeyedEncodingContainer(Cells<Key>(encoder: Encoding()))
        }
        mutating func nestedUnkeyedContainer() -> any UnkeyedEncodingContainer { self }
        mutating func superEncoder() -> any Encoder { Encoding() }
    }
}
