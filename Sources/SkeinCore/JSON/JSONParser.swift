// A strict JSON parser (RFC 8259): ambiguous documents are refused.

/// An error in a document, with its position.
public struct JSONError: Error, Hashable, Sendable, CustomStringConvertible {
    /// The error.
    public let message: String
    /// The byte offset where it was detected, from 0.
    public let offset: Int

    /// `byte 3: a comma before the end of an array`
    public var description: String { "byte \(offset): \(message)" }
}

/// A parser for the bytes of one document.
struct JSONParser {
    /// The maximum nesting of arrays and objects.
    private static let maximumDepth = 512

    private let bytes: UnsafeBufferPointer<UInt8>
    /// Whether values are made, or only checked.
    private let makesValues: Bool
    private var place = 0
    private var depth = 0

    /// The value of a document.
    static func value(of document: some Collection<UInt8>) throws(JSONError) -> JSONValue {
        try read(document, makesValues: true)
    }

    /// Checks whether a document is well-formed.
    static func check(_ document: some Collection<UInt8>) throws(JSONError) {
        _ = try read(document, makesValues: false)
    }

    private static func read(
        _ document: some Collection<UInt8>, makesValues: Bool
    ) throws(JSONError) -> JSONValue {
        func parse(_ bytes: UnsafeBufferPointer<UInt8>) -> Result<JSONValue, JSONError> {
            var parser = JSONParser(bytes: bytes, makesValues: makesValues)
            return Result { () throws(JSONError) in try parser.document() }
        }
        if let result = document.withContiguousStorageIfAvailable(parse) { return try result.get() }
        return try Array(document).withUnsafeBufferPointer(parse).get()
    }

    private init(bytes: UnsafeBufferPointer<UInt8>, makesValues: Bool) {
        self.bytes = bytes
        self.makesValues = makesValues
    }

    private func malformed(_ message: String, at offset: Int? = nil) -> JSONError {
        JSONError(message: message, offset: offset ?? place)
    }

    private mutating func document() throws(JSONError) -> JSONValue {
        if bytes.starts(with: [0xEF, 0xBB, 0xBF]) { throw malformed("the document begins with a byte order mark") }
        skipBlanks()
        let value = try self.value()
        skipBlanks()
        guard place == bytes.count else { throw malformed("data follows the document") }
        return value
    }

    private mutating func skipBlanks() {
        while place < bytes.count {
            switch bytes[place] {
            case 0x20, 0x0A, 0x0D, 0x09: place += 1
            default: return
            }
        }
    }

    private mutating func value() throws(JSONError) -> JSONValue {
        guard place < bytes.count else { throw malformed("the document ends where a value is expected") }
        switch bytes[place] {
        case UInt8(ascii: "\""): return .string(try string())
        case UInt8(ascii: "{"): return try nested { parser throws(JSONError) in try parser.object() }
        case UInt8(ascii: "["): return try nested { parser throws(JSONError) in try parser.array() }
        case UInt8(ascii: "-"), 0x30...0x39: return try number()
        case UInt8(ascii: "t"): return try word("true", .bool(true))
        case UInt8(ascii: "f"): return try word("false", .bool(false))
        case UInt8(ascii: "n"): return try word("null", .null)
        case UInt8(ascii: "]"), UInt8(ascii: "}"): throw malformed("a comma precedes a closing bracket")
        default: throw malformed("this is not a JSON value")
        }
    }

    private mutating func word(_ word: StaticString, _ value: JSONValue) throws(JSONError) -> JSONValue {
        let count = word.utf8CodeUnitCount
        guard place + count <= bytes.count,
            (0..<count).allSatisfy({ bytes[place + $0] == word.utf8Start[$0] })
        else { throw malformed("this is not a JSON value") }
        place += count
        return value
    }

    private mutating func nested(
        _ read: (inout JSONParser) throws(JSONError) -> JSONValue
    ) throws(JSONError) -> JSONValue {
        guard depth < Self.maximumDepth else {
            throw malformed("arrays and objects are nested more than \(Self.maximumDepth) levels deep")
        }
        depth += 1
        place += 1
        skipBlanks()
        let value = try read(&self)
        depth -= 1
        return value
    }

    /// After an element: whether another one follows.
    private mutating func isFollowed(until end: Unicode.Scalar) throws(JSONError) -> Bool {
        skipBlanks()
        guard place < bytes.count else { throw malformed("the document ends before a \(end)") }
        if bytes[place] == UInt8(ascii: end) {
            place += 1
            return false
        }
        guard bytes[place] == UInt8(ascii: ",") else { throw malformed("expected a comma or a \(end)") }
        place += 1
        skipBlanks()
        return true
    }

    private mutating func array() throws(JSONError) -> JSONValue {
        if place < bytes.count, bytes[place] == UInt8(ascii: "]") {
            place += 1
            return .array([])
        }
        var elements: [JSONValue] = []
        repeat {
            let element = try value()
            if makesValues { elements.append(element) }
        } while try isFollowed(until: "]")
        return .array(elements)
    }

    private mutating func object() throws(JSONError) -> JSONValue {
        if place < bytes.count, bytes[place] == UInt8(ascii: "}") {
            place += 1
            return .object(JSONObject())
        }
        var members = JSONObject()
        repeat {
            guard place < bytes.count, bytes[place] == UInt8(ascii: "\"") else {
                throw malformed("expected a name in quotation marks")
            }
            let start = place
            let name = try string(isName: true)
            guard members.place(of: name) == nil else {
                throw malformed("the name \(name.debugDescription) occurs twice in one object", at: start)
            }
            skipBlanks()
            guard place < bytes.count, bytes[place] == UInt8(ascii: ":") else {
                throw malformed("expected a colon after the name")
            }
            place += 1
            skipBlanks()
            members.append(name, try value())
        } while try isFollowed(until: "}")
        return .object(members)
    }

