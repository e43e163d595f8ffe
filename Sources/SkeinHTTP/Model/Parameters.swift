// Names and values in a query or a form.

import SkeinWire

/// Names with values in order, a name as often as it is needed; encoded as a form (WHATWG URL, application/x-www-form-urlencoded).
public struct Parameters: Sendable, Hashable, ExpressibleByDictionaryLiteral {
    private var pairs: [Pair] = []

    private struct Pair: Hashable {
        let name: String
        let value: String
    }

    /// None.
    public init() {}

    /// Names and values from a literal, in order. A list gives the name once an element: `["id": [1, 2]]`.
    public init(dictionaryLiteral elements: (String, any ParameterValue)...) {
        for (name, value) in elements { add(name, value) }
    }

    /// Appends a name with its value or values.
    public mutating func add(_ name: String, _ value: any ParameterValue) {
        for text in value.parameterTexts { pairs.append(Pair(name: name, value: text)) }
    }

    /// Whether there is none.
    public var isEmpty: Bool { pairs.isEmpty }

    /// The form-encoded text: `a=1&b=two+words`.
    public var encoded: String {
        pairs.map { "\(Percent.encodeForm($0.name))=\(Percent.encodeForm($0.value))" }.joined(separator: "&")
    }
}

/// What can be a parameter: text, numbers, truth, and lists of them.
public protocol ParameterValue: Sendable {
    /// The value as text; more than one for a list.
    var parameterTexts: [String] { get }
}

extension String: ParameterValue {
    /// The text itself.
    public var parameterTexts: [String] { [self] }
}
extension Int: ParameterValue {
    /// The decimal digits.
    public var parameterTexts: [String] { [String(self)] }
}
extension Double: ParameterValue {
    /// The shortest decimal form.
    public var parameterTexts: [String] { [String(self)] }
}
extension Bool: ParameterValue {
    /// `true` or `false`.
    public var parameterTexts: [String] { [String(self)] }
}
extension Array: ParameterValue where Element: ParameterValue {
    /// The texts of the elements.
    public var parameterTexts: [String] { flatMap(\.parameterTexts) }
}

/// Percent-encoding (RFC 3986, section 2.1).
package enum Percent {
    /// Encodes what a request target cannot hold: everything but visible ASCII.
    package static func encodeUnsafe(_ text: String) -> String { encode(text) { Bytes.isTarget($0) } }

    /// Encodes bytes above ASCII, whatever charset they were meant in; the others stay.
    static func encodeNonASCII(_ bytes: some Collection<UInt8>) -> String { encode(bytes) { $0 < 0x80 } }

    /// Encodes a form's name or value; a space becomes `+`.
    static func encodeForm(_ text: String) -> String {
        encode(text) { byte in
            Bytes.isDigit(byte) || Bytes.lowercased(byte) &- 0x61 < 26 || byte == UInt8(ascii: "-")
                || byte == UInt8(ascii: ".") || byte == UInt8(ascii: "_") || byte == UInt8(ascii: "*")
                || byte == UInt8(ascii: " ")
        }.replacingBytes(" ", with: "+")
    }

    /// Encodes everything but letters, digits and `-._~` (RFC 3986, section 2.3).
    package static func encodeUnreserved(_ text: String) -> String { encode(text, isUnreserved) }

    /// The same of bytes.
    package static func encodeUnreserved(_ bytes: [UInt8]) -> String { encode(bytes, isUnreserved) }

    /// Encodes a path for a signature: like ``encodeUnreserved(_:)``, but the slashes stay.
    package static func encodePath(_ text: String) -> String {
        encode(text) { isUnreserved($0) || $0 == UInt8(ascii: "/") }
    }

    /// Letters, digits and `-._~`, which mean themselves however they are written (RFC 3986, section 2.3).
    package static func isUnreserved(_ byte: UInt8) -> Bool {
        Bytes.isDigit(byte) || Bytes.lowercased(byte) &- 0x61 < 26
            || [UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "_"), UInt8(ascii: "~")].contains(byte)
    }

    /// The names and values of a query or a form, in order. What is not well encoded stays as it is.
    package static func decodeForm(_ text: some StringProtocol) -> [(String, String)] {
        text.splitBytes(separator: "&").map { pair in
            let parts = pair.splitBytes(separator: "=", maxSplits: 1, omittingEmptySubsequences: false).map { part in
                let plain = String(part).replacingBytes("+", with: " ")
                return decode(plain) ?? plain
            }
            return (parts[0], parts.count > 1 ? parts[1] : "")
        }
    }

    /// Undoes the encoding, or nil when a `%` is not followed by two digits or the bytes are not UTF-8.
    package static func decode(_ text: some StringProtocol) -> String? {
        bytes(text).flatMap { String(validating: $0, as: UTF8.self) }
    }

    /// Undoes the encoding, or nil when a `%` is not followed by two digits.
    package static func bytes(_ text: some StringProtocol) -> [UInt8]? {
        var bytes: [UInt8] = []
        var rest = text.utf8.makeIterator()
        while let byte = rest.next() {
            guard byte == UInt8(ascii: "%") else {
                bytes.append(byte)
                continue
            }
            guard let high = rest.next().flatMap(Bytes.hexValue), let low = rest.next().flatMap(Bytes.hexValue) else {
                return nil
            }
            bytes.append(UInt8(high << 4 | low))
        }
        return bytes
    }

    private static func encode(_ text: String, _ isSafe: (UInt8) -> Bool) -> String {
        encode(text.utf8, isSafe)
    }

    private static func encode(_ text: some Collection<UInt8>, _ isSafe: (UInt8) -> Bool) -> String {
        let digits = Array("0123456789ABCDEF".utf8)
        var bytes: [UInt8] = []
        bytes.reserveCapacity(text.count + 16)
        for byte in text {
            if isSafe(byte) {
                bytes.append(byte)
            } else {
                bytes += [UInt8(ascii: "%"), digits[Int(byte >> 4)], digits[Int(byte & 15)]]
            }
        }
        return String(decoding: bytes, as: UTF8.self)
    }
}
