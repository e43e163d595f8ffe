// A header section: one buffer, and the ranges of names and values in it. Parsed sections refer to the received bytes,
// built ones to bytes in wire form; strings are made on demand.

import NIOCore
import SkeinCore

/// The fields of a message's header or trailer section (RFC 9110, section 5), in order, names compared without case.
///
/// An invalid field (a name that is not a token, a value with CR, LF, NUL or another control byte) is recorded, and the
/// message is refused with an error before any of it is written.
public struct Headers: Sendable {
    /// The position of one field in ``bytes``, relative to its reader index.
    package struct Field: Sendable {
        package var name: UInt32
        package var value: UInt32
        package var valueLength: UInt32
        package var nameLength: UInt16
        package var known: KnownFields
    }

    package private(set) var bytes: ByteBuffer
    package private(set) var fields: [Field]
    /// The known names that occur; names not in this set need no search.
    package private(set) var known: KnownFields
    /// Whether ``bytes`` is exactly the section in wire form, so that it can be sent by one copy.
    private var isWireForm: Bool
    /// Whether a value may be invalid UTF-8.
    private var mayHoldOtherBytes = false
    private var fault: Fault?

    /// The reason why the section cannot be sent: the first invalid field of an application.
    package private(set) var problem: HeaderProblem? {
        get { fault?.problem }
        set { fault = newValue.map(Fault.init) }
    }

    /// In a box: most sections have no problem, and every copy would carry this field.
    private final class Fault: Sendable {
        let problem: HeaderProblem

        init(_ problem: HeaderProblem) { self.problem = problem }
    }

    /// An empty section.
    public init() {
        bytes = ByteBuffer()
        fields = []
        known = []
        isWireForm = true
    }

    /// A parsed section: the bytes and the positions of fields.
    package init(parsed bytes: ByteBuffer, fields: [Field], known: KnownFields) {
        self.bytes = bytes
        self.fields = fields
        self.known = known
        isWireForm = false
        mayHoldOtherBytes = true
    }

    /// The same for a version with text fields (the HPACK library supports only text).
    package var problemAsText: HeaderProblem? {
        if let problem { return problem }
        guard mayHoldOtherBytes else { return nil }
        let stranger = fields.indices.first { index in
            let value = valueBytes(at: index)
            return value.contains { $0 >= 0x80 } && String(validating: value, as: UTF8.self) == nil
        }
        return stranger.map { HeaderProblem(name: name(at: $0), fault: .notText) }
    }

    /// The number of field lines.
    public var count: Int { fields.count }

    /// Whether there is no field.
    public var isEmpty: Bool { fields.isEmpty }

    /// The first value of a name, or nil. Setting replaces all values of the name; setting nil removes them.
    ///
    /// A value that is not UTF-8 is read as ISO-8859-1; ``rawValue(_:)`` has its bytes.
    /// - Parameter name: the field's name in any case.
    public subscript(name: String) -> String? {
        get { firstIndex(of: name).map { value(at: $0) } }
        set {
            remove(name)
            if let newValue { add(name, newValue) }
        }
    }

    /// Every value of a name, in order; one entry per field line, not split at commas.
    public func values(_ name: String) -> [String] {
        fields.indices.filter { matches($0, name) }.map { value(at: $0) }
    }

    /// Whether a field of this name occurs.
    public func contains(_ name: String) -> Bool { firstIndex(of: name) != nil }

    /// Appends a field, keeping those of the same name.
    /// - Parameters:
    ///   - name: a token (RFC 9110, section 5.1).
    ///   - value: without control bytes except tab; surrounding whitespace is removed.
    public mutating func add(_ name: String, _ value: String) { append(name, value.utf8) }

    /// Appends a field whose value need not be UTF-8 (RFC 9110, section 5.5: obs-text is opaque).
    /// - Parameters:
    ///   - name: a token (RFC 9110, section 5.1).
    ///   - value: bytes without control bytes except tab.
    public mutating func add(_ name: String, bytes value: some Collection<UInt8>) {
        mayHoldOtherBytes = true
        append(name, value)
    }

