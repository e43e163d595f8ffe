// Arguments of commands.

import NIOCore

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// An argument of a command, which is encoded as bytes.
public enum RedisArgument: Hashable, Sendable {
    /// A text.
    case text(String)
    /// Bytes.
    case bytes(ByteBuffer)
    /// A whole number.
    case integer(Int64)
    /// A floating-point number.
    case number(Double)
}

extension RedisArgument {
    /// The encoded bytes.
    var utf8: [UInt8] {
        switch self {
        case .text(let text): Array(text.utf8)
        case .bytes(let bytes): Array(bytes.readableBytesView)
        case .integer(let value): Array("\(value)".utf8)
        case .number(let value): Array(Self.digits(value).utf8)
        }
    }

    /// A number in Redis' format.
    static func digits(_ value: Double) -> String { value.isInfinite ? (value < 0 ? "-inf" : "+inf") : "\(value)" }
}

/// A type whose values can be arguments of commands.
public protocol RedisEncodable: Sendable {
    /// The value as an argument.
    var redisArgument: RedisArgument { get }
}

extension RedisArgument: RedisEncodable {
    public var redisArgument: RedisArgument { self }
}
extension String: RedisEncodable {
    public var redisArgument: RedisArgument { .text(self) }
}
extension Substring: RedisEncodable {
    public var redisArgument: RedisArgument { .text(String(self)) }
}
extension RedisEncodable where Self: FixedWidthInteger {
    public var redisArgument: RedisArgument { Int64(exactly: self).map { .integer($0) } ?? .text("\(self)") }
}
extension Int: RedisEncodable {}
extension Int32: RedisEncodable {}
extension Int64: RedisEncodable {}
extension UInt: RedisEncodable {}
extension UInt32: RedisEncodable {}
extension UInt64: RedisEncodable {}
extension Double: RedisEncodable {
    public var redisArgument: RedisArgument { .number(self) }
}
extension Bool: RedisEncodable {
    /// 1 or 0.
    public var redisArgument: RedisArgument { .integer(self ? 1 : 0) }
}
extension ByteBuffer: RedisEncodable {
    public var redisArgument: RedisArgument { .bytes(self) }
}
extension Data: RedisEncodable {
    public var redisArgument: RedisArgument { .bytes(ByteBuffer(bytes: self)) }
}
extension RedisValue: RedisEncodable {
    /// The bytes or digits of the value; empty for other values.
    public var redisArgument: RedisArgument {
        if case .string(let bytes) = self { .bytes(bytes) } else { .text(string ?? "") }
    }
}
extension Array: RedisEncodable where Element == UInt8 {
    public var redisArgument: RedisArgument { .bytes(ByteBuffer(bytes: self)) }
}
