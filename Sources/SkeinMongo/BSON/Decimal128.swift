// Decimal floating point of 128 bits (IEEE 754-2008, binary integer significand), as text and back
// (https://github.com/mongodb/specifications/blob/master/source/bson-decimal128/decimal128.md).

/// A decimal number with 34 digits.
///
/// It is stored, compared by its bits, and converted to text and back exactly; there is no arithmetic.
public struct Decimal128: Sendable, Hashable {
    let high: UInt64
    let low: UInt64

    private static let bias = 6176
    private static let exponents = -6176...6111
    private static let maximumDigits = 34

    init(high: UInt64, low: UInt64) {
        self.high = high
        self.low = low
    }

    private init(isNegative: Bool, exponent: Int, coefficient: UInt128) {
        high =
            (isNegative ? 1 << 63 : 0) | UInt64(exponent + Self.bias) << 49
            | UInt64(truncatingIfNeeded: coefficient >> 64)
        low = UInt64(truncatingIfNeeded: coefficient)
    }

    /// An integer.
    public init(_ value: Int) {
        self.init(isNegative: value < 0, exponent: 0, coefficient: UInt128(value.magnitude))
    }

    /// Not a number.
    public static let nan = Decimal128(high: 0x7C << 56, low: 0)
    /// Infinity.
    public static let infinity = Decimal128(high: 0x78 << 56, low: 0)

    /// Parses a number: `12.50`, `-1E+3`, `Infinity`, `NaN`.
    /// - Throws: when it is invalid, or cannot be represented exactly.
    public init(_ text: String) throws(BSONError) {
        var rest = text.utf8[...]
        let isNegative = rest.first == UInt8(ascii: "-")
        if isNegative || rest.first == UInt8(ascii: "+") { rest.removeFirst() }
        switch String(rest)?.lowercased() {
        case "nan":
            self = Self.nan
            return
        case "inf", "infinity":
            self.init(high: Self.infinity.high | (isNegative ? 1 << 63 : 0), low: 0)
            return
        default: break
        }
        var digits: [UInt8] = []
        var exponent = 0
        var hasDigits = false
        var isFraction = false
        while let byte = rest.first, byte == UInt8(ascii: ".") || Self.isDigit(byte) {
            rest.removeFirst()
            if byte == UInt8(ascii: ".") {
                guard !isFraction else { throw Self.problem(text) }
                isFraction = true
                continue
            }
            hasDigits = true
            if isFraction { exponent -= 1 }
            if digits.isEmpty, byte == UInt8(ascii: "0") { continue }
            digits.append(byte - UInt8(ascii: "0"))
        }
        guard hasDigits else { throw Self.problem(text) }
        if let mark = rest.first, mark == UInt8(ascii: "e") || mark == UInt8(ascii: "E") {
            rest.removeFirst()
            let unsigned = rest.first == UInt8(ascii: "-") || rest.first == UInt8(ascii: "+") ? rest.dropFirst() : rest
            guard !unsigned.isEmpty, unsigned.allSatisfy(Self.isDigit) else { throw Self.problem(text) }
            // Far out of range in any case.
            let value = Int(String(rest) ?? "") ?? (rest.first == UInt8(ascii: "-") ? -1_000_000 : 1_000_000)
            exponent += max(-1_000_000, min(1_000_000, value))
            rest = rest[rest.endIndex...]
        }
        guard rest.isEmpty else { throw Self.problem(text) }
        try self.init(isNegative: isNegative, digits: digits, exponent: exponent, of: text)
    }

    /// Adjusts the exponent to the valid range, if no digit is lost.
    private init(isNegative: Bool, digits: [UInt8], exponent: Int, of text: String) throws(BSONError) {
        var digits = digits
        var exponent = exponent
        if digits.isEmpty {
            exponent = max(Self.exponents.lowerBound, min(Self.exponents.upperBound, exponent))
        }
        while digits.count > Self.maximumDigits || exponent < Self.exponents.lowerBound {
            guard digits.last == 0 else { throw Self.inexact(text) }
            digits.removeLast()
            exponent += 1
        }
        while exponent > Self.exponents.upperBound {
            guard digits.count < Self.maximumDigits else {
                throw BSONError("\(text) is larger than a decimal128 can be")
            }
            digits.append(0)
            exponent -= 1
        }
        let coefficient = digits.reduce(0 as UInt128) { $0 * 10 + UInt128($1) }
        self.init(isNegative: isNegative, exponent: exponent, coefficient: coefficient)
    }

    private static func isDigit(_ byte: UInt8) -> Bool { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) }
    private static func problem(_ text: String) -> BSONError { BSONError("\(text.debugDescription) is not a number") }
    private static func inexact(_ text: String) -> BSONError {
        BSONError("\(text) has more digits than a decimal128 holds")
    }
}

extension Decimal128: CustomStringConvertible {
    /// The number, with all of its digits and its exponent: `12.50`, `1E+3`.
    public var description: String {
        let sign = high >> 63 == 1 ? "-" : ""
        switch high >> 58 & 0x1F {
        case 0x1F: return "NaN"
        case 0x1E: return sign + "Infinity"
        default: break
        }
        // A coefficient that begins with binary 100 exceeds the maximum, and counts as zero.
        let isLarge = high >> 61 & 3 == 3
        let exponent = Int(high >> (isLarge ? 47 : 49) & 0x3FFF) - Self.bias
        var coefficient = isLarge ? 0 : UInt128(high & 0x1_FFFF_FFFF_FFFF) << 64 | UInt128(low)
        if coefficient >= Self.limit { coefficient = 0 }
        return sign + Self.text(String(coefficient), exponent)
    }

    private static let limit = (0..<maximumDigits).reduce(1 as UInt128) { value, _ in value * 10 }

    private static func text(_ digits: String, _ exponent: Int) -> String {
        let scientific = exponent + digits.count - 1
        guard exponent <= 0, scientific >= -6 else {
            let fraction = digits.dropFirst()
            return
                "\(digits.prefix(1))\(fraction.isEmpty ? "" : ".\(fraction)")E\(scientific < 0 ? "" : "+")\(scientific)"
        }
        if exponent == 0 { return digits }
        let whole = digits.count + exponent
        if whole > 0 { return "\(digits.prefix(whole)).\(digits.dropFirst(whole))" }
        return "0." + String(repeating: "0", count: -whole) + digits
    }
}

extension Decimal128: Codable {
    /// In BSON itself; in other formats, its text.
    public init(from decoder: any Decoder) throws {
        let text = try decoder.singleValueContainer().decode(String.self)
        do { try self.init(text) } catch {
            throw DecodingError.dataCorrupted(
                .init(codingPath: decoder.codingPath, debugDescription: "\(error)", underlyingError: error))
        }
    }

    /// In BSON itself; in other formats, its text.
    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(description)
    }
}
