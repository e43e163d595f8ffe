// A value of a cell or a parameter, for all databases.

import NIOCore
import SkeinCore

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// An SQL value.
public enum SQLValue: Hashable, Sendable {
    /// Null.
    case null
    /// A boolean; SQLite has only 0 and 1.
    case bool(Bool)
    /// An integer.
    case integer(Int64)
    /// A binary floating-point number.
    case double(Double)
    /// A decimal number of any length, as its digits; also `NaN`, `Infinity` and `-Infinity`.
    case numeric(String)
    /// Text.
    case text(String)
    /// Bytes.
    case bytes([UInt8])
    /// A UUID (RFC 9562).
    case uuid(UUID)
    /// A timestamp, with or without zone.
    case timestamp(SQLTimestamp)
    /// A date.
    case date(SQLDate)
    /// A time of day.
    case time(SQLTime)
    /// An interval.
    case interval(SQLInterval)
    /// A JSON value, as its text.
    case json(String)
    /// Values of one type; several dimensions are nested arrays.
    case array([SQLValue])
    /// A range between two values.
    indirect case range(SQLRange)
    /// Several ranges.
    case ranges([SQLRange])
    /// A row as a value.
    case record([SQLValue])
    /// An untyped literal, for a parameter: the database parses it as the type of its position, like a quoted literal.
    /// An array may also be written as JSON. Cells never have this case.
    case literal(String)

    /// Whether it is null.
    public var isNull: Bool { if case .null = self { true } else { false } }
    /// The text; for numbers, their digits. Nil for null and for bytes.
    public var string: String? { String(sqlValue: self) }
    /// The integer, if it is one that fits.
    public var int: Int? { Int(sqlValue: self) }
    /// The number, if it is one.
    public var double: Double? { Double(sqlValue: self) }
    /// The boolean, if it is one.
    public var bool: Bool? { Bool(sqlValue: self) }
    /// The date, if it is a timestamp.
    public var date: Date? { Date(sqlValue: self) }
    /// The elements, if it is an array.
    public var elements: [SQLValue]? { if case .array(let elements) = self { elements } else { nil } }

    /// A value as JSON text, for a column of type `json` or `jsonb`, or of text.
    /// - Throws: the error of the encoder.
    public static func json(encoding value: some Encodable) throws -> SQLValue {
        .json(String(decoding: try JSON.encode(value), as: UTF8.self))
    }
}

extension SQLValue: ExpressibleByIntegerLiteral, ExpressibleByStringLiteral,
    ExpressibleByFloatLiteral, ExpressibleByBooleanLiteral, ExpressibleByArrayLiteral
{
    /// An integer.
    public init(integerLiteral value: Int64) { self = .integer(value) }
    /// Text.
    public init(stringLiteral value: String) { self = .text(value) }
    /// A number.
    public init(floatLiteral value: Double) { self = .double(value) }
    /// A boolean.
    public init(booleanLiteral value: Bool) { self = .bool(value) }
    /// An array.
    public init(arrayLiteral elements: SQLValue...) { self = .array(elements) }
}

extension SQLValue: CustomStringConvertible {
    /// The value for display: as PostgreSQL prints it, and accepts it as text.
    public var description: String {
        switch self {
        case .null: "NULL"
        case .bool(let value): value ? "true" : "false"
        case .integer(let value): "\(value)"
        case .double(let value): Self.text(value)
        case .numeric(let digits): digits
        case .text(let text), .json(let text), .literal(let text): text
        case .bytes(let bytes): "\\x" + Hex.encode(bytes)
        case .uuid(let value): value.uuidString.lowercased()
        case .timestamp(let value): value.description
        case .date(let value): value.description
        case .time(let value): value.description
        case .interval(let value): value.description
        case .array(let elements): "{" + elements.map(\.asArrayElement).joined(separator: ",") + "}"
        case .range(let range): range.description
        case .ranges(let ranges): "{" + ranges.map(\.description).joined(separator: ",") + "}"
        case .record(let fields): "(" + fields.map { $0.isNull ? "" : $0.asField }.joined(separator: ",") + ")"
        }
    }

    private static func text(_ value: Double) -> String {
        if value.isNaN { return "NaN" }
        if value.isInfinite { return value < 0 ? "-Infinity" : "Infinity" }
        let text = "\(value)"
        guard text.hasByteSuffix(".0") else { return text }
        let digits = text.droppingBytes(last: 2)
        let unsigned = digits.hasBytePrefix("-") ? digits.droppingBytes(first: 1) : digits
        // From 16 digits on, PostgreSQL uses an exponent.
        guard unsigned.utf8.count > 15, let first = unsigned.utf8.first else { return String(digits) }
        var fraction = unsigned.droppingBytes(first: 1)
        while fraction.hasByteSuffix("0") { fraction = fraction.droppingBytes(last: 1) }
        let point = fraction.isEmpty ? "" : "."
        return "\(value < 0 ? "-" : "")\(Unicode.Scalar(first))\(point)\(fraction)e+\(unsigned.utf8.count - 1)"
    }

    private var asArrayElement: String {
        switch self {
        case .null: "NULL"
        case .array: description
        default: quoted(special: "{},", escape: "\\") { $0.isEmpty || $0.equalsIgnoringCase("NULL") }
        }
    }

    /// The text as a field of a record, quoted if needed.
    private var asField: String { quoted(special: "(),", escape: nil, \.isEmpty) }

    /// The text as a bound of a range, quoted if needed.
    fileprivate var asBound: String { quoted(special: "()[],", escape: nil, \.isEmpty) }

    /// - Parameter escape: the escape character for quotation marks and backslashes; nil when both are doubled.
    private func quoted(special: String, escape: String?, _ mustBe: (String) -> Bool) -> String {
        // Inside of composite values, PostgreSQL writes only the first letter.
        let text = if case .bool(let value) = self { value ? "t" : "f" } else { description }
        let isPlain = text.utf8.allSatisfy { byte in
            byte != 0x20 && !(0x09...0x0D).contains(byte) && byte != UInt8(ascii: "\"") && byte != UInt8(ascii: "\\")
                && !special.utf8.contains(byte)
        }
        if isPlain, !mustBe(text) { return text }
        return "\"" + text.replacingBytes("\\", with: "\\\\").replacingBytes("\"", with: (escape ?? "\"") + "\"") + "\""
    }
}

/// A range between two values (PostgreSQL's range types).
public struct SQLRange: Hashable, Sendable, CustomStringConvertible {
    /// The lower bound; nil for none.
    public var lower: SQLValue?
    /// The upper bound; nil for none.
    public var upper: SQLValue?
    /// Whether the lower bound is included. Default: yes.
    public var includesLower: Bool
    /// Whether the upper bound is included. Default: no.
    public var includesUpper: Bool
    /// Whether it is empty.
    public var isEmpty: Bool

    /// A range.
    public init(
        _ lower: SQLValue?, _ upper: SQLValue?, includesLower: Bool = true, includesUpper: Bool = false,
        isEmpty: Bool = false
    ) {
        self.lower = lower
        self.upper = upper
        self.includesLower = includesLower
        self.includesUpper = includesUpper
        self.isEmpty = isEmpty
    }

    /// `[1,5)`
    public var description: String {
        if isEmpty { return "empty" }
        return (lower != nil && includesLower ? "[" : "(") + (lower?.asBound ?? "") + "," + (upper?.asBound ?? "")
            + (upper != nil && includesUpper ? "]" : ")")
    }
}
