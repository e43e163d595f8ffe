// The pattern of a route's path: literal segments, typed parameters, wildcards.

import SkeinCore
import SkeinHTTP
import SkeinWire

/// The type of a path parameter.
enum ParameterKind: String, CaseIterable {
    case int, uuid, float, string

    /// Whether a percent-encoded segment has the type.
    func accepts(_ bytes: UnsafeRawBufferPointer) -> Bool {
        guard !bytes.isEmpty else { return false }
        switch self {
        case .string: return true
        case .int:
            return Int(String(decoding: bytes, as: UTF8.self)).map { _ in bytes[0] != UInt8(ascii: "+") } ?? false
        case .float:
            return bytes.allSatisfy { Bytes.isDigit($0) || $0 == UInt8(ascii: ".") || $0 == UInt8(ascii: "-") }
                && Double(String(decoding: bytes, as: UTF8.self)) != nil
        case .uuid:
            guard bytes.count == 36 else { return false }
            return bytes.enumerated().allSatisfy { index, byte in
                [8, 13, 18, 23].contains(index) ? byte == UInt8(ascii: "-") : Bytes.hexValue(byte) != nil
            }
        }
    }
}

/// The segments of a route's path.
struct RoutePattern {
    enum Segment: Equatable {
        case literal([UInt8])
        case parameter(String, ParameterKind)
        /// One segment without a name.
        case any
        /// The rest of the path, slashes included; may be empty.
        case rest(String)

        var isLiteral: Bool { if case .literal = self { true } else { false } }
    }

    let segments: [Segment]
    /// The parameters in path order.
    let names: [String]

    /// Parses `/posts/<int:id>/files/<path:name>`, `/a/*` or `/a/**`.
    /// - Throws: code 701 with the error in the pattern.
    init(_ text: String) throws(SkeinError) {
        func refuse(_ reason: String) -> SkeinError {
            SkeinError(.exception, because: "the route \(text.debugDescription) is not valid: \(reason)")
        }
        guard text.hasBytePrefix("/") else { throw refuse("it must begin with a slash") }
        var segments: [Segment] = []
        var names: [String] = []
        let parts = text.dropFirst().splitBytes(separator: "/", omittingEmptySubsequences: false)
        for (index, part) in parts.enumerated() {
            let isLast = index == parts.count - 1
            if part.hasBytePrefix(":") || part.hasBytePrefix("{") {
                let name = part.utf8.dropFirst().prefix { Bytes.isToken($0) && $0 != UInt8(ascii: "}") }
                throw refuse("write a parameter as <\(Substring(name))>")
            }
            if part == "*" {
                segments.append(.any)
            } else if part == "**" {
                guard isLast else { throw refuse("** matches the rest of the path and must be last") }
                segments.append(.rest(""))
                names.append("")
            } else if part.hasBytePrefix("<") {
                guard part.hasByteSuffix(">") else {
                    throw refuse("a parameter must be a whole segment: <name> or <int:name>")
                }
                let words = part.dropFirst().dropLast().splitBytes(separator: ":", omittingEmptySubsequences: false)
                guard let name = words.last, words.count <= 2, !name.isEmpty else {
                    throw refuse("a parameter is <name> or <int:name>")
                }
                let kind = words.count == 2 ? String(words[0]) : "string"
                guard !names.contains(String(name)) else { throw refuse("it has two parameters \(name)") }
                names.append(String(name))
                if kind == "path" {
                    guard isLast else { throw refuse("<path:\(name)> must be last") }
                    segments.append(.rest(String(name)))
                } else if let kind = ParameterKind(rawValue: kind) {
                    segments.append(.parameter(String(name), kind))
                } else {
                    throw refuse("the kinds of parameters are string, int, float, uuid and path")
                }
            } else {
                let normal = try RequestPath.normalise("/" + part)
                segments.append(.literal(Array(normal.readableBytesView.dropFirst())))
            }
        }
        self.segments = segments
        self.names = names
    }

    /// A path that matches this pattern.
    /// - Throws: code 701 when a parameter is missing.
    func path(_ parameters: [String: any ParameterValue]) throws(SkeinError) -> String {
        var path = ""
        for segment in segments {
            path += "/"
            switch segment {
            case .literal(let bytes): path += String(decoding: bytes, as: UTF8.self)
            case .any: throw SkeinError(.exception, because: "a path with * cannot be built from parameters")
            case .parameter(let name, _), .rest(let name):
                guard let value = parameters[name]?.parameterTexts.first else {
                    throw SkeinError(.exception, because: "the path needs the parameter \(name)")
                }
                let isRest = if case .rest = segment { true } else { false }
                path += isRest ? Percent.encodePath(value) : Percent.encodeUnreserved(value)
            }
        }
        return path
    }
}
