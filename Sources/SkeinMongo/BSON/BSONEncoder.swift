// Makes documents of Codable values.

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// Encodes values: integers by their size, `Date` as a date, `UUID` and `Data` as binary data, optional members that are nil not at all.
public struct BSONEncoder: Sendable {
    /// An encoder.
    public init() {}

    /// Makes a document of a value with names.
    /// - Throws: `EncodingError`; a value without names is one.
    public func encode(_ value: some Encodable) throws -> Document {
        guard case .document(let document) = try self.value(value) else {
            throw EncodingError.invalidValue(
                value, .init(codingPath: [], debugDescription: "a document has names, and \(type(of: value)) has none"))
        }
        return document
    }

    /// Makes a value of any value.
    /// - Throws: `EncodingError`.
    public func value(_ value: some Encodable) throws -> BSON { try EncodingNode.value(of: value, path: []) }
}

/// A value that is a value of BSON by itself.
protocol BSONRepresentable {
    var bson: BSON { get }
}

extension BSON: BSONRepresentable { var bson: BSON { self } }
extension Document: BSONRepresentable { var bson: BSON { .document(self) } }
extension ObjectID: BSONRepresentable { var bson: BSON { .objectID(self) } }
extension Decimal128: BSONRepresentable { var bson: BSON { .decimal128(self) } }
extension BSONBinary: BSONRepresentable { var bson: BSON { .binary(self) } }
extension BSONDate: BSONRepresentable { var bson: BSON { .date(self) } }
extension BSONTimestamp: BSONRepresentable { var bson: BSON { .timestamp(self) } }
extension BSONRegex: BSONRepresentable { var bson: BSON { .regex(self) } }
extension Date: BSONRepresentable { var bson: BSON { BSON(self) } }
extension UUID: BSONRepresentable { var bson: BSON { BSON(self) } }
extension Data: BSONRepresentable { var bson: BSON { .binary(BSONBinary(self)) } }
extension String: BSONRepresentable { var bson: BSON { .string(self) } }
extension Bool: BSONRepresentable { var bson: BSON { .bool(self) } }
extension Double: BSONRepresentable { var bson: BSON { .double(self) } }
extension Float: BSONRepresentable { var bson: BSON { .double(Double(self)) } }
extension Int: BSONRepresentable { var bson: BSON { BSON(self) } }
extension Int8: BSONRepresentable { var bson: BSON { .int32(Int32(self)) } }
extension Int16: BSONRepresentable { var bson: BSON { .int32(Int32(self)) } }
extension Int32: BSONRepresentable { var bson: BSON { .int32(self) } }
extension Int64: BSONRepresentable { var bson: BSON { .int64(self) } }
extension UInt8: BSONRepresentable { var bson: BSON { .int32(Int32(self)) } }
extension UInt16: BSONRepresentable { var bson: BSON { .int32(Int32(self)) } }
extension UInt32: BSONRepresentable { var bson: BSON { BSON(Int(self)) } }

/// What one value becomes.
private final class EncodingNode: Encoder {
    private enum Content {
        case none
        case value(BSON)
        case document(BSONWriter)
        case array([BSON])
    }

    let codingPath: [any CodingKey]
    let userInfo: [CodingUserInfoKey: Any] = [:]
    private var content = Content.none
    /// Parts that are still being written; they come last.
    private var open: [(key: String?, node: EncodingNode)] = []

    init(_ path: [any CodingKey]) { codingPath = path }

    static func value<T: Encodable>(of value: T, path: [any CodingKey]) throws -> BSON {
        if let value = value as? any BSONRepresentable { return value.bson }
        if let number = value as? any BinaryInteger {
            guard let integer = Int64(exactly: number) else {
                throw EncodingError.invalidValue(
                    value, .init(codingPath: path, debugDescription: "\(value) is too large for 64 bits with a sign"))
            }
            return BSON(Int(integer))
        }
        let node = EncodingNode(path)
        try value.encode(to: node)
        return try node.finish()
    }

    func finish() throws -> BSON {
        for (key, node) in open {
            let value = try node.finish()
            if let key { try append(value, key) } else { append(value) }
        }
        open = []
        return switch content {
        case .none: .document(Document())
        case .value(let value): value
        case .document(let writer): .document(writer.document())
        case .array(let values): .array(values)
        }
    }

    func container<Key: CodingKey>(keyedBy type: Key.Type) -> KeyedEncodingContainer<Key> {
        if case .none = content { content = .document(BSONWriter()) }
        return KeyedEncodingContainer(Keyed(node: self, codingPath: codingPath))
    }

    func unkeyedContainer() -> any UnkeyedEncodingContainer {
        if case .none = content { content = .array([]) }
        return Unkeyed(node: self, codingPath: codingPath)
    }

