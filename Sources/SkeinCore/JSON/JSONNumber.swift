// A JSON number is stored as its digits, so that readers choose the precision.

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// A JSON number (RFC 8259, section 6), stored as its digits: `1.10` and twenty digits are preserved. Equal when the
/// digits are.
public struct JSONNumber: Sendable, Hashable, CustomStringConvertible {
    /// The digits as they were written.
    public let text: String

    /// An integer.
    public init(_ value: some BinaryInteger) { text = String(value) }

    /// A floating-point number in its shortest form; nil when it is not finite, which JSON cannot express.
    public init?(_ value: some BinaryFloatingPoint & CustomStringConvertible) {
        guard value.isFinite else { return nil }
        let text = "\(value)"
        self.text = text.hasByteSuffix(".0") ? String(text.droppingBytes(last: 2)) : text
    }

    /// A number by its digits; nil when they are not valid JSON, as with `01`, `.5` or `+1`.
    public init?(_ text: String) {
        guard (try? JSONParser.value(of: text.utf8)) == .number(JSONNumber(checked: text)) else { return nil }
        self.text = text
    }

    init(checked text: String) { self.text = text }

    /// The integer value, if it has one that fits: `5`, and also `5.0` and `1e3`.
    public var int: Int? {
        if let number = Int(text) { return number }
        guard let digits = DecimalDigits(text), digits.exponent >= 0, digits.digits.count + digits.exponent <= 19 else {
            return nil
        }
        let whole = digits.digits + Array(repeating: 0x30, count: digits.exponent)
        return Int((digits.isNegative ? "-" : "") + (whole.isEmpty ? "0" : String(decoding: whole, as: UTF8.self)))
    }
    /// The nearest `Double`.
    public var double: Double { Double(text) ?? .nan }
    /// The number with all of its digits; nil when it has more than 38, or is too large.
    public var decimal: Decimal? { Decimal(exactly: text) }

    /// Whether a `Double` represents exactly this number: printed, it has the same digits.
    package var isExactDouble: Bool { DecimalDigits(text) == DecimalDigits("\(double)") }

    /// The digits.
    public var description: String { text }
}

extension Decimal {
    /// The decimal number of some digits; nil for an invalid number, or when digits would be lost.
    package init?(exactly text: String) {
        guard let digits = DecimalDigits(text), let value = Decimal(string: text),
            DecimalDigits("\(value)") == digits
        else { return nil }
        self = value
    }
}

/// A decimal number in one form for each value: `1.10`, `11e-1` and `1.1` are equal.
package struct DecimalDigits: Equatable {
    let isNegative: Bool
    let digits: [UInt8]
    /// The power of ten of the last digit.
    let exponent: Int

    /// - Returns: nil for an invalid number; valid are digits, a point, an exponent.
    package init?(_ text: some StringProtocol) {
        var rest = Substring(text).utf8
        var isNegative = false
        if let sign = rest.first, sign == UInt8(ascii: "-") || sign == UInt8(ascii: "+") {
            isNegative = sign == UInt8(ascii: "-")
            rest.removeFirst()
        }
        var digits: [UInt8] = []
        var exponent = 0
        var hasPoint = false
        var hasDigits = false
        scan: while let byte = rest.popFirst() {
            switch byte {
            case 0x30...0x39:
                hasDigits = true
                if !digits.isEmpty || byte != 0x30 { digits.append(byte) }
                if hasPoint { exponent -= 1 }
            case UInt8(ascii: "."):
                if hasPoint { return nil }
                hasPoint = true
            case UInt8(ascii: "e"), UInt8(ascii: "E"):
                guard let power = Int(Substring(rest)), power.magnitude < 1 << 40 else { return nil }
                exponent += power
                break scan
            default: return nil
            }
        }
        guard hasDigits else { return nil }
        while digits.last == 0x30 {
            digits.removeLast()
            exponent += 1
        }
        self.isNegative = isNegative && !digits.isEmpty
        self.digits = digits
        self.exponent = digits.isEmpty ? 0 : exponent
    }
}
