// The documents of XML-RPC calls and responses.

import NIOCore
import SkeinCore
import SkeinHTTP

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// Encodes and parses the documents of XML-RPC.
enum XMLRPCCodec {
    // MARK: Writing

    /// - Throws: code 701 for a character that XML cannot express (XML 1.0, section 2.2).
    static func call(_ method: String, _ arguments: [XMLRPCValue]) throws(SkeinError) -> String {
        try check(method)
        for argument in arguments { try check(argument) }
        let parameters = arguments.map { "<param>\(text($0))</param>" }.joined()
        return document("methodCall", "<methodName>\(escaped(method))</methodName><params>\(parameters)</params>")
    }

    static func answer(_ result: Result<XMLRPCValue, RPCFault>) -> String {
        do throws(SkeinError) {
            switch result {
            case .success(let value):
                try check(value)
                return document("methodResponse", "<params><param>\(text(value))</param></params>")
            case .failure(let fault):
                try check(fault.message)
                return document("methodResponse", "<fault>\(text(Self.value(of: fault)))</fault>")
            }
        } catch {
            let fault = RPCFault(-32603, error.message)
            return document("methodResponse", "<fault>\(text(Self.value(of: fault)))</fault>")
        }
    }

    static func value(of fault: RPCFault) -> XMLRPCValue {
        .structure(["faultCode": .integer(fault.code), "faultString": .string(fault.message)])
    }

    private static func check(_ value: XMLRPCValue) throws(SkeinError) {
        switch value {
        case .string(let text): try check(text)
        case .array(let elements): for element in elements { try check(element) }
        case .structure(let members):
            for (name, member) in members {
                try check(name)
                try check(member)
            }
        default: break
        }
    }

    private static func check(_ text: String) throws(SkeinError) {
        let stranger = text.unicodeScalars.first { scalar in
            scalar.value < 0x20 && ![0x09, 0x0A, 0x0D].contains(scalar.value)
                || (0xFFFE...0xFFFF).contains(scalar.value)
        }
        guard let stranger else { return }
        throw SkeinError(
            .exception,
            because:
                "XML cannot represent the character U+\(String(stranger.value, radix: 16, uppercase: true)); send bytes"
        )
    }

    private static func document(_ name: String, _ content: String) -> String {
        "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<\(name)>\(content)</\(name)>"
    }

    private static func text(_ value: XMLRPCValue) -> String {
        let inner =
            switch value {
            case .none: "<nil/>"
            case .bool(let truth): "<boolean>\(truth ? 1 : 0)</boolean>"
            case .integer(let number):
                Int32(exactly: number) == nil ? "<i8>\(number)</i8>" : "<int>\(number)</int>"
            case .double(let number): "<double>\(number)</double>"
            case .string(let text): "<string>\(escaped(text))</string>"
            case .date(let date): "<dateTime.iso8601>\(XMLRPCDate.text(date))</dateTime.iso8601>"
            case .bytes(let bytes): "<base64>\(Data(bytes).base64EncodedString())</base64>"
            case .array(let elements): "<array><data>\(elements.map { text($0) }.joined())</data></array>"
            case .structure(let members):
                "<struct>"
                    + members.sorted { $0.key < $1.key }.map { name, value in
                        "<member><name>\(escaped(name))</name>\(text(value))</member>"
                    }.joined() + "</struct>"
            }
        return "<value>\(inner)</value>"
    }

    private static func escaped(_ text: String) -> String {
        Markup.escape(text)
            .replacingBytes("\r", with: "&#13;")
    }

    // MARK: Reading

    static func readCall(_ content: ByteBuffer) throws(SkeinError) -> (method: String, arguments: [XMLRPCValue]) {
        let root = try XMLValue(content)
        guard root.name == "methodCall", let method = root["methodName"]?.text, !method.isEmpty else {
            throw malformed("it is not a methodCall with a methodName")
        }
        return (method, try arguments(root["params"]))
    }

