// JSON as people write it, with the types that it names, in the order in which it stands there.

import SkeinCore

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

extension Document {
    /// Reads extended JSON, canonical or relaxed: `{"_id": {"$oid": "…"}, "age": {"$gte": 18}}`.
    /// - Throws: what is wrong with it, and where.
    public init(extendedJSON text: String) throws(BSONError) {
        guard case .document(let document) = try BSON(extendedJSON: text) else {
            throw BSONError("the text is no document: it does not begin with {")
        }
        self = document
    }
}

extension BSON {
    /// Reads a value of extended JSON.
    /// - Throws: what is wrong with it, and where.
    public init(extendedJSON text: String) throws(BSONError) {
        var reader = ExtendedJSONReader(text)
        self = try reader.whole()
    }
}

private struct ExtendedJSONReader {
    private let bytes: [UInt8]
    private var position = 0

    init(_ text: String) { bytes = Array(text.utf8) }

    private func problem(_ what: String) -> BSONError {
        BSONError("the JSON is malformed at byte \(position): \(what)")
    }

    mutating func whole() throws(BSONError) -> BSON {
        let result = try value(depth: 0)
        skipBlanks()
        guard position == bytes.count else { throw problem("something follows its end") }
        return result
    }

    private mutating func skipBlanks() {
        while position < bytes.count, [0x20, 0x09, 0x0A, 0x0D].contains(bytes[position]) { position += 1 }
    }

    private mutating func takes(_ byte: Unicode.Scalar) -> Bool {
        skipBlanks()
        guard position < bytes.count, bytes[position] == UInt8(ascii: byte) else { return false }
        position += 1
        return true
    }

    private mutating func value(depth: Int) throws(BSONError) -> BSON {
        guard depth <= BSONValidator.maximumDepth else { throw problem("it is nested too deep") }
        skipBlanks()
        guard position < bytes.count else { throw problem("it ends where a value should stand") }
        switch bytes[position] {
        case UInt8(ascii: "{"): return try object(depth)
        case UInt8(ascii: "["):
            position += 1
            var values: [BSON] = []
            if takes("]") { return .array(values) }
            repeat { values.append(try value(depth: depth + 1)) } while takes(",")
            guard takes("]") else { throw problem("a list is not closed by ]") }
            return .array(values)
        case UInt8(ascii: "\""): return .string(try string())
        case UInt8(ascii: "t") where word("true"): return true
        case UInt8(ascii: "f") where word("false"): return false
        case UInt8(ascii: "n") where word("null"): return .null
        default: return try number()
        }
    }

    private mutating func word(_ text: StaticString) -> Bool {
        let wanted = UnsafeBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount)
        guard bytes[position...].starts(with: wanted) else { return false }
        position += wanted.count
        return true
    }

    private mutating func number() throws(BSONError) -> BSON {
        let end = bytes[position...].firstIndex { !"+-.eE0123456789".utf8.contains($0) } ?? bytes.count
        let text = String(decoding: bytes[position..<end], as: UTF8.self)
        guard text.wholeMatch(of: #/-?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?/#) != nil else {
            throw problem("here is no value; names and texts stand in double quotes")
        }
        position = end
        if let whole = Int(text) { return BSON(whole) }
        guard let value = Double(text) else { throw problem("\(text) is no number") }
        return .double(value)
    }

    private mutating func string() throws(BSONError) -> String {
        position += 1
        var text: [UInt8] = []
        while position < bytes.count {
            let byte = bytes[position]
            position += 1
            switch byte {
            case UInt8(ascii: "\""):
                guard let text = String(validating: text, as: UTF8.self) else { throw problem("a text is no UTF-8") }
                return text
            case UInt8(ascii: "\\"): try escape(into: &text)
            case 0..<0x20: throw problem("a text has a control character")
            default: text.append(byte)
            }
        }
        throw problem("a text has no end")
    }

    private mutating func escape(into text: inout [UInt8]) throws(BSONError) {
        guard position < bytes.count else { throw problem("a text has no end") }
        let byte = bytes[position]
        position += 1
        switch byte {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): text.append(byte)
        case UInt8(ascii: "b"): text.append(0x08)
        case UInt8(ascii: "f"): text.append(0x0C)
        case UInt8(ascii: "n"): text.append(0x0A)
        case UInt8(ascii: "r"): text.append(0x0D)
        case UInt8(ascii: "t"): text.append(0x09)
        case UInt8(ascii: "u"):
            var code = try unit()
            if (0xD800..<0xDC00).contains(code), bytes[position...].starts(with: "\\u".utf8) {
                position += 2
                let low = try unit()
                guard (0xDC00..<0xE000).contains(low) else { throw problem("half a character stands alone") }
                code = 0x10000 + (code - 0xD800) << 10 + (low - 0xDC00)
            }
            guard let scalar = Unicode.Scalar(code) else { throw problem("half a character stands alone") }
            text.append(contentsOf: Character(scalar).utf8)
        default: throw problem("there is no such escape")
        }
    }

    private mutating func unit() throws(BSONError) -> UInt32 {
        let digits = bytes[position...].prefix(4)
        guard digits.count == 4, digits.allSatisfy(\.isHexDigit),
            let value = UInt32(String(decoding: digits, as: UTF8.self), radix: 16)
        else { throw problem("\\u is followed by four hexadecimal digits") }
        position += 4
        return value
    }

    private mutating func object(_ depth: Int) throws(BSONError) -> BSON {
        position += 1
        var members: [(String, BSON)] = []
        if !takes("}") {
            repeat {
                skipBlanks()
                guard position < bytes.count, bytes[position] == UInt8(ascii: "\"") else {
                    throw problem("a name stands in double quotes")
                }
                let key = try string()
                guard !key.utf8.contains(0) else { throw problem("a name has no NUL") }
                guard takes(":") else { throw problem("a : stands behind a name") }
                members.append((key, try value(depth: depth + 1)))
            } while takes(",")
            guard takes("}") else { throw problem("a document is not closed by }") }
        }
        if let special = try ExtendedJSONForm.value(members) { return special }
        return .document(Document(pairs: members))
    }
}