    func singleValueContainer() -> any SingleValueEncodingContainer { Single(node: self, codingPath: codingPath) }

    func append(_ value: BSON, _ key: String) throws {
        guard !key.utf8.contains(0) else {
            throw EncodingError.invalidValue(
                key, .init(codingPath: codingPath, debugDescription: "a name in a document has no NUL"))
        }
        guard case .document(var writer) = content else { return }
        content = .none  // so that the writer has its bytes alone
        writer.append(key, value)
        content = .document(writer)
    }

    func append(_ value: BSON) {
        guard case .array(var values) = content else { return }
        content = .none
        values.append(value)
        content = .array(values)
    }

    private func nested(_ key: (any CodingKey)?) -> EncodingNode {
        let node = EncodingNode(codingPath + [key ?? BSONKey(index: count)])
        open.append((key?.stringValue, node))
        return node
    }

    private var count: Int { if case .array(let values) = content { values.count } else { 0 } }

    private struct Keyed<Key: CodingKey>: KeyedEncodingContainerProtocol {
        let node: EncodingNode
        let codingPath: [any CodingKey]

        func encodeNil(forKey key: Key) throws { try node.append(.null, key.stringValue) }
        func encode<T: Encodable>(_ value: T, forKey key: Key) throws {
            try node.append(EncodingNode.value(of: value, path: codingPath + [key]), key.stringValue)
        }
        func nestedContainer<Nested: CodingKey>(
            keyedBy type: Nested.Type, forKey key: Key
        ) -> KeyedEncodingContainer<Nested> { node.nested(key).container(keyedBy: type) }
        func nestedUnkeyedContainer(forKey key: Key) -> any UnkeyedEncodingContainer {
            node.nested(key).unkeyedContainer()
        }
        func superEncoder() -> any Encoder { node.nested(BSONKey.super) }
        func superEncoder(forKey key: Key) -> any Encoder { node.nested(key) }
    }

    private struct Unkeyed: UnkeyedEncodingContainer {
        let node: EncodingNode
        let codingPath: [any CodingKey]
        var count: Int { node.count }

        func encodeNil() { node.append(.null) }
        func encode<T: Encodable>(_ value: T) throws {
            node.append(try EncodingNode.value(of: value, path: codingPath + [BSONKey(index: count)]))
        }
        func nestedContainer<Nested: CodingKey>(keyedBy type: Nested.Type) -> KeyedEncodingContainer<Nested> {
            node.nested(nil).container(keyedBy: type)
        }
        func nestedUnkeyedContainer() -> any UnkeyedEncodingContainer { node.nested(nil).unkeyedContainer() }
        func superEncoder() -> any Encoder { node.nested(nil) }
    }

    private struct Single: SingleValueEncodingContainer {
        let node: EncodingNode
        let codingPath: [any CodingKey]

        func encodeNil() { node.content = .value(.null) }
        func encode<T: Encodable>(_ value: T) throws {
            node.content = .value(try EncodingNode.value(of: value, path: codingPath))
        }
    }
}

/// The name of a member that has no name of its own.
struct BSONKey: CodingKey {
    let stringValue: String
    let intValue: Int?

    static let `super` = BSONKey(stringValue: "super")

    init(stringValue: String) {
        self.stringValue = stringValue
        intValue = nil
    }

    init(intValue: Int) {
        stringValue = String(intValue)
        self.intValue = intValue
    }

    init(index: Int) { self.init(intValue: index) }
}

extension BSON: Encodable {
    /// As it is in BSON; as its nearest value in other formats.
    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        switch self {
        case .double(let value): try container.encode(value)
        case .string(let value), .symbol(let value), .code(let value), .codeWithScope(let value, _):
            try container.encode(value)
        case .document(let value): try container.encode(value)
        case .array(let value): try container.encode(value)
        case .binary(let value): try container.encode(Data(value.bytes))
        case .objectID(let value), .dbPointer(_, let value): try container.encode(value)
        case .bool(let value): try container.encode(value)
        case .date(let value): try container.encode(value.date)
        case .regex(let value): try container.encode(value.pattern)
        case .int32(let value): try container.encode(value)
        case .int64(let value): try container.encode(value)
        case .timestamp(let value): try container.encode(value.value)
        case .decimal128(let value): try container.encode(value)
        case .null, .undefined, .minKey, .maxKey: try container.encodeNil()
        }
    }
}

extension Document: Encodable {
    /// As it is in BSON; as an object in other formats.
    public func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: BSONKey.self)
        for (key, value) in self { try container.encode(value, forKey: BSONKey(stringValue: key)) }
    }
}