    static func readAnswer(_ root: XMLValue) throws(SkeinError) -> Result<XMLRPCValue, RPCFault> {
        guard root.name == "methodResponse" else { throw malformed("it is not a methodResponse") }
        if let fault = root["fault"] {
            guard let element = fault["value"] else { throw malformed("the fault has no value") }
            let value = try Self.value(element)
            guard let said = Self.fault(value) else { throw malformed("the fault has no faultCode and faultString") }
            return .failure(said)
        }
        let results = try arguments(root["params"])
        guard results.count <= 1 else { throw malformed("it has more than one result") }
        return .success(results.first ?? .none)
    }

    static func fault(_ value: XMLRPCValue) -> RPCFault? {
        guard let code = value["faultCode"]?.integer, let message = value["faultString"]?.string else { return nil }
        return RPCFault(code, message)
    }

    private static func arguments(_ params: XMLValue?) throws(SkeinError) -> [XMLRPCValue] {
        var values: [XMLRPCValue] = []
        for param in params?.all("param") ?? [] {
            guard let element = param["value"] else { throw malformed("a parameter has no value") }
            values.append(try value(element))
        }
        return values
    }

    private static func value(_ element: XMLValue) throws(SkeinError) -> XMLRPCValue {
        guard let inner = element.children.first else { return .string(element.text) }  // default type
        let text = inner.text
        let word = text.trimmingCharacters(in: .whitespacesAndNewlines)
        switch inner.name {
        case "string": return .string(text)
        case "int", "i4", "i8", "i2", "i1", "ex:i8":
            guard let number = Int(word) else {
                throw malformed("\(word.prefix(40).debugDescription) is not an integer")
            }
            return .integer(number)
        case "boolean":
            guard word == "0" || word == "1" else {
                throw malformed("\(word.prefix(40).debugDescription) is not a boolean")
            }
            return .bool(word == "1")
        case "double", "float":
            guard let number = Double(word) else {
                throw malformed("\(word.prefix(40).debugDescription) is not a double")
            }
            return .double(number)
        case "dateTime.iso8601":
            guard let date = XMLRPCDate.date(word) else {
                throw malformed("\(word.prefix(40).debugDescription) is not a date")
            }
            return .date(date)
        case "base64":
            let packed = String(word.filter { !$0.isWhitespace })
            guard let data = Data(base64Encoded: packed) else { throw malformed("a base64 value is malformed") }
            return .bytes(Array(data))
        case "nil", "ex:nil": return .none
        case "array":
            var elements: [XMLRPCValue] = []
            for child in inner["data"]?.all("value") ?? [] { elements.append(try value(child)) }
            return .array(elements)
        case "struct":
            var members: [String: XMLRPCValue] = [:]
            for member in inner.all("member") {
                guard let name = member["name"]?.text, let child = member["value"] else {
                    throw malformed("a member has no name or no value")
                }
                members[name] = try value(child)
            }
            return .structure(members)
        default: throw malformed("the type \(inner.name) is unknown")
        }
    }

    private static func malformed(_ why: String) -> SkeinError {
        SkeinError(.invalidContent, because: "the content is not XML-RPC: \(why)")
    }
}

/// Dates in the format of XML-RPC: `19980717T14:08:55`.
enum XMLRPCDate {
    static func text(_ date: Date) -> String {
        // The year has four digits.
        let seconds = min(max(date.timeIntervalSince1970.rounded(.down), -62_135_596_800), 253_402_300_799)
        let time = CivilTime(Int(seconds.isNaN ? 0 : seconds))
        return "\(time.date.text.replacingBytes("-", with: ""))T\(time.clock)"
    }

    /// With or without the hyphens of ISO 8601, and with or without a Z.
    static func date(_ text: String) -> Date? {
        let digits = text.filter { !"-:".contains($0) }
        let parts = (digits.hasByteSuffix("Z") ? digits.dropLast() : digits[...]).splitBytes(separator: "T")
        guard parts.count == 2, parts[0].count == 8, parts[1].count == 6, let day = Int(parts[0]),
            let time = Int(parts[1])
        else { return nil }
        let date = CivilDate(year: Int64(day / 10000), month: day / 100 % 100, day: day % 100)
        guard date.exists, time / 10000 < 24, time / 100 % 100 < 60, time % 100 < 61 else { return nil }
        let seconds = time / 10000 * 3600 + time / 100 % 100 * 60 + time % 100
        return Date(timeIntervalSince1970: Double(Int(date.days) * 86_400 + seconds))
    }
}