/// Objects that stand for a value of another type: `{"$oid": "…"}`.
private enum ExtendedJSONForm {
    /// The value; nil when it is a document like any other.
    static func value(_ members: [(String, BSON)]) throws(BSONError) -> BSON? {
        guard let (name, value) = members.first, name.hasBytePrefix("$") else { return nil }
        if name == "$code" || name == "$scope" { return try code(members) }
        guard let read = forms[name] else { return nil }
        guard members.count == 1, let result = try read(value) else {
            throw BSONError("\(BSON.document(Document(pairs: members))) is no value of its type")
        }
        return result
    }

    private static func code(_ members: [(String, BSON)]) throws(BSONError) -> BSON {
        let document = Document(pairs: members)
        if let code = document["$code"]?.string {
            if members.count == 1 { return .code(code) }
            if members.count == 2, let scope = document["$scope"]?.document { return .codeWithScope(code, scope) }
        }
        throw BSONError("\(document) is no code")
    }

    private typealias Form = @Sendable (BSON) throws(BSONError) -> BSON?

    private static let forms: [String: Form] = [
        "$oid": { value throws(BSONError) in value.string.flatMap(ObjectID.init).map(BSON.objectID) },
        "$symbol": { value throws(BSONError) in value.string.map(BSON.symbol) },
        "$numberInt": { value throws(BSONError) in value.string.flatMap { Int32($0) }.map(BSON.int32) },
        "$numberLong": { value throws(BSONError) in value.string.flatMap { Int64($0) }.map(BSON.int64) },
        "$numberDouble": { value throws(BSONError) in value.string.flatMap(double).map(BSON.double) },
        "$numberDecimal": { value throws(BSONError) in
            guard let text = value.string else { return nil }
            return .decimal128(try Decimal128(text))
        },
        "$binary": { value throws(BSONError) in binary(value) },
        "$uuid": { value throws(BSONError) in
            value.string.flatMap { $0.utf8.count == 36 ? UUID(uuidString: $0) : nil }.map { BSON($0) }
        },
        "$date": { value throws(BSONError) in
            if case .int64(let milliseconds) = value { return .date(BSONDate(milliseconds: milliseconds)) }
            return value.string.flatMap(ISODate.milliseconds).map { .date(BSONDate(milliseconds: $0)) }
        },
        "$timestamp": { value throws(BSONError) in
            guard let parts = value.document, parts.count == 2,
                let seconds = parts["t"]?.int.flatMap(UInt32.init(exactly:)),
                let increment = parts["i"]?.int.flatMap(UInt32.init(exactly:))
            else { return nil }
            return .timestamp(BSONTimestamp(seconds: seconds, increment: increment))
        },
        "$regularExpression": { value throws(BSONError) in
            guard let parts = value.document, parts.count == 2, let pattern = parts["pattern"]?.string,
                let options = parts["options"]?.string, !(pattern + options).utf8.contains(0)
            else { return nil }
            return .regex(BSONRegex(pattern, options: options))
        },
        "$dbPointer": { value throws(BSONError) in
            guard let parts = value.document, parts.count == 2, let name = parts["$ref"]?.string,
                let id = parts["$id"]?.objectID
            else { return nil }
            return .dbPointer(namespace: name, id)
        },
        "$undefined": { value throws(BSONError) in value.bool == true ? .undefined : nil },
        "$minKey": { value throws(BSONError) in value.int == 1 ? .minKey : nil },
        "$maxKey": { value throws(BSONError) in value.int == 1 ? .maxKey : nil },
    ]

    private static func double(_ text: String) -> Double? {
        switch text {
        case "NaN": .nan
        case "Infinity": .infinity
        case "-Infinity": -.infinity
        default: text.utf8.contains { $0 == UInt8(ascii: "x") || $0 == UInt8(ascii: "n") } ? nil : Double(text)
        }
    }

    private static func binary(_ value: BSON) -> BSON? {
        guard let parts = value.document, parts.count == 2, let digits = parts["subType"]?.string,
            (1...2).contains(digits.utf8.count), let subtype = UInt8(digits, radix: 16),
            let data = parts["base64"]?.string.flatMap({ Data(base64Encoded: $0) })
        else { return nil }
        return .binary(BSONBinary(data, subtype: subtype))
    }
}
