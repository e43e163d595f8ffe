// Parses a message for display: its fields, its texts, its files. Lenient, since nothing depends on it.

import SkeinCore
import SkeinHTTP

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// A message for display.
package struct ReadMessage: Sendable {
    /// A part with content.
    package struct Part: Sendable {
        package let type: String
        package let name: String?
        package let contentID: String?
        package let charset: String?
        package let bytes: [UInt8]

        /// The bytes as text; UTF-8 unless the charset is Latin-1.
        package var text: String {
            if let charset, ["iso-8859-1", "latin1", "windows-1252"].contains(charset.asciiLowercased) {
                return String(String.UnicodeScalarView(bytes.map { Unicode.Scalar($0) }))
            }
            return String(decoding: bytes, as: UTF8.self)
        }
    }

    private static let partLimit = 200
    private static let depthLimit = 10

    /// The fields, decoded.
    package private(set) var fields: [(name: String, value: String)] = []
    package private(set) var parts: [Part] = []

    /// Reads a message.
    package init(_ content: [UInt8]) {
        let (header, body) = Self.split(content[...])
        fields = RelaxedHeader.fields(Array(header)).map { ($0.name, EncodedWords.decode(Self.unfolded($0.value))) }
        read(header, body, depth: 0)
    }

    /// The value of the first field of a name.
    package subscript(name: String) -> String { fields.first { $0.name.equalsIgnoringCase(name) }?.value ?? "" }

    package var text: Part? { parts.first { $0.type.equalsBytes("text/plain") && $0.name == nil } }
    package var html: Part? { parts.first { $0.type.equalsBytes("text/html") && $0.name == nil } }

    private mutating func read(_ header: ArraySlice<UInt8>, _ body: ArraySlice<UInt8>, depth: Int) {
        let fields = RelaxedHeader.fields(Array(header))
        func field(_ name: String) -> String {
            fields.first { $0.name.equalsIgnoringCase(name) }.map { Self.unfolded($0.value) } ?? ""
        }
        let (value, attributes) = MediaType.split(field("content-type"))
        let type = value.isEmpty ? "text/plain" : value.asciiLowercased
        if type.hasBytePrefix("multipart/"), let boundary = attributes["boundary"], depth < Self.depthLimit {
            for part in Self.parts(body, boundary) where parts.count < Self.partLimit {
                let (header, body) = Self.split(part)
                read(header, body, depth: depth + 1)
            }
            return
        }
        let disposition = MediaType.split(field("content-disposition"))
        let name = Self.parameter("filename", disposition.attributes) ?? Self.parameter("name", attributes)
        let id = field("content-id").trimmingBlanks()
        let bytes: [UInt8] =
            switch field("content-transfer-encoding").trimmingBlanks().asciiLowercased {
            case "base64":
                Data(base64Encoded: Data(body), options: .ignoreUnknownCharacters).map(Array.init) ?? Array(body)
            case "quoted-printable": QuotedPrintable.decode(body)
            default: Array(body)
            }
        parts.append(
            Part(
                type: type, name: name.map(EncodedWords.decode),
                contentID: id.isEmpty ? nil : String(id.droppingBytes(first: 1, last: 1)),
                charset: attributes["charset"], bytes: bytes))
    }

    /// A parameter, which may be split and percent-encoded (RFC 2231).
    private static func parameter(_ name: String, _ attributes: [String: String]) -> String? {
        if let plain = attributes[name] { return plain }
        var text = ""
        for index in 0..<100 {
            guard let part = attributes["\(name)*\(index)*"] ?? attributes["\(name)*\(index)"] else { break }
            text += part
        }
        if text.isEmpty { text = attributes["\(name)*"] ?? "" }
        guard !text.isEmpty else { return nil }
        let words = text.splitBytes(separator: "'", maxSplits: 2, omittingEmptySubsequences: false)
        return String(decoding: Percent.lenientBytes(words.last ?? ""), as: UTF8.self)
    }

    private static func unfolded(_ value: String) -> String {
        String(decoding: value.utf8.filter { $0 != Bytes.cr && $0 != Bytes.lf }, as: UTF8.self).trimmingBlanks()
            .description
    }

    /// The header and the body after the first empty line.
    private static func split(_ part: ArraySlice<UInt8>) -> (ArraySlice<UInt8>, ArraySlice<UInt8>) {
        var start = part.startIndex
        while let end = part[start...].firstIndex(of: Bytes.lf) {
            let line = part[start..<end]
            if line.isEmpty || line.elementsEqual([Bytes.cr]) { return (part[..<start], part[(end + 1)...]) }
            start = end + 1
        }
        return (part, [])
    }

    private static func parts(_ body: ArraySlice<UInt8>, _ boundary: String) -> [ArraySlice<UInt8>] {
        let mark = Array("--\(boundary)".utf8)
        var parts: [ArraySlice<UInt8>] = []
        var begin: Int?
        var start = body.startIndex
        while start < body.endIndex {
            let end = body[start...].firstIndex(of: Bytes.lf) ?? body.endIndex
            let line = body[start..<end]
            if line.starts(with: mark) {
                if let begin {
                    var last = start
                    if last > begin, body[last - 1] == Bytes.lf { last -= 1 }
                    if last > begin, body[last - 1] == Bytes.cr { last -= 1 }
                    parts.append(body[begin..<last])
                }
                if line.dropFirst(mark.count).starts(with: [UInt8(ascii: "-"), UInt8(ascii: "-")]) { return parts }
                begin = min(end + 1, body.endIndex)
            }
            start = end + 1
        }
        if let begin { parts.append(body[begin...]) }
        return parts
    }
}

