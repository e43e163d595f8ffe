// One cell of a row, or one parameter of a statement, whichever database it belongs to.

import NIOCore
import SkeinCore

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// A value of SQL.
public enum SQLValue: Hashable, Sendable {
    /// No value.
    case null
    /// A truth value; SQLite knows only 0 and 1.
    case bool(Bool)
    /// A whole number.
    case integer(Int64)
    /// A number of binary floating point.
    case double(Double)
    /// A decimal number of any length, as its digits; `NaN`, `Infinity` and `-Infinity` are among them.
    case numeric(String)
    /// Text.
    case text(String)
    /// Bytes.
    case bytes([UInt8])
    /// A UUID (RFC 9562).
    case uuid(UUID)
    /// A moment, or a date and time of no zone.
    case timestamp(SQLTimestamp)
    /// A day.
    case date(SQLDate)
    /// A time of day.
    case time(SQLTime)
    /// A span of time.
    case interval(SQLInterval)
    /// A value of JSON, as its text.
    case json(String)
    /// Values of one type; one of several dimensions has arrays inside.
    case array([SQLValue])
    /// A range between two values.
    indirect case range(SQLRange)
    /// Several ranges.
    case ranges([SQLRange])
    /// A row as a value.
    case record([SQLValue])
    /// A value as it was typed, for a parameter: the database reads it as what its place takes, as a literal in quotation marks. An
    /// array may also be written as JSON has it. No cell is one.
    case literal(String)

    /// Whether it is none.
    public var isNull: Bool { if case .null = self { true } else { false } }
    /// The text; of numbers, their digits. Nil for none and for bytes.
    public var string: String? { String(sqlValue: self) }
    /// The whole number, if it is one that fits.
    public var int: Int? { Int(sqlValue: self) }
    /// The number, if it is one.
    public var double: Double? { Double(sqlValue: self) }
    /// The truth value, if it is one.
    public var bool: Bool? { Bool(sqlValue: self) }
    /// The moment, if it is one.
    public var date: Date? { Date(sqlValue: self) }
    /// The elements, if it is an array.
    public var elements: [SQLValue]? { if case .array(let elements) = self { elements } else { nil } }

    /// A value as JSON text, for a column of type `json` or `jsonb`, or of text.
    /// - Throws: what the encoder throws.
    public static func json(encoding value: some Encodable) throws -> SQLValue {
        .json(String(decoding: try JSON.encode(value), as: UTF8.self))
    }
}

extension SQLValue: ExpressibleByIntegerLiteral, ExpressibleByStringLiteral,
    ExpressibleByFloatLiteral, ExpressibleByBooleanLiteral, ExpressibleByArrayLiteral
{
    /// A whole number.
    public init(integerLiteral value: Int64) { self = .integer(value) }
    /// Text.
    public init(stringLiteral value: String) { self = .text(value) }
    /// A number.
    public init(floatLiteral value: Double) { self = .double(value) }
    /// A truth value.
    public init(booleanLiteral value: Bool) { self = .bool(value) }
    /// An array.
    public init(arrayLiteral elements: SQLValue...) { self = .array(elements) }
}

extension SQLValue: CustomStringConvertible {
    /// The value as people write it: what PostgreSQL prints, and accepts as text.
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
        // From 16 digits on, PostgreSQL writes an exponent.
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

    /// The text, in quotation marks where it has to be, inside of a record.
    private var asField: String { quoted(special: "(),", escape: nil, \.isEmpty) }

    /// The same inside of a range.
    fileprivate var asBound: String { quoted(special: "()[],", escape: nil, \.isEmpty) }

    /// - Parameter escape: what stands before a quotation mark or a backslash; nil when both are doubled.
    private func quoted(special: String, escape: String?, _ mustBe: (String) -> Bool) -> String {
        // Inside of something, PostgreSQL writes the first letter only.
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
    /// Where it begins; nil when it has no beginning.
    public var lower: SQLValue?
    /// Where it ends; nil when it has no end.
    public var upper: SQLValue?
    /// Whether the beginning belongs to it. Default: yes.
    public var includesLower: Bool
    /// Whether the end belongs to it. Default: no.
    public var includesUpper: Bool
    /// Whether nothing belongs to it.
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
