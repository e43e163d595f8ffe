// Encodes Codable values as documents.

import SkeinCore

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// Encodes values: integers by their size, `Date` as a date, `UUID` and `Data` as binary data; optional members that
/// are nil are left out.
public struct BSONEncoder: Sendable {
    /// An encoder.
    public init() {}

    /// Encodes a keyed value as a document.
    /// - Throws: `EncodingError`, also for a value that is not keyed.
    public func encode(_ value: some Encodable) throws -> Document {
        guard case .document(let document) = try self.value(value) else {
            throw EncodingError.invalidValue(
                value,
                .init(
                    codingPath: [], debugDescription: "\(type(of: value)) has no keys for the field names of a document"
                ))
        }
        return document
    }

    /// Encodes any value.
    /// - Throws: `EncodingError`.
    public func value(_ value: some Encodable) throws -> BSON { try TreeEncoder<BSON>.value(of: value, path: []) }
}

/// A type with a BSON representation of its own.
protocol BSONRepresentable {
    var bson: BSON { get }
}

extension BSON: EncodedTree {
    /// The BSON values of types with a representation of their own, and numbers of any type if they fit.
    package static func leaf(_ value: any Encodable, path: [any CodingKey]) throws -> BSON? {
        if let value = value as? any BSONRepresentable { return value.bson }
        guard let number = value as? any BinaryInteger else { return nil }
        guard let integer = Int(exactly: number) else {
            throw EncodingError.invalidValue(
                value, .init(codingPath: path, debugDescription: "\(value) is too large for a signed 64-bit integer"))
        }
        return BSON(integer)
    }

    package static func tree(_ elements: [BSON]) -> BSON { .array(elements) }

    package static func tree(_ members: [(String, BSON)], path: [any CodingKey]) throws -> BSON {
        if let (key, _) = members.first(where: { $0.0.utf8.contains(0) }) {
            throw EncodingError.invalidValue(
                key, .init(codingPath: path, debugDescription: "a field name holds a NUL"))
        }
        return .document(Document(pairs: members))
    }
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

extension BSON: Encodable {
    /// Unchanged in BSON; as its nearest value in other formats.
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
    /// Unchanged in BSON; as an object in other formats.
    public func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: TreeKey.self)
        for (key, value) in self { try container.encode(value, forKey: TreeKey(stringValue: key)) }
    }
}