/// Encoded words (RFC 2047).
enum EncodedWords {
    static func decode(_ text: String) -> String {
        var output: [UInt8] = []
        var rest = text[...]
        var wasWord = false
        while let start = rest.rangeOfBytes("=?") {
            let between = rest[..<start.lowerBound]
            let parts = rest[start.upperBound...].splitBytes(
                separator: "?", maxSplits: 3, omittingEmptySubsequences: false)
            guard parts.count == 4, parts[3].hasBytePrefix("="), let bytes = decoded(parts[1], parts[2]) else {
                output += rest[..<start.upperBound].utf8
                rest = rest[start.upperBound...]
                wasWord = false
                continue
            }
            // Whitespace between two encoded words is only a separator.
            if !wasWord || !between.utf8.allSatisfy({ $0 == Bytes.space || $0 == Bytes.tab }) { output += between.utf8 }
            let isLatin = ["iso-8859-1", "windows-1252"].contains(parts[0].asciiLowercased)
            output += isLatin ? Array(String(String.UnicodeScalarView(bytes.map { Unicode.Scalar($0) })).utf8) : bytes
            rest = parts[3].text(after: parts[3].startIndex)
            wasWord = true
        }
        return String(decoding: output + rest.utf8, as: UTF8.self)
    }

    private static func decoded(_ encoding: Substring, _ text: Substring) -> [UInt8]? {
        switch encoding.asciiLowercased {
        case "b": Data(base64Encoded: String(text)).map(Array.init)
        case "q": QuotedPrintable.decode(Array(text.utf8.map { $0 == UInt8(ascii: "_") ? Bytes.space : $0 })[...])
        default: nil
        }
    }
}

/// Lenient quoted-printable (RFC 2045, section 6.7).
enum QuotedPrintable {
    static func decode(_ bytes: ArraySlice<UInt8>) -> [UInt8] {
        var output: [UInt8] = []
        output.reserveCapacity(bytes.count)
        var index = bytes.startIndex
        while index < bytes.endIndex {
            let byte = bytes[index]
            index += 1
            guard byte == UInt8(ascii: "=") else {
                output.append(byte)
                continue
            }
            if index + 1 < bytes.endIndex, let high = Bytes.hexValue(bytes[index]),
                let low = Bytes.hexValue(bytes[index + 1])
            {
                output.append(UInt8(high << 4 | low))
                index += 2
            } else if index < bytes.endIndex, bytes[index] == Bytes.lf {
                index += 1
            } else if index + 1 < bytes.endIndex, bytes[index] == Bytes.cr, bytes[index + 1] == Bytes.lf {
                index += 2
            } else {
                output.append(byte)
            }
        }
        return output
    }
}
