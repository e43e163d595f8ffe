// The types of BSON (https://bsonspec.org/spec.html), and errors of invalid bytes.

/// The type of an element, with its type byte.
public enum BSONType: UInt8, Sendable, Hashable {
    /// A 64-bit floating-point number.
    case double = 0x01
    /// A UTF-8 text.
    case string = 0x02
    /// An embedded document.
    case document = 0x03
    /// An array.
    case array = 0x04
    /// Bytes with a subtype.
    case binary = 0x05
    /// Deprecated.
    case undefined = 0x06
    /// An ObjectID.
    case objectID = 0x07
    /// True or false.
    case bool = 0x08
    /// Milliseconds since 1970, UTC.
    case date = 0x09
    /// No value.
    case null = 0x0A
    /// A regular expression.
    case regex = 0x0B
    /// Deprecated.
    case dbPointer = 0x0C
    /// JavaScript code.
    case code = 0x0D
    /// Deprecated.
    case symbol = 0x0E
    /// Deprecated.
    case codeWithScope = 0x0F
    /// A 32-bit integer.
    case int32 = 0x10
    /// A timestamp of the replication log.
    case timestamp = 0x11
    /// A 64-bit integer.
    case int64 = 0x12
    /// A decimal number of 34 digits.
    case decimal128 = 0x13
    /// Greater than every other value.
    case maxKey = 0x7F
    /// Less than every other value.
    case minKey = 0xFF

    /// The size of a value, if it is fixed.
    var fixedSize: Int? {
        switch self {
        case .null, .undefined, .minKey, .maxKey: 0
        case .bool: 1
        case .int32: 4
        case .double, .date, .timestamp, .int64: 8
        case .objectID: 12
        case .decimal128: 16
        default: nil
        }
    }
}

/// An error of invalid BSON, invalid extended JSON, or a failed conversion.
public struct BSONError: Error, Sendable, Hashable, CustomStringConvertible {
    /// The error, in a sentence without a full stop.
    public let description: String

    init(_ description: String) { self.description = description }
}
