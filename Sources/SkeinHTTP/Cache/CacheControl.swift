// The directives of Cache-Control (RFC 9111, section 5.2), and targeted ones for shared caches alone (RFC 9213).

import SkeinCore
import SkeinWire

/// The directives of a Cache-Control field, of a request or of a response.
struct CacheControl {
    private var directives: [String: String] = [:]
    /// Whether the field was targeted at shared caches: other fields about freshness are ignored then (RFC 9213,
    /// section 2.1).
    private(set) var isTargeted = false

    /// The directives of a request, or the untargeted ones of a response.
    init(_ headers: Headers) {
        if headers.isEmpty { return }
        for field in headers.values("Cache-Control") {
            var scanner = FieldScanner(field)
            while !scanner.isAtEnd {
                scanner.skip(" ,\t")
                let name = scanner.token().lowercased()
                guard !name.isEmpty else {
                    scanner.skipOne()
                    continue
                }
                let value = scanner.take("=") ? scanner.value() : ""
                // Of two that contradict each other, the first counts; the stricter ones are names without a value.
                if directives[name] == nil { directives[name] = value }
            }
        }
        if directives.isEmpty, headers["Pragma"]?.lowercased().containsBytes("no-cache") == true {
            directives["no-cache"] = ""
        }
    }

    /// The directives of a response for a cache.
    init(response headers: Headers, isShared: Bool) {
        let targeted = isShared && headers.contains("CDN-Cache-Control")
        if targeted, let said = StructuredDictionary(headers.values("CDN-Cache-Control").joined(separator: ",")) {
            self.init([:])
            isTargeted = true
            for (name, value) in said.members {
                switch value {
                case .integer(let number): directives[name] = String(number)
                case .boolean(let isSet): if isSet { directives[name] = "" }
                case .other: directives[name] = "?"
                }
            }
        } else {
            self.init(headers)
        }
    }

    func contains(_ name: String) -> Bool { directives[name] != nil }

    /// Whether a directive applies to the whole response, and not only to some fields.
    func isPlain(_ name: String) -> Bool { directives[name]?.isEmpty == true }

    /// Seconds; a value that is not a number counts as absent, which is the safe reading (section 4.2.1).
    func seconds(_ name: String) -> Double? {
        guard let value = directives[name] else { return nil }
        guard !value.isEmpty, value.utf8.allSatisfy(Bytes.isDigit) else { return 0 }
        return min(Double(value) ?? 0, Double(Int32.max))
    }
}

/// A dictionary of structured fields (RFC 9651, section 3.2), limited to the syntax that directives need.
struct StructuredDictionary {
    enum Value: Equatable {
        case integer(Int)
        case boolean(Bool)
        /// A value that no known directive uses.
        case other
    }

    /// The members in order; of two with one name, the last counts.
    private(set) var members: [(name: String, value: Value)] = []

    /// Nil when the field is malformed.
    init?(_ field: String) {
        var rest = Substring(field).utf8
        func skipBlanks(_ blanks: StaticString) {
            rest = rest.drop { byte in blanks.withUTF8Buffer { $0.contains(byte) } }
        }
        func key() -> String? {
            guard let first = rest.first, Self.isLower(first) || first == UInt8(ascii: "*") else { return nil }
            let word = rest.prefix { Self.isLower($0) || Bytes.isDigit($0) || "_-.*".utf8.contains($0) }
            rest = rest[word.endIndex...]
            return String(Substring(word))
        }
        func bare() -> Value? {
            guard let first = rest.first else { return nil }
            switch first {
            case UInt8(ascii: "-"), UInt8(ascii: "0")...UInt8(ascii: "9"):
                let word = rest.prefix { Bytes.isDigit($0) || $0 == UInt8(ascii: "-") || $0 == UInt8(ascii: ".") }
                rest = rest[word.endIndex...]
                let text = String(Substring(word))
                if text.containsBytes(".") { return Double(text) == nil || text.hasByteSuffix(".") ? nil : .other }
                return text.utf8.count <= 16 ? Int(text).map { .integer($0) } : nil
            case UInt8(ascii: "\""):
                rest = rest.dropFirst()
                while let byte = rest.popFirst() {
                    if byte == UInt8(ascii: "\"") { return .other }
                    if byte == UInt8(ascii: "\\") {
                        guard let next = rest.popFirst(), next == UInt8(ascii: "\"") || next == byte else { return nil }
                    } else if byte < 0x20 || byte > 0x7E {
                        return nil
                    }
                }
                return nil
            case UInt8(ascii: "?"):
                rest = rest.dropFirst()
                guard let digit = rest.popFirst(), digit == 0x30 || digit == 0x31 else { return nil }
                return .boolean(digit == 0x31)
            case UInt8(ascii: ":"):
                rest = rest.dropFirst()
                guard let end = rest.firstIndex(of: UInt8(ascii: ":")) else { return nil }
                rest = rest[rest.index(after: end)...]
                return .other
            case UInt8(ascii: "*"), UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"):
                let word = rest.prefix { Bytes.isToken($0) || $0 == UInt8(ascii: ":") || $0 == UInt8(ascii: "/") }
                rest = rest[word.endIndex...]
                return .other
            default: return nil
            }
        }
        func skipParameters() -> Bool {
            while rest.first == UInt8(ascii: ";") {
                rest = rest.dropFirst()
                skipBlanks(" ")
                guard key() != nil else { return false }
                if rest.first == UInt8(ascii: "=") {
                    rest = rest.dropFirst()
                    guard bare() != nil else { return false }
                }
            }
            return true
        }
        skipBlanks(" ")
        guard !rest.isEmpty else { return nil }
        while true {
            guard let name = key() else { return nil }
            var value = Value.boolean(true)
            if rest.first == UInt8(ascii: "=") {
                rest = rest.dropFirst()
                if rest.first == UInt8(ascii: "(") {
                    guard let end = rest.firstIndex(of: UInt8(ascii: ")")) else { return nil }
                    rest = rest[rest.index(after: end)...]
                    value = .other
                } else {
                    guard let item = bare() else { return nil }
                    value = item
                }
            }
            guard skipParameters() else { return nil }
            members.removeAll { $0.name == name }
            members.append((name, value))
            skipBlanks(" \t")
            guard let comma = rest.popFirst() else { return }
            guard comma == UInt8(ascii: ",") else { return nil }
            skipBlanks(" \t")
        }
    }

    private static func isLower(_ byte: UInt8) -> Bool { byte &- UInt8(ascii: "a") < 26 }
}
