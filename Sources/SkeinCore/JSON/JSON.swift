// JSON encoding and decoding: strict when reading, and in the order of the types' members when writing.

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// The one JSON codec of all modules.
package enum JSON {
    /// A value of a document.
    /// - Throws: ``JSONError`` when the document is not JSON, `DecodingError` when it does not fit the type.
    package static func decode<T: Decodable>(_ type: T.Type, from document: some Collection<UInt8>) throws -> T {
        if let type = type as? any TreeOfJSON.Type, let value = try type.made(of: document) as? T { return value }
        // The library's decoder accepts trailing commas, and takes the first of two members with one name.
        try JSONParser.check(document)
        return try JSONDecoder().decode(type, from: Data(document))
    }

    /// The document of a value.
    /// - Throws: `EncodingError`.
    package static func encode(_ value: some Encodable) throws -> [UInt8] {
        var output: [UInt8] = []
        JSONWriter.write(try tree(of: value), to: &output)
        return output
    }

    /// The tree of a value.
    /// - Throws: `EncodingError`.
    package static func tree(of value: some Encodable) throws -> JSONValue {
        try TreeEncoder<JSONValue>.value(of: value, path: [])
    }
}

/// Types that are converted from a document without a decoder, so that no digit is lost.
private protocol TreeOfJSON {
    static func made(of document: some Collection<UInt8>) throws -> Self
}

extension JSONValue: TreeOfJSON {
    static func made(of document: some Collection<UInt8>) throws -> JSONValue { try JSONParser.value(of: document) }
}

extension Array: TreeOfJSON where Element == JSONValue {
    static func made(of document: some Collection<UInt8>) throws -> [JSONValue] {
        let value = try JSONParser.value(of: document)
        guard let elements = value.elements else {
            throw DecodingError.typeMismatch(
                Self.self, .init(codingPath: [], debugDescription: "the value is not an array"))
        }
        return elements
    }
}

extension Dictionary: TreeOfJSON where Key == String, Value == JSONValue {
    static func made(of document: some Collection<UInt8>) throws -> [String: JSONValue] {
        let value = try JSONParser.value(of: document)
        guard let members = value.members else {
            throw DecodingError.typeMismatch(
                Self.self, .init(codingPath: [], debugDescription: "the value is not an object"))
        }
        return try members.dictionary { $0 }
    }
}

extension JSONValue: EncodedTree {
    package static func leaf(_ value: any Encodable, path: [any CodingKey]) throws -> JSONValue? {
        func number(_ value: some BinaryFloatingPoint & CustomStringConvertible) throws -> JSONValue {
            guard let number = JSONNumber(value) else {
                throw EncodingError.invalidValue(
                    value, .init(codingPath: path, debugDescription: "JSON cannot represent \(value)"))
            }
            return .number(number)
        }
        switch value {
        case let value as String: return .string(value)
        case let value as Int: return .integer(value)
        case let value as Double: return try number(value)
        case let value as Bool: return .bool(value)
        case let value as JSONValue: return value
        case let value as Float: return try number(value)
        case let value as Int64: return .integer(value)
        case let value as Int32: return .integer(value)
        case let value as UInt64: return .integer(value)
        case let value as UInt8: return .integer(value)
        case let value as UInt: return .integer(value)
        case let value as UInt32: return .integer(value)
        case let value as Int16: return .integer(value)
        case let value as UInt16: return .integer(value)
        case let value as Int8: return .integer(value)
        case let value as Decimal:
            guard let number = JSONNumber("\(value)") else {
                throw EncodingError.invalidValue(
                    value, .init(codingPath: path, debugDescription: "JSON cannot represent \(value)"))
            }
            return .number(number)
        case let value as Data: return .string(value.base64EncodedString())
        case let value as URL: return .string(value.absoluteString)
        default: return nil
        }
    }

    package static func tree(_ elements: [JSONValue]) -> JSONValue { .array(elements) }
    package static func tree(_ members: [(String, JSONValue)], path: [any CodingKey]) -> JSONValue {
        .object(JSONObject(members))
    }
}

/// Writes documents.
enum JSONWriter {
    static func write(_ value: JSONValue, to output: inout [UInt8]) {
        switch value {
        case .null: output += "null".utf8
        case .bool(let value): output += value ? "true".utf8 : "false".utf8
        case .number(let value): output += value.text.utf8
        case .string(let text): JSONText.write(text, to: &output)
        case .array(let elements):
            output.append(UInt8(ascii: "["))
            for (place, element) in elements.enumerated() {
                if place > 0 { output.append(UInt8(ascii: ",")) }
                write(element, to: &output)
            }
            output.append(UInt8(ascii: "]"))
        case .object(let members):
            output.append(UInt8(ascii: "{"))
            for (place, member) in members.enumerated() {
                if place > 0 { output.append(UInt8(ascii: ",")) }
                JSONText.write(member.name, to: &output)
                output.append(UInt8(ascii: ":"))
                write(member.value, to: &output)
            }
            output.append(UInt8(ascii: "}"))
        }
    }
}
