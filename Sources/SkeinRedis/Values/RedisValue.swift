// The values of a Redis server's replies.

import NIOCore
import SkeinCore

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// A value of RESP3, or of its subset RESP2.
public enum RedisValue: Hashable, Sendable {
    /// No value.
    case null
    /// Bytes, usually text.
    case string(ByteBuffer)
    /// An integer.
    case integer(Int64)
    /// A floating-point number.
    case double(Double)
    /// A boolean.
    case bool(Bool)
    /// An integer of any length, as its digits.
    case bigNumber(String)
    /// A list.
    case array([RedisValue])
    /// Keys and values, in the order of the server.
    case map([RedisEntry])
    /// Distinct values.
    case set([RedisValue])
    /// An error within a reply, for example of a transaction.
    case error(RedisError)

    /// Text as a value.
    public static func text(_ text: String) -> RedisValue { .string(ByteBuffer(string: text)) }

    /// Whether it is null.
    public var isNull: Bool { if case .null = self { true } else { false } }

    /// The text; for numbers, their digits; nil for null, for lists, and for invalid UTF-8.
    public var string: String? {
        switch self {
        case .string(let bytes): String(validating: bytes.readableBytesView, as: UTF8.self)
        case .integer(let value): "\(value)"
        case .double(let value): "\(value)"
        case .bool(let value): value ? "1" : "0"
        case .bigNumber(let digits): digits
        case .null, .array, .map, .set, .error: nil
        }
    }

    /// The bytes, if it is a string.
    public var bytes: ByteBuffer? { if case .string(let bytes) = self { bytes } else { nil } }

    /// The integer, also from digits.
    public var int: Int? {
        switch self {
        case .integer(let value): Int(exactly: value)
        case .bool(let value): value ? 1 : 0
        case .double(let value): Int(exactly: value)
        default: string.flatMap { Int($0) }
        }
    }

    /// The number, also from digits.
    public var double: Double? {
        switch self {
        case .double(let value): value
        case .integer(let value): Double(value)
        default: string.flatMap { Double($0) }
        }
    }

    /// The boolean, also from the number 0 or 1.
    public var bool: Bool? {
        switch self {
        case .bool(let value): value
        case .integer(0): false
        case .integer(1): true
        case .string where string == "OK": true
        default: nil
        }
    }

    /// The elements of a list or a set.
    public var elements: [RedisValue]? {
        switch self {
        case .array(let elements), .set(let elements): elements
        default: nil
        }
    }

    /// The entries of a map; also of a list of even length, which is a map in RESP2.
    public var entries: [RedisEntry]? {
        switch self {
        case .map(let entries): return entries
        case .array(let list) where list.count % 2 == 0:
            return stride(from: 0, to: list.count, by: 2).map { RedisEntry(list[$0], list[$0 + 1]) }
        default: return nil
        }
    }

    /// An element of a list, or nil.
    public subscript(index: Int) -> RedisValue? {
        guard let elements, elements.indices.contains(index) else { return nil }
        return elements[index]
    }

    /// The value for a key of a map, or nil.
    public subscript(key: String) -> RedisValue? { entries?.first { $0.key.string?.equalsBytes(key) == true }?.value }
}

/// A key and a value of a map.
public struct RedisEntry: Hashable, Sendable {
    /// The key.
    public let key: RedisValue
    /// The value.
    public let value: RedisValue

    /// An entry.
    public init(_ key: RedisValue, _ value: RedisValue) {
        self.key = key
        self.value = value
    }
}

extension RedisValue: CustomStringConvertible {
    /// The value for display.
    public var description: String {
        switch self {
        case .null: "(nil)"
        case .string(let bytes): String(buffer: bytes)
        case .array(let list): "[" + list.map(\.description).joined(separator: ", ") + "]"
        case .set(let list): "{" + list.map(\.description).joined(separator: ", ") + "}"
        case .map(let entries): "{" + entries.map { "\($0.key): \($0.value)" }.joined(separator: ", ") + "}"
        case .error(let error): "\(error)"
        default: string ?? ""
        }
    }
}

/// A server's error.
public struct RedisError: Error, Hashable, Sendable, CustomStringConvertible {
    /// Its first word: `ERR`, `WRONGTYPE`, `NOAUTH`, `MOVED`.
    public let kind: String
    /// The complete message.
    public let message: String

    /// - Parameter message: the server's message.
    public init(_ message: String) {
        self.message = message
        let word = message.prefix(before: " ")
        kind = word.utf8.allSatisfy({ (0x41...0x5A).contains($0) || (0x30...0x39).contains($0) }) ? String(word) : "ERR"
    }

    /// The server's message.
    public var description: String { message }
}

extension SkeinError {
    /// The Redis server's error, if there is one.
    public var redis: RedisError? { cause as? RedisError }
}
