// Untyped XML, for inspecting responses.

import NIOCore
import SkeinCore
import SkeinWire

/// An element of an XML document, with its contents.
///
/// Names keep their prefixes. Comments and processing instructions are left out.
public struct XMLValue: Sendable, Hashable {
    /// A child of an element.
    public enum Node: Sendable, Hashable {
        case element(XMLValue)
        case text(String)
    }

    /// The name, with its prefix.
    public let name: String
    /// The attributes.
    public internal(set) var attributes: [String: String] = [:]
    /// Elements and texts, in order.
    public internal(set) var nodes: [Node] = []

    init(name: String) { self.name = name }

    /// The child elements.
    public var children: [XMLValue] {
        nodes.compactMap { if case .element(let element) = $0 { element } else { nil } }
    }

    /// All texts in it and its descendants, concatenated.
    public var text: String {
        nodes.map { node in
            switch node {
            case .text(let text): text
            case .element(let element): element.text
            }
        }.joined()
    }

    /// The first child element of a name, or nil.
    public subscript(name: String) -> XMLValue? { children.first { $0.name.equalsBytes(name) } }

    /// The child elements of a name.
    public func all(_ name: String) -> [XMLValue] { children.filter { $0.name.equalsBytes(name) } }

    /// The root of a document.
    ///
    /// A document type declaration is refused, since entities allow expansion attacks and access to local files.
    /// - Parameters:
    ///   - text: the document.
    ///   - maximumDepth: the maximum nesting of elements.
    /// - Throws: code 709 with the position, when it is not well-formed, too deep, or declares a document type.
    public init(_ text: String, maximumDepth: Int = 100) throws(SkeinError) {
        var parser = XMLReader(text, maximumDepth: maximumDepth)
        self = try parser.document()
    }

    /// The root of an encoded document. Its charset is taken from its byte order mark, else from the content type, else
    /// from its declaration, else it is UTF-8 (RFC 7303, section 3).
    /// - Parameter contentType: the content type of the bytes, if any.
    /// - Throws: code 709, as above, and when the charset is unknown or the bytes are invalid in it.
    public init(_ bytes: ByteBuffer, contentType: String? = nil, maximumDepth: Int = 100) throws(SkeinError) {
        try self.init(MediaType.xmlText(bytes, contentType: contentType), maximumDepth: maximumDepth)
    }
}

/// Parses a document (Extensible Markup Language 1.0, fifth edition), limited to the parts that data needs.
private struct XMLReader {
    private let bytes: [UInt8]
    private let maximumDepth: Int
    private var place = 0

    init(_ text: String, maximumDepth: Int) {
        bytes = Array(text.utf8)
        self.maximumDepth = maximumDepth
    }

    mutating func document() throws(SkeinError) -> XMLValue {
        try skipMisc()
        guard bytes.indices.contains(place), bytes[place] == UInt8(ascii: "<") else {
            throw fault("expected an element")
        }
        let root = try elements()
        try skipMisc()
        guard place == bytes.count else { throw fault("data follows the root element") }
        return root
    }

    private func fault(_ what: String) -> SkeinError {
        let line = bytes.prefix(place).count { $0 == Bytes.lf } + 1
        return SkeinError(.invalidContent, because: "the content is not well-formed XML: \(what) (line \(line))")
    }

    // MARK: Elements

    /// An element with its contents, without recursion, so that depth needs no stack.
    private mutating func elements() throws(SkeinError) -> XMLValue {
        var open: [XMLValue] = []
        while true {
            var closed: XMLValue?
            if take("</") {
                let name = try self.name()
                skipBlanks()
                guard take(">"), let last = open.popLast(), last.name.equalsBytes(name) else {
                    throw fault("</\(name)> has no start tag")
                }
                closed = last
            } else if take("<!--") {
                try skip(past: "-->")
            } else if take("<![CDATA[") {
                let start = place
                try skip(past: "]]>")
                Self.append(String(decoding: bytes[start..<place - 3], as: UTF8.self), to: &open)
            } else if take("<?") {
                try skip(past: "?>")
            } else if take("<") {
                let (element, isEmpty) = try startTag()
                if isEmpty {
                    closed = element
                } else {
                    guard open.count < maximumDepth else {
                        throw fault("elements are nested more than \(maximumDepth) levels deep")
                    }
                    open.append(element)
                }
            } else {
                let text = try self.text(until: UInt8(ascii: "<"))
                guard !open.isEmpty, place < bytes.count else { throw fault("the document ends too early") }
                Self.append(text, to: &open)
            }
            guard let closed else { continue }
            if open.isEmpty { return closed }
            open[open.count - 1].nodes.append(.element(closed))
        }
    }

    private static func append(_ text: String, to open: inout [XMLValue]) {
        guard !text.isEmpty, !open.isEmpty else { return }
        let last = open.count - 1
        if case .text(var whole)? = open[last].nodes.last {
            // Removed first, so that the text is extended in place and not copied.
            open[last].nodes.removeLast()
            whole += text
            open[last].nodes.append(.text(whole))
        } else {
            open[last].nodes.append(.text(text))
        }
    }