    private mutating func append(_ name: String, _ value: some Collection<UInt8>) {
        guard name.utf8.count <= UInt16.max, value.count <= Int(UInt32.max) / 2 else {
            problem = problem ?? HeaderProblem(name: String(name.prefix(64)), fault: .tooLong)
            return
        }
        // Parsed fields stay in place; added ones are appended in wire form.
        let start = bytes.readableBytes
        let nameLength = bytes.writeString(name)
        bytes.writeStaticString(": ")
        let valueStart = bytes.readableBytes
        let valueLength = bytes.writeBytes(value)
        bytes.writeStaticString("\r\n")
        let kind = bytes.withUnsafeReadableBytes { all -> KnownFields? in
            guard nameLength > 0 else { return nil }
            for index in start..<(start + nameLength) where !Bytes.isToken(all[index]) { return nil }
            var cursor = valueStart
            while true {
                cursor = Bytes.firstControl(in: all, from: cursor, to: valueStart + valueLength)
                if cursor == valueStart + valueLength { break }
                guard all[cursor] == Bytes.tab else { return nil }
                cursor += 1
            }
            return KnownFields(name: all, at: start, count: nameLength)
        }
        guard let kind else {
            bytes.moveWriterIndex(to: bytes.readerIndex + start)
            problem = problem ?? HeaderProblem(name: name, fault: nameLength == 0 ? .emptyName : .forbiddenByte)
            return
        }
        fields.append(
            Field(
                name: UInt32(start), value: UInt32(valueStart), valueLength: UInt32(valueLength),
                nameLength: UInt16(nameLength), known: kind))
        known.formUnion(kind)
    }

    /// Removes every field of a name.
    public mutating func remove(_ name: String) {
        guard contains(name) else { return }
        let kept = fields.indices.filter { !matches($0, name) }
        fields = kept.map { fields[$0] }
        known = fields.reduce(into: KnownFields()) { $0.formUnion($1.known) }
        isWireForm = false
    }

    /// The fields that pass a filter, in wire form.
    /// - Parameters:
    ///   - extra: bytes to reserve for additional fields.
    ///   - passes: called with the bytes of each name, and the known field.
    package func passing(
        reserving extra: Int, _ passes: (_ name: UnsafeRawBufferPointer, _ known: KnownFields) -> Bool
    ) -> Headers {
        var kept = Headers()
        kept.fault = fault
        kept.mayHoldOtherBytes = mayHoldOtherBytes
        kept.bytes.reserveCapacity(bytes.readableBytes + fields.count + extra)
        kept.fields.reserveCapacity(fields.count + 6)
        bytes.withUnsafeReadableBytes { all in
            for field in fields {
                let start = Int(field.name)
                let name = UnsafeRawBufferPointer(rebasing: all[start..<(start + Int(field.nameLength))])
                guard passes(name, field.known) else { continue }
                var copy = field
                copy.name = UInt32(kept.bytes.readableBytes)
                copy.value = copy.name + UInt32(field.nameLength) + 2
                let value = Int(field.value)..<(Int(field.value) + Int(field.valueLength))
                kept.bytes.writeBytes(name)
                kept.bytes.writeStaticString(": ")
                kept.bytes.writeBytes(UnsafeRawBufferPointer(rebasing: all[value]))
                kept.bytes.writeStaticString("\r\n")
                kept.fields.append(copy)
                kept.known.formUnion(field.known)
            }
        }
        return kept
    }

    /// Merges the fields of another section, which replace those of the same names.
    public mutating func merge(_ other: Headers) {
        problem = problem ?? other.problem
        for field in other { remove(field.name) }
        for index in other.fields.indices { add(other.name(at: index), bytes: other.valueBytes(at: index)) }
    }

    /// Whether a comma-separated list field, such as Connection, contains a token, ignoring case.
    public func listContains(_ name: String, token: String) -> Bool {
        values(name).contains { value in
            value.splitBytes(separator: ",").contains {
                $0.trimmingBlanks().equalsIgnoringCase(token)
            }
        }
    }

    /// Appends the section in HTTP/1.1 wire form, except the given known names.
    package func write(to buffer: inout ByteBuffer, omitting omitted: KnownFields) {
        if isWireForm, known.isDisjoint(with: omitted) {
            buffer.writeImmutableBuffer(bytes)
            return
        }
        for field in fields where field.known.isDisjoint(with: omitted) {
            buffer.writeImmutableBuffer(slice(field.name, UInt32(field.nameLength)))
            buffer.writeStaticString(": ")
            buffer.writeImmutableBuffer(slice(field.value, field.valueLength))
            buffer.writeStaticString("\r\n")
        }
    }

    private func slice(_ offset: UInt32, _ length: UInt32) -> ByteBuffer {
        bytes.getSlice(at: bytes.readerIndex + Int(offset), length: Int(length)) ?? ByteBuffer()
    }

