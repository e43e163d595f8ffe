// Values in text format: those of scripts, and those with parts of any type.

import SkeinCore
import SkeinSQL

/// Parses the output format of PostgreSQL's types.
enum PostgresTextReader {
    /// A text as a value; nil when it stays text.
    static func value(_ text: String, _ type: UInt32) -> SQLValue? {
        if let form = PostgresType.textForm(type) {
            var parser = PostgresTextParser(text)
            return parser.value(form)
        }
        switch PostgresType.format(type) {
        case .bool?: return text == "t" ? .bool(true) : text == "f" ? .bool(false) : nil
        case .int2?, .int4?, .int8?, .oid?: return Int64(text).map { .integer($0) }
        case .float4?, .float8?: return Double(text == "NaN" ? "nan" : text).map { .double($0) }
        case .numeric?: return .numeric(text)
        case .json?, .jsonb?: return .json(text)
        default: return nil
        }
    }
}

/// Parses the text of an array or a record (PostgreSQL's manual, sections 8.15.2 and 8.16.6).
struct PostgresTextParser {
    private let bytes: [UInt8]
    private var place = 0

    init(_ text: String) { bytes = Array(text.utf8) }

    /// The whole text as a value; nil when it has another form, such as an array with lower bounds.
    mutating func value(_ form: PostgresTextForm) -> SQLValue? {
        let value: SQLValue?
        switch form {
        case .record: value = record()
        case .array(let element): value = array(element, depth: 1)
        }
        return place == bytes.count ? value : nil
    }

    private var next: UInt8? { place < bytes.count ? bytes[place] : nil }

    private mutating func take(_ character: Unicode.Scalar) -> Bool {
        guard next == UInt8(ascii: character) else { return false }
        place += 1
        return true
    }

    private mutating func record() -> SQLValue? {
        guard take("(") else { return nil }
        var fields: [SQLValue] = []
        repeat {
            let isEmpty = next == UInt8(ascii: ",") || next == UInt8(ascii: ")")
            fields.append(isEmpty ? .null : .text(word(until: "),").text))
        } while take(",")
        return take(")") ? .record(fields) : nil
    }

    private mutating func array(_ element: PostgresTextForm?, depth: Int) -> SQLValue? {
        // The server supports six dimensions.
        guard depth <= 6, take("{") else { return nil }
        var elements: [SQLValue] = []
        if take("}") { return .array([]) }
        repeat {
            if next == UInt8(ascii: "{") {
                guard let inner = array(element, depth: depth + 1) else { return nil }
                elements.append(inner)
                continue
            }
            let (text, isQuoted) = word(until: "},")
            if !isQuoted, text == "NULL" {
                elements.append(.null)
            } else if let element {
                var parser = PostgresTextParser(text)
                guard let value = parser.value(element) else { return nil }
                elements.append(value)
            } else {
                elements.append(.text(text))
            }
        } while take(",")
        return take("}") ? .array(elements) : nil
    }

    /// A part, unquoted and unescaped; a doubled quotation mark inside of quotes is one.
    private mutating func word(until ends: String) -> (text: String, isQuoted: Bool) {
        var word: [UInt8] = []
        var isInside = false
        var isQuoted = false
        while let byte = next, isInside || !ends.utf8.contains(byte) {
            place += 1
            switch byte {
            case UInt8(ascii: "\\"):
                if let escaped = next {
                    word.append(escaped)
                    place += 1
                }
            case UInt8(ascii: "\""):
                if isInside, next == byte {
                    word.append(byte)
                    place += 1
                } else {
                    isInside.toggle()
                    isQuoted = true
                }
            default: word.append(byte)
            }
        }
        return (String(decoding: word, as: UTF8.self), isQuoted)
    }
}

extension PostgresText {
    /// PostgreSQL's text for an array written in JSON; nil when the text is not such an array.
    static func array(fromJSON text: String) -> String? {
        guard text.trimmingBlanks().hasBytePrefix("["), let elements = (try? JSONValue(json: text))?.elements else {
            return nil
        }
        return SQLValue.array(elements.map(element)).description
    }

    private static func element(_ value: JSONValue) -> SQLValue {
        switch value {
        case .null: .null
        case .bool(let value): .bool(value)
        case .number(let number): .numeric(number.text)
        case .string(let text): .text(text)
        case .array(let elements): .array(elements.map(element))
        case .object: .json(value.json)
        }
    }
}