    /// A start tag, between `<` and `>`.
    private mutating func startTag() throws(SkeinError) -> (XMLValue, isEmpty: Bool) {
        var element = XMLValue(name: try name())
        while true {
            let before = place
            skipBlanks()
            if take("/>") { return (element, true) }
            if take(">") { return (element, false) }
            guard place > before else { throw fault("expected a space before an attribute") }
            let name = try self.name()
            skipBlanks()
            guard take("=") else { throw fault("the attribute \(name) has no value") }
            skipBlanks()
            guard place < bytes.count, bytes[place] == UInt8(ascii: "\"") || bytes[place] == UInt8(ascii: "'") else {
                throw fault("the value of \(name) is not quoted")
            }
            let quote = bytes[place]
            place += 1
            let value = try text(until: quote, forbidden: UInt8(ascii: "<"))
            guard place < bytes.count else { throw fault("the value of \(name) has no closing quotation mark") }
            place += 1
            guard element.attributes.updateValue(value, forKey: name) == nil else {
                throw fault("the attribute \(name) occurs twice")
            }
        }
    }

    // MARK: Words

    private mutating func name() throws(SkeinError) -> String {
        let start = place
        while place < bytes.count, Self.isName(bytes[place], isFirst: place == start) { place += 1 }
        guard place > start else { throw fault("a name is missing") }
        return String(decoding: bytes[start..<place], as: UTF8.self)
    }

    private static func isName(_ byte: UInt8, isFirst: Bool) -> Bool {
        byte >= 0x80 || Bytes.lowercased(byte) &- 0x61 < 26 || byte == UInt8(ascii: "_") || byte == Bytes.colon
            || !isFirst && (Bytes.isDigit(byte) || byte == UInt8(ascii: "-") || byte == UInt8(ascii: "."))
    }

    /// Text with its references resolved, up to a byte or the end.
    private mutating func text(until end: UInt8, forbidden: UInt8? = nil) throws(SkeinError) -> String {
        var text: [UInt8] = []
        while place < bytes.count, bytes[place] != end {
            let byte = bytes[place]
            place += 1
            switch byte {
            case forbidden: throw fault("an attribute value holds a <")
            case UInt8(ascii: "&"): text += try reference()
            case Bytes.cr:  // every end of a line is one LF (section 2.11)
                if place == bytes.count || bytes[place] != Bytes.lf { text.append(Bytes.lf) }
            case 0..<0x20 where byte != Bytes.tab && byte != Bytes.lf: throw fault("unexpected control character")
            default: text.append(byte)
            }
        }
        return String(decoding: text, as: UTF8.self)
    }

    private mutating func reference() throws(SkeinError) -> [UInt8] {
        guard let end = bytes[place...].prefix(12).firstIndex(of: UInt8(ascii: ";")) else {
            throw fault("an & does not begin a reference")
        }
        let name = String(decoding: bytes[place..<end], as: UTF8.self)
        place = end + 1
        switch name {
        case "amp": return [UInt8(ascii: "&")]
        case "lt": return [UInt8(ascii: "<")]
        case "gt": return [UInt8(ascii: ">")]
        case "quot": return [UInt8(ascii: "\"")]
        case "apos": return [UInt8(ascii: "'")]
        default:
            let number =
                name.hasBytePrefix("#x")
                ? UInt32(name.dropFirst(2), radix: 16)
                : name.hasBytePrefix("#") ? UInt32(name.dropFirst(1)) : nil
            guard let scalar = number.flatMap(Unicode.Scalar.init),
                scalar.value >= 0x20 || [9, 10, 13].contains(scalar.value)
            else { throw fault("&\(name); is not known") }
            return Array(String(scalar).utf8)
        }
    }

    // MARK: Between

    /// Skips declaration, comments, instructions and whitespace outside of the root.
    private mutating func skipMisc() throws(SkeinError) {
        while true {
            skipBlanks()
            if take("<?") {
                try skip(past: "?>")
            } else if take("<!--") {
                try skip(past: "-->")
            } else if take("<!") {
                throw fault("document type declarations are not supported")
            } else {
                return
            }
        }
    }

    private mutating func skipBlanks() {
        while place < bytes.count, [Bytes.space, Bytes.tab, Bytes.cr, Bytes.lf].contains(bytes[place]) { place += 1 }
    }

    private mutating func take(_ text: StaticString) -> Bool {
        let found = text.withUTF8Buffer { bytes[place...].starts(with: $0) }
        if found { place += text.utf8CodeUnitCount }
        return found
    }

    private mutating func skip(past end: StaticString) throws(SkeinError) {
        while place < bytes.count {
            if take(end) { return }
            place += 1
        }
        throw fault("the document ends too early")
    }
}
