// Extended JSON: parsed with its types, in document order.

import SkeinCore

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

extension Document {
    /// Parses extended JSON, canonical or relaxed: `{"_id": {"$oid": "…"}, "age": {"$gte": 18}}`.
    /// - Throws: the error, with its position.
    public init(extendedJSON text: String) throws(BSONError) {
        guard case .document(let document) = try BSON(extendedJSON: text) else {
            throw BSONError("the text is not a document: it does not begin with {")
        }
        self = document
    }
}

extension BSON {
    /// Parses a value of extended JSON.
    /// - Throws: the error, with its position.
    public init(extendedJSON text: String) throws(BSONError) {
        let tree: JSONValue
        do {
            tree = try JSONValue(json: text)
        } catch {
            throw BSONError("the JSON is malformed at \(error); names and strings need double quotes")
        }
        self = try ExtendedJSONReader.value(tree, depth: 0)
    }
}

private enum ExtendedJSONReader {
    static func value(_ json: JSONValue, depth: Int) throws(BSONError) -> BSON {
        guard depth <= BSONValidator.maximumDepth else { throw BSONError("the JSON is nested too deep") }
        switch json {
        case .null: return .null
        case .bool(let value): return .bool(value)
        case .string(let text): return .string(text)
        case .number(let number): return try self.number(number)
        case .array(let elements):
            var values: [BSON] = []
            values.reserveCapacity(elements.count)
            for element in elements { values.append(try value(element, depth: depth + 1)) }
            return .array(values)
        case .object(let members):
            var values: [(String, BSON)] = []
            values.reserveCapacity(members.count)
            for (name, member) in members {
                guard !name.utf8.contains(0) else { throw BSONError("a field name holds a NUL") }
                values.append((name, try value(member, depth: depth + 1)))
            }
            return try ExtendedJSONForm.value(values) ?? .document(Document(pairs: values))
        }
    }

    private static func number(_ number: JSONNumber) throws(BSONError) -> BSON {
        if let whole = number.int { return BSON(whole) }
        guard number.text.utf8.contains(where: { ".eE".utf8.contains($0) }) else {
            throw BSONError(
                "\(number) is not a 64-bit integer; write {\"$numberDecimal\": \"\(number)\"}, or \(number).0 for a double"
            )
        }
        return .double(number.double)
    }
}

/// Objects that represent a value of another type: `{"$oid": "…"}`.
private enum ExtendedJSONForm {
    /// The value; nil for a regular document.
    static func value(_ members: [(String, BSON)]) throws(BSONError) -> BSON? {
        guard let (name, value) = members.first, name.hasBytePrefix("$") else { return nil }
        if name == "$code" || name == "$scope" { return try code(members) }
        guard let read = forms[name] else { return nil }
        guard members.count == 1, let result = try read(value) else {
            throw BSONError("\(BSON.document(Document(pairs: members))) is not a valid value of its type")
        }
        return result
    }

    private static func code(_ members: [(String, BSON)]) throws(BSONError) -> BSON {
        let document = Document(pairs: members)
        if let code = document["$code"]?.string {
            if members.count == 1 { return .code(code) }
            if members.count == 2, let scope = document["$scope"]?.document { return .codeWithScope(code, scope) }
        }
        throw BSONError("\(document) is not valid code")
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
            return value.string.flatMap { ISODate.milliseconds($0) }.map { .date(BSONDate(milliseconds: $0)) }
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
