// The challenges of a WWW-Authenticate field (RFC 9110, section 11.6.1).

import SkeinCore
import SkeinWire

/// One challenge: a scheme with its parameters.
package struct Challenge: Equatable {
    package let scheme: String
    package var parameters: [String: String] = [:]

    /// The challenges of a response's fields, in order. Malformed ones are left out.
    static func all(in headers: Headers, field: String = "WWW-Authenticate") -> [Challenge] {
        // A challenge with control characters could not be repeated in the answer to it, and is left out.
        headers.values(field).flatMap { parse($0) }.filter { challenge in
            !challenge.parameters.values.contains { $0.utf8.contains { $0 < 0x20 || $0 == 0x7F } }
        }
    }

    package static func parse(_ field: String) -> [Challenge] {
        var challenges: [Challenge] = []
        var scanner = FieldScanner(field)
        while !scanner.isAtEnd {
            scanner.skip(" ,\t")
            let word = scanner.token()
            guard !word.isEmpty else {
                scanner.skipOne()
                continue
            }
            scanner.skip(" \t")
            if scanner.take("="), !challenges.isEmpty {
                scanner.skip(" \t")
                challenges[challenges.count - 1].parameters[word.lowercased()] = scanner.value()
            } else {
                challenges.append(Challenge(scheme: word.lowercased()))
                // The other form of a challenge: one token68 value, which no supported scheme uses.
            }
        }
        return challenges
    }
}

/// Walks over a field value.
struct FieldScanner {
    private var rest: Substring.UTF8View

    init(_ text: String) { rest = text[...].utf8 }

    var isAtEnd: Bool { rest.isEmpty }

    mutating func skip(_ letters: StaticString) {
        rest = rest.drop { byte in letters.withUTF8Buffer { $0.contains(byte) } }
    }

    mutating func skipOne() { _ = rest.popFirst() }

    mutating func take(_ letter: Unicode.Scalar) -> Bool {
        guard rest.first == UInt8(ascii: letter) else { return false }
        rest.removeFirst()
        return true
    }

    mutating func token() -> String {
        let word = rest.prefix(while: Bytes.isToken)
        rest = rest[word.endIndex...]
        return String(Substring(word))
    }

    /// A token, which ends at the first character that is not allowed in one, or a quoted string.
    mutating func tokenOrQuoted() -> String { rest.first == UInt8(ascii: "\"") ? value() : token() }

    /// A word up to a comma or blank, or a quoted string.
    mutating func value() -> String {
        guard take("\"") else {
            let word = rest.prefix { $0 != UInt8(ascii: ",") && $0 != UInt8(ascii: " ") && $0 != Bytes.tab }
            rest = rest[word.endIndex...]
            return String(Substring(word))
        }
        var bytes: [UInt8] = []
        while let byte = rest.popFirst(), byte != UInt8(ascii: "\"") {
            bytes.append(byte == UInt8(ascii: "\\") ? rest.popFirst() ?? byte : byte)
        }
        return String(decoding: bytes, as: UTF8.self)
    }
}