    /// UTF-8, else ISO-8859-1, which loses no byte.
    static func text(_ bytes: UnsafeRawBufferPointer) -> String {
        String(checkedUTF8: bytes) ?? String(String.UnicodeScalarView(bytes.map { Unicode.Scalar($0) }))
    }

    private func string(_ offset: UInt32, _ length: Int) -> String {
        bytes.withUnsafeReadableBytes { all in
            Self.text(UnsafeRawBufferPointer(rebasing: all[Int(offset)..<(Int(offset) + length)]))
        }
    }

    package func name(at index: Int) -> String {
        string(fields[index].name, Int(fields[index].nameLength))
    }

    /// The name of a field, in lower case.
    package func lowercaseName(at index: Int) -> String {
        let field = fields[index]
        return bytes.withUnsafeReadableBytes { all in
            String(unsafeUninitializedCapacity: Int(field.nameLength)) { name in
                for offset in 0..<Int(field.nameLength) {
                    name[offset] = Bytes.lowercased(all[Int(field.name) + offset])
                }
                return Int(field.nameLength)
            }
        }
    }

    /// The value of a field.
    package func value(at index: Int) -> String {
        string(fields[index].value, Int(fields[index].valueLength))
    }

    /// The bytes of a field's value.
    package func valueBytes(at index: Int) -> ByteBufferView {
        slice(fields[index].value, fields[index].valueLength).readableBytesView
    }

    /// The bytes of a name's first value, which may be invalid UTF-8.
    /// - Parameter name: the field's name in any case.
    public func rawValue(_ name: String) -> ByteBufferView? { firstIndex(of: name).map(valueBytes) }

    /// The bytes of every value of a name, in order.
    public func rawValues(_ name: String) -> [ByteBufferView] {
        fields.indices.filter { matches($0, name) }.map(valueBytes)
    }

    /// The bytes of a name's first value, without a copy.
    /// - Parameter name: in lower case.
    package func bytes(_ name: StaticString) -> ByteBuffer? {
        bytes.withUnsafeReadableBytes { all in
            fields.first { Bytes.equal(all, Int($0.name), Int($0.nameLength), lowercase: name) }
        }.map { slice($0.value, $0.valueLength) }
    }

    private func firstIndex(of name: String) -> Int? {
        fields.indices.first { matches($0, name) }
    }

    private func matches(_ index: Int, _ name: String) -> Bool {
        let field = fields[index]
        let wanted = name.utf8
        guard wanted.count == Int(field.nameLength) else { return false }
        return bytes.withUnsafeReadableBytes { all in
            var cursor = Int(field.name)
            for byte in wanted {
                if Bytes.lowercased(byte) != Bytes.lowercased(all[cursor]) { return false }
                cursor += 1
            }
            return true
        }
    }
}

extension Headers: Sequence {
    /// Iterates over the fields as strings.
    public struct Iterator: IteratorProtocol {
        fileprivate let headers: Headers
        fileprivate var index = 0

        /// The next field, or nil at the end.
        public mutating func next() -> (name: String, value: String)? {
            guard index < headers.fields.count else { return nil }
            defer { index += 1 }
            return (headers.name(at: index), headers.value(at: index))
        }
    }

    /// The fields in order, as pairs of strings.
    public func makeIterator() -> Iterator { Iterator(headers: self) }
}

extension Headers: ExpressibleByDictionaryLiteral {
    /// A literal section, in order: `["Accept": "text/html"]`. A field without a value is left out.
    public init(dictionaryLiteral elements: (String, String?)...) {
        self.init()
        for case (let name, let value?) in elements { add(name, value) }
    }

    /// A section of a dictionary's fields, by name.
    public init(_ dictionary: [String: String]) {
        self.init()
        for (name, value) in dictionary.sorted(by: { $0.key.utf8.lexicographicallyPrecedes($1.key.utf8) }) {
            add(name, value)
        }
    }
}

extension Headers: Equatable {
    /// Two sections are equal when their fields are, in order, ignoring the case of names.
    public static func == (left: Headers, right: Headers) -> Bool {
        left.count == right.count
            && left.fields.indices.allSatisfy { index in
                left.lowercaseName(at: index) == right.lowercaseName(at: index)
                    && left.valueBytes(at: index).elementsEqual(right.valueBytes(at: index))
            }
    }
}

extension Headers: CustomStringConvertible {
    /// The section as text, one line per field.
    public var description: String { map { "\($0.name): \($0.value)" }.joined(separator: "\n") }
}
