// A BSON value of any type.

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// A value (https://bsonspec.org/spec.html). Literals are values: `["age": ["$gte": 18], "name": "Ada"]` is a ``Document``.
public enum BSON: Sendable, Hashable {
    /// A 64-bit floating-point number.
    case double(Double)
    /// A UTF-8 text.
    case string(String)
    /// An embedded document.
    case document(Document)
    /// An array.
    case array([BSON])
    /// Bytes with a subtype.
    case binary(BSONBinary)
    /// Deprecated.
    case undefined
    /// An ObjectID.
    case objectID(ObjectID)
    /// True or false.
    case bool(Bool)
    /// Milliseconds since 1970, UTC.
    case date(BSONDate)
    /// No value.
    case null
    /// A regular expression.
    case regex(BSONRegex)
    /// Deprecated.
    case dbPointer(namespace: String, ObjectID)
    /// JavaScript code.
    case code(String)
    /// Deprecated.
    case symbol(String)
    /// Deprecated.
    case codeWithScope(String, Document)
    /// A 32-bit integer.
    case int32(Int32)
    /// A timestamp of the replication log.
    case timestamp(BSONTimestamp)
    /// A 64-bit integer.
    case int64(Int64)
    /// A decimal number of 34 digits.
    case decimal128(Decimal128)
    /// Less than every other value.
    case minKey
    /// Greater than every other value.
    case maxKey

    /// The smallest integer that holds a number.
    public init(_ number: Int) { self = Int32(exactly: number).map(BSON.int32) ?? .int64(Int64(number)) }
    /// A moment.
    public init(_ date: Date) { self = .date(BSONDate(date)) }
    /// A UUID.
    public init(_ uuid: UUID) { self = .binary(BSONBinary(uuid)) }
    /// Text.
    public init(_ text: String) { self = .string(text) }
    /// An encoded value.
    /// - Throws: `EncodingError`.
    public init(encoding value: some Encodable) throws { self = try BSONEncoder().value(value) }

    /// Its type.
    public var type: BSONType {
        switch self {
        case .double: .double
        case .string: .string
        case .document: .document
        case .array: .array
        case .binary: .binary
        case .undefined: .undefined
        case .objectID: .objectID
        case .bool: .bool
        case .date: .date
        case .null: .null
        case .regex: .regex
        case .dbPointer: .dbPointer
        case .code: .code
        case .symbol: .symbol
        case .codeWithScope: .codeWithScope
        case .int32: .int32
        case .timestamp: .timestamp
        case .int64: .int64
        case .decimal128: .decimal128
        case .minKey: .minKey
        case .maxKey: .maxKey
        }
    }

    // MARK: Conversions

    /// The text of a string or symbol.
    public var string: String? {
        switch self {
        case .string(let value), .symbol(let value): value
        default: nil
        }
    }

    /// The integer, if the value is a whole number of any numeric type.
    public var int: Int? {
        switch self {
        case .int32(let value): Int(value)
        case .int64(let value): Int(exactly: value)
        case .double(let value): Int(exactly: value)
        default: nil
        }
    }

    /// The number, of any numeric type except decimal.
    public var double: Double? {
        switch self {
        case .double(let value): value
        case .int32(let value): Double(value)
        case .int64(let value): Double(value)
        default: nil
        }
    }

    /// The boolean, if it is one.
    public var bool: Bool? { if case .bool(let value) = self { value } else { nil } }
    /// The document, if it is one.
    public var document: Document? { if case .document(let value) = self { value } else { nil } }
    /// The elements, if it is an array.
    public var array: [BSON]? { if case .array(let value) = self { value } else { nil } }
    /// The ObjectID, if it is one.
    public var objectID: ObjectID? { if case .objectID(let value) = self { value } else { nil } }
    /// The date, if it is one.
    public var date: Date? { if case .date(let value) = self { value.date } else { nil } }
    /// The bytes, if it is binary data.
    public var bytes: [UInt8]? { if case .binary(let value) = self { value.bytes } else { nil } }
    /// The UUID, if it is one.
    public var uuid: UUID? { if case .binary(let value) = self { value.uuid } else { nil } }
    /// Whether it is null.
    public var isNull: Bool { self == .null }
    /// Whether it counts as true for the server: true, or a non-zero number.
    var isTrue: Bool { bool ?? double.map { $0 != 0 } ?? false }

    /// A member of a document.
    public subscript(key: String) -> BSON? { document?[key] }

    /// An element of an array.
    public subscript(place: Int) -> BSON? {
        guard let array, array.indices.contains(place) else { return nil }
        return array[place]
    }
}

extension BSON: ExpressibleByStringLiteral, ExpressibleByStringInterpolation, ExpressibleByIntegerLiteral,
    ExpressibleByFloatLiteral,
    ExpressibleByBooleanLiteral, ExpressibleByArrayLiteral, ExpressibleByDictionaryLiteral, ExpressibleByNilLiteral
{
    public init(stringLiteral value: String) { self = .string(value) }
    public init(integerLiteral value: Int) { self.init(value) }
    public init(floatLiteral value: Double) { self = .double(value) }
    public init(booleanLiteral value: Bool) { self = .bool(value) }
    public init(arrayLiteral elements: BSON...) { self = .array(elements) }
    public init(dictionaryLiteral elements: (String, BSON)...) { self = .document(Document(pairs: elements)) }
    public init(nilLiteral: ()) { self = .null }
}

extension BSON: CustomStringConvertible {
    /// Extended JSON.
    public var description: String { extendedJSON() }
}