    private mutating func number() throws(JSONError) -> JSONValue {
        let start = place
        if bytes[place] == UInt8(ascii: "-") { place += 1 }
        let whole = skipDigits()
        guard whole > 0 else { throw malformed("expected a digit") }
        guard whole == 1 || bytes[place - whole] != 0x30 else {
            throw malformed("a number must not begin with 0", at: start)
        }
        var mayBeHuge = whole > 308
        if place < bytes.count, bytes[place] == UInt8(ascii: ".") {
            place += 1
            guard skipDigits() > 0 else { throw malformed("expected a digit after the decimal point") }
        }
        if place < bytes.count, bytes[place] | 0x20 == UInt8(ascii: "e") {
            mayBeHuge = true
            place += 1
            if place < bytes.count, bytes[place] == UInt8(ascii: "+") || bytes[place] == UInt8(ascii: "-") {
                place += 1
            }
            guard skipDigits() > 0 else { throw malformed("expected a digit in the exponent") }
        }
        guard makesValues || mayBeHuge else { return .null }
        let text = String(decoding: bytes[start..<place], as: UTF8.self)
        if mayBeHuge, !(Double(text) ?? .infinity).isFinite {
            throw malformed("the number \(text.prefix(40)) is larger than a double can hold", at: start)
        }
        return .number(JSONNumber(checked: text))
    }

    private mutating func skipDigits() -> Int {
        let start = place
        while place < bytes.count, (0x30...0x39).contains(bytes[place]) { place += 1 }
        return place - start
    }

    /// A string, starting at its first quotation mark.
    private mutating func string(isName: Bool = false) throws(JSONError) -> String {
        place += 1
        let start = place
        while place < bytes.count {
            switch bytes[place] {
            case UInt8(ascii: "\""):
                let text = bytes[start..<place]
                place += 1
                guard makesValues || isName else { return "" }
                return try self.text(text, at: start)
            case UInt8(ascii: "\\"): return try escaped(from: start, isWanted: makesValues || isName)
            case 0..<0x20: throw malformed("a string holds a control character that is not escaped")
            default: place += 1
            }
        }
        throw malformed("a string has no closing quotation mark")
    }

    private func text(_ bytes: Slice<UnsafeBufferPointer<UInt8>>, at start: Int) throws(JSONError) -> String {
        guard let text = String(validating: UnsafeBufferPointer(rebasing: bytes), as: UTF8.self) else {
            throw malformed("a string is not UTF-8", at: start)
        }
        return text
    }

    /// A string that begins at a position and has its first escape here.
    private mutating func escaped(from start: Int, isWanted: Bool) throws(JSONError) -> String {
        var text: [UInt8] = isWanted ? Array(bytes[start..<place]) : []
        while place < bytes.count {
            let byte = bytes[place]
            switch byte {
            case UInt8(ascii: "\""):
                place += 1
                guard isWanted else { return "" }
                guard let whole = String(validating: text, as: UTF8.self) else {
                    throw malformed("a string is not UTF-8", at: start)
                }
                return whole
            case UInt8(ascii: "\\"): try escape(into: &text)
            case 0..<0x20: throw malformed("a string holds a control character that is not escaped")
            default:
                text.append(byte)
                place += 1
            }
        }
        throw malformed("a string has no closing quotation mark")
    }

    private mutating func escape(into text: inout [UInt8]) throws(JSONError) {
        let start = place
        guard place + 1 < bytes.count else { throw malformed("a string has no closing quotation mark") }
        place += 2
        switch bytes[place - 1] {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): text.append(bytes[place - 1])
        case UInt8(ascii: "b"): text.append(0x08)
        case UInt8(ascii: "f"): text.append(0x0C)
        case UInt8(ascii: "n"): text.append(0x0A)
        case UInt8(ascii: "r"): text.append(0x0D)
        case UInt8(ascii: "t"): text.append(0x09)
        case UInt8(ascii: "u"):
            let first = try unit(at: start)
            var scalar = UInt32(first)
            if (0xD800..<0xDC00).contains(first), place + 1 < bytes.count, bytes[place] == UInt8(ascii: "\\"),
                bytes[place + 1] == UInt8(ascii: "u")
            {
                place += 2
                let second = try unit(at: start)
                guard (0xDC00..<0xE000).contains(second) else { throw loneSurrogate(first, start) }
                scalar = 0x10000 + (UInt32(first) - 0xD800) << 10 + (UInt32(second) - 0xDC00)
            }
            guard let scalar = Unicode.Scalar(scalar) else { throw loneSurrogate(first, start) }
            text += UTF8.encode(scalar).map(Array.init) ?? []
        default: throw malformed("the escape sequence is unknown", at: start)
        }
    }

    private func loneSurrogate(_ unit: UInt16, _ start: Int) -> JSONError {
        malformed("the lone surrogate \\u\(String(unit, radix: 16)) is not a character", at: start)
    }

    private mutating func unit(at start: Int) throws(JSONError) -> UInt16 {
        guard place + 4 <= bytes.count else { throw malformed("\\u needs four digits", at: start) }
        let digits = String(decoding: bytes[place..<(place + 4)], as: UTF8.self)
        guard let value = UInt16(digits, radix: 16),
            digits.utf8.allSatisfy({ $0 != UInt8(ascii: "+") && $0 != UInt8(ascii: "-") })
        else {
            throw malformed("\\u needs four digits", at: start)
        }
        place += 4
        return value
    }
}
