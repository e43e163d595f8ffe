// The Swift types that can be converted to and from SQL values.

import NIOCore
import SkeinCore

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// A type that can be converted to and from SQL values, for parameters and rows.
public protocol SQLConvertible: Sendable {
    /// The value for a parameter.
    var sqlValue: SQLValue { get }
    /// Converts the value of a cell; nil for another type, or a number that does not fit.
    init?(sqlValue: SQLValue)
}

extension SQLValue: SQLConvertible {
    /// Itself.
    public var sqlValue: SQLValue { self }
    /// Any value.
    public init?(sqlValue: SQLValue) { self = sqlValue }
}

extension Bool: SQLConvertible {
    public var sqlValue: SQLValue { .bool(self) }
    public init?(sqlValue: SQLValue) {
        switch sqlValue {
        case .bool(let value): self = value
        case .integer(0): self = false
        case .integer(1): self = true
        case .text(let text):
            switch text.lowercased() {
            case "t", "true", "1", "on", "yes": self = true
            case "f", "false", "0", "off", "no": self = false
            default: return nil
            }
        default: return nil
        }
    }
}

extension SQLConvertible where Self: FixedWidthInteger {
    /// An integer; beyond 64 bits as its digits.
    public var sqlValue: SQLValue { Int64(exactly: self).map { .integer($0) } ?? .numeric("\(self)") }
    public init?(sqlValue: SQLValue) {
        switch sqlValue {
        case .integer(let value): self.init(exactly: value)
        case .double(let value): self.init(exactly: value)
        case .numeric(let text), .text(let text):
            let whole = text.splitBytes(separator: ".", maxSplits: 1, omittingEmptySubsequences: false)
            guard whole.count < 2 || whole[1].allSatisfy({ $0 == "0" }), let digits = whole.first else { return nil }
            self.init(digits)
        case .bool(let value): self = value ? 1 : 0
        default: return nil
        }
    }
}

extension Int: SQLConvertible {}
extension Int8: SQLConvertible {}
extension Int16: SQLConvertible {}
extension Int32: SQLConvertible {}
extension Int64: SQLConvertible {}
extension UInt: SQLConvertible {}
extension UInt8: SQLConvertible {}
extension UInt16: SQLConvertible {}
extension UInt32: SQLConvertible {}
extension UInt64: SQLConvertible {}

extension Double: SQLConvertible {
    public var sqlValue: SQLValue { .double(self) }
    public init?(sqlValue: SQLValue) {
        switch sqlValue {
        case .double(let value): self = value
        case .integer(let value): self.init(value)
        case .numeric(let text), .text(let text): self.init(text)
        default: return nil
        }
    }
}

extension Float: SQLConvertible {
    /// The number with the fewest digits that equals the `Float`: 0.1 stays 0.1.
    public var sqlValue: SQLValue { .double(Double("\(self)") ?? Double(self)) }
    public init?(sqlValue: SQLValue) {
        guard let value = Double(sqlValue: sqlValue) else { return nil }
        self.init(value)
    }
}

extension String: SQLConvertible {
    public var sqlValue: SQLValue { .text(self) }
    /// Text, and values with a text: all but null and bytes.
    public init?(sqlValue: SQLValue) {
        switch sqlValue {
        case .text(let text), .json(let text), .numeric(let text): self = text
        case .null, .bytes: return nil
        default: self = sqlValue.description
        }
    }
}

extension Decimal: SQLConvertible {
    public var sqlValue: SQLValue { .numeric("\(self)") }
    public init?(sqlValue: SQLValue) {
        switch sqlValue {
        case .integer(let value): self.init(value)
        case .double(let value) where value.isFinite: self.init(value)
        case .numeric(let text), .text(let text):
            // A number with more digits than a Decimal holds would be rounded.
            guard let value = Decimal(exactly: text) else { return nil }
            self = value
        default: return nil
        }
    }
}

extension Data: SQLConvertible {
    public var sqlValue: SQLValue { .bytes(Array(self)) }
    public init?(sqlValue: SQLValue) {
        switch sqlValue {
        case .bytes(let bytes): self.init(bytes)
        case .text(let text), .json(let text): self.init(text.utf8)
        default: return nil
        }
    }
}

