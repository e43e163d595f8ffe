// The values of XML-RPC (http://xmlrpc.com/spec.md), with the extensions nil and i8.

import NIOCore
import SkeinCore
import SkeinHTTP

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// A value of XML-RPC.
public enum XMLRPCValue: RPCValue, Hashable {
    /// The extension nil.
    case none
    /// True or false.
    case bool(Bool)
    /// An int or i4, or beyond 32 bits the extension i8.
    case integer(Int)
    /// A floating-point number.
    case double(Double)
    /// A text.
    case string(String)
    /// A dateTime.iso8601 without zone; GMT is assumed.
    case date(Date)
    /// Bytes (base64).
    case bytes([UInt8])
    /// A list of values.
    case array([XMLRPCValue])
    /// Members by their names.
    case structure([String: XMLRPCValue])

    /// The elements of an array.
    public var elements: [XMLRPCValue]? { if case .array(let elements) = self { elements } else { nil } }

    /// A member of a structure, or nil.
    public subscript(name: String) -> XMLRPCValue? {
        if case .structure(let members) = self { members[name] } else { nil }
    }

    /// The string, if it is one.
    public var string: String? { if case .string(let text) = self { text } else { nil } }

    /// The integer, if it is one.
    public var integer: Int? { if case .integer(let number) = self { number } else { nil } }

    /// The value, decoded as a type.
    public func decoded<T: Decodable>(as type: T.Type) throws -> T {
        if let value = self as? T { return value }
        return try JSONDecoder().decode(type, from: try JSONEncoder().encode(self))
    }
}

extension XMLRPCValue: Encodable {
    /// Encodes the value by its type.
    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        switch self {
        case .none: try container.encodeNil()
        case .bool(let value): try container.encode(value)
        case .integer(let value): try container.encode(value)
        case .double(let value): try container.encode(value)
        case .string(let value): try container.encode(value)
        case .date(let value): try container.encode(value)
        case .bytes(let value): try container.encode(Data(value))
        case .array(let value): try container.encode(value)
        case .structure(let value): try container.encode(value)
        }
    }
}

/// A type that can be an argument or a result of XML-RPC.
public protocol XMLRPCConvertible: Sendable {
    /// The encoded value.
    var xmlrpc: XMLRPCValue { get }
}

extension XMLRPCValue: XMLRPCConvertible {
    /// The value itself.
    public var xmlrpc: XMLRPCValue { self }
}
extension Bool: XMLRPCConvertible {
    /// A boolean.
    public var xmlrpc: XMLRPCValue { .bool(self) }
}
extension Int: XMLRPCConvertible {
    /// An int, or an i8 beyond 32 bits.
    public var xmlrpc: XMLRPCValue { .integer(self) }
}
extension Double: XMLRPCConvertible {
    /// A double.
    public var xmlrpc: XMLRPCValue { .double(self) }
}
extension String: XMLRPCConvertible {
    /// A string.
    public var xmlrpc: XMLRPCValue { .string(self) }
}
extension Date: XMLRPCConvertible {
    /// A dateTime.iso8601 in GMT, without fractions of a second.
    public var xmlrpc: XMLRPCValue { .date(self) }
}
extension Data: XMLRPCConvertible {
    /// A base64.
    public var xmlrpc: XMLRPCValue { .bytes(Array(self)) }
}
extension Optional: XMLRPCConvertible where Wrapped: XMLRPCConvertible {
    /// The value, or the extension nil.
    public var xmlrpc: XMLRPCValue { self?.xmlrpc ?? XMLRPCValue.none }
}
extension Array: XMLRPCConvertible where Element: XMLRPCConvertible {
    /// An array.
    public var xmlrpc: XMLRPCValue { .array(map(\.xmlrpc)) }
}
extension Dictionary: XMLRPCConvertible where Key == String, Value: XMLRPCConvertible {
    /// A struct.
    public var xmlrpc: XMLRPCValue { .structure(mapValues(\.xmlrpc)) }
}
