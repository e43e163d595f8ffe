// The types of BSON (https://bsonspec.org/spec.html), and errors of invalid bytes.

/// The type of an element, with its type byte.
public enum BSONType: UInt8, Sendable, Hashable {
    case double = 0x01
    case string = 0x02
    case document = 0x03
    case array = 0x04
    case binary = 0x05
    /// Deprecated.
    case undefined = 0x06
    case objectID = 0x07
    case bool = 0x08
    case date = 0x09
    case null = 0x0A
    case regex = 0x0B
    /// Deprecated.
    case dbPointer = 0x0C
    case code = 0x0D
    /// Deprecated.
    case symbol = 0x0E
    /// Deprecated.
    case codeWithScope = 0x0F
    case int32 = 0x10
    case timestamp = 0x11
    case int64 = 0x12
    case decimal128 = 0x13
    case maxKey = 0x7F
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