extension ByteBuffer: SQLConvertible {
    public var sqlValue: SQLValue { .bytes(Array(readableBytesView)) }
    public init?(sqlValue: SQLValue) {
        guard let data = Data(sqlValue: sqlValue) else { return nil }
        self.init(bytes: data)
    }
}

extension UUID: SQLConvertible {
    public var sqlValue: SQLValue { .uuid(self) }
    public init?(sqlValue: SQLValue) {
        switch sqlValue {
        case .uuid(let value): self = value
        case .text(let text): self.init(uuidString: text)
        case .bytes(let bytes) where bytes.count == 16:
            self = bytes.withUnsafeBytes { UUID(uuid: $0.loadUnaligned(as: uuid_t.self)) }
        default: return nil
        }
    }
}

extension Date: SQLConvertible {
    public var sqlValue: SQLValue { .timestamp(SQLTimestamp(self)) }
    /// A timestamp; also a date, a timestamp without zone as UTC, text of RFC 3339, and a number of seconds since 1970.
    /// Infinity gives nil.
    public init?(sqlValue: SQLValue) {
        switch sqlValue {
        case .timestamp(let value) where value.isFinite: self = value.date
        case .date(let value) where value.isFinite: self = value.date
        case .integer(let value): self.init(timeIntervalSince1970: Double(value))
        case .double(let value): self.init(timeIntervalSince1970: value)
        case .text(let text):
            guard let value = SQLTimestamp(text), value.isFinite else { return nil }
            self = value.date
        default: return nil
        }
    }
}

extension SQLTimestamp: SQLConvertible {
    public var sqlValue: SQLValue { .timestamp(self) }
    public init?(sqlValue: SQLValue) {
        switch sqlValue {
        case .timestamp(let value): self = value
        case .text(let text): self.init(text)
        default: return nil
        }
    }
}

extension SQLDate: SQLConvertible {
    public var sqlValue: SQLValue { .date(self) }
    public init?(sqlValue: SQLValue) {
        switch sqlValue {
        case .date(let value): self = value
        case .text(let text):
            guard let value = TimeParser.date(text) else { return nil }
            self = value
        default: return nil
        }
    }
}

extension SQLTime: SQLConvertible {
    public var sqlValue: SQLValue { .time(self) }
    public init?(sqlValue: SQLValue) {
        switch sqlValue {
        case .time(let value): self = value
        case .text(let text):
            guard let value = TimeParser.time(text) else { return nil }
            self = value
        default: return nil
        }
    }
}

extension SQLInterval: SQLConvertible {
    public var sqlValue: SQLValue { .interval(self) }
    public init?(sqlValue: SQLValue) {
        guard case .interval(let value) = sqlValue else { return nil }
        self = value
    }
}

extension SQLRange: SQLConvertible {
    public var sqlValue: SQLValue { .range(self) }
    public init?(sqlValue: SQLValue) {
        guard case .range(let value) = sqlValue else { return nil }
        self = value
    }
}

extension Optional: SQLConvertible where Wrapped: SQLConvertible {
    public var sqlValue: SQLValue { self?.sqlValue ?? .null }
    public init?(sqlValue: SQLValue) {
        if sqlValue.isNull {
            self = Optional<Wrapped>.none
        } else {
            guard let value = Wrapped(sqlValue: sqlValue) else { return nil }
            self = .some(value)
        }
    }
}

extension Array: SQLConvertible where Element: SQLConvertible {
    /// An array; of `UInt8`, bytes.
    public var sqlValue: SQLValue {
        // By the element type: an empty array can be cast to any other.
        if Element.self == UInt8.self, let bytes = self as? [UInt8] { return .bytes(bytes) }
        return .array(map(\.sqlValue))
    }
    public init?(sqlValue: SQLValue) {
        if Element.self == UInt8.self, let bytes = Data(sqlValue: sqlValue).map(Array<UInt8>.init) as? Self {
            self = bytes
            return
        }
        guard case .array(let elements) = sqlValue else { return nil }
        var values: Self = []
        values.reserveCapacity(elements.count)
        for element in elements {
            guard let value = Element(sqlValue: element) else { return nil }
            values.append(value)
        }
        self = values
    }
}
