// BSON as readable JSON that preserves types
// (https://github.com/mongodb/specifications/blob/master/source/extended-json/extended-json.md).

import SkeinCore

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// The style of extended JSON.
public enum ExtendedJSONStyle: Sendable {
    /// Readable: numbers are plain, whatever their type.
    case relaxed
    /// With all types, so that the conversion back is exact.
    case canonical
}

extension Document {
    /// The document as extended JSON, in one line.
    public func extendedJSON(_ style: ExtendedJSONStyle = .relaxed) -> String {
        BSON.document(self).extendedJSON(style)
    }
}

extension BSON {
    /// The value as extended JSON, in one line.
    public func extendedJSON(_ style: ExtendedJSONStyle = .relaxed) -> String {
        var writer = ExtendedJSONWriter(style: style)
        writer.write(self)
        return writer.text
    }
}

private struct ExtendedJSONWriter {
    let style: ExtendedJSONStyle
    var text = ""

    mutating func write(_ value: BSON) {
        switch value {
        case .double(let value) where style == .relaxed && value.isFinite: text += "\(value)"
        case .double(let value): wrap("$numberDouble", value.isFinite ? "\(value)" : Self.name(value))
        case .string(let value): quote(value)
        case .document(let value): object(value)
        case .array(let values):
            text += "["
            for (place, value) in values.enumerated() {
                if place > 0 { text += ", " }
                write(value)
            }
            text += "]"
        case .binary(let value):
            object([
                "$binary": [
                    "base64": .string(Data(value.bytes).base64EncodedString()),
                    "subType": .string(Hex.encode([value.subtype])),
                ]
            ])
        case .undefined: object(["$undefined": true])
        case .objectID(let value): wrap("$oid", "\(value)")
        case .bool(let value): text += value ? "true" : "false"
        case .date(let value):
            if style == .relaxed, let date = ISODate.text(value.milliseconds) {
                wrap("$date", date)
            } else {
                text += "{\"$date\": {\"$numberLong\": \"\(value.milliseconds)\"}}"
            }
        case .null: text += "null"
        case .regex(let value):
            object(["$regularExpression": ["pattern": .string(value.pattern), "options": .string(value.options)]])
        case .dbPointer(let namespace, let id):
            object(["$dbPointer": ["$ref": .string(namespace), "$id": .objectID(id)]])
        case .code(let value): wrap("$code", value)
        case .symbol(let value): wrap("$symbol", value)
        case .codeWithScope(let code, let scope): object(["$code": .string(code), "$scope": .document(scope)])
        case .int32(let value): number("$numberInt", "\(value)")
        case .int64(let value): number("$numberLong", "\(value)")
        case .timestamp(let value):
            text += "{\"$timestamp\": {\"t\": \(value.seconds), \"i\": \(value.increment)}}"
        case .decimal128(let value): wrap("$numberDecimal", "\(value)")
        case .minKey: text += "{\"$minKey\": 1}"
        case .maxKey: text += "{\"$maxKey\": 1}"
        }
    }

    private static func name(_ value: Double) -> String {
        value.isNaN ? "NaN" : value < 0 ? "-Infinity" : "Infinity"
    }

    private mutating func object(_ members: Document) {
        text += "{"
        var isFirst = true
        for (key, value) in members {
            if !isFirst { text += ", " }
            isFirst = false
            quote(key)
            text += ": "
            write(value)
        }
        text += "}"
    }

    private mutating func wrap(_ name: String, _ value: String) { object([name: .string(value)]) }

    private mutating func number(_ name: String, _ digits: String) {
        if style == .relaxed { text += digits } else { wrap(name, digits) }
    }

    private mutating func quote(_ value: String) { text += JSONText.string(value) }
}
