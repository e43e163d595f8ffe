// An ordered document, stored as its bytes: received documents are parsed on demand, and sent ones need no encoding.

import NIOCore

/// A BSON document: names and values, in order.
///
/// `let post: Document = ["title": "How to swim", "tags": ["sport", "water"]]`. Two are equal when they have the same
/// members with the same types in the same order.
public struct Document: Sendable, Hashable {
    /// The encoded form (https://bsonspec.org/spec.html).
    public private(set) var bytes: ByteBuffer

    private static let emptyBytes = ByteBuffer(bytes: [5, 0, 0, 0, 0])

    /// A document without members.
    public init() { bytes = Self.emptyBytes }

    /// A document from untrusted bytes.
    /// - Throws: the error in them.
    public init(bytes: ByteBuffer) throws(BSONError) {
        self.bytes = bytes
        try bytes.withUnsafeReadableBytes { raw throws(BSONError) in try BSONValidator.validate(raw) }
    }

    /// Validated bytes.
    init(trusted bytes: ByteBuffer) { self.bytes = bytes }

    /// An encoded value.
    /// - Throws: `EncodingError`, also for a value that is not keyed.
    public init(encoding value: some Encodable) throws { self = try BSONEncoder().encode(value) }

    /// A document of names and values, in their order.
    public init(pairs: some Sequence<(String, BSON)>) {
        var writer = BSONWriter()
        for (key, value) in pairs { writer.append(key, value) }
        self = writer.document()
    }

    /// Appends a member, even if there is one of that name.
    public mutating func append(_ key: String, _ value: BSON) {
        var writer = BSONWriter(goingOn: bytes)
        bytes = Self.emptyBytes  // so that the writer has the only reference
        writer.append(key, value)
        self = writer.document()
    }

    /// The first member of a name. Setting it changes that one, or appends one; nil removes all members of that name.
    public subscript(key: String) -> BSON? {
        get { find(key).map { $0.value(in: bytes) } }
        set {
            guard let newValue else {
                self = Document(pairs: filter { !$0.key.equalsBytes(key) }.map { ($0.key, $0.value) })
                return
            }
            guard find(key) != nil else { return append(key, newValue) }
            var isDone = false
            self = Document(
                pairs: map { member in
                    guard member.key.equalsBytes(key), !isDone else { return (member.key, member.value) }
                    isDone = true
                    return (key, newValue)
                })
        }
    }

    /// Whether there is a member of a name.
    public func contains(_ key: String) -> Bool { find(key) != nil }

    /// The names.
    public var keys: [String] { map(\.key) }
    /// The values.
    public var values: [BSON] { map(\.value) }
    /// The first name, which is the name of a command.
    var firstKey: String? { elements.first { _ in true }?.key(in: bytes) }
    /// Whether it says what is to be done (`$set`), and not what is.
    /// The operators of an update of many documents, none of which one document can replace: plain members are set.
    package var asOperators: Document { isEmpty || hasOperators ? self : ["$set": .document(self)] }

    package var hasOperators: Bool { firstKey?.hasBytePrefix("$") == true }
    /// How many members there are.
    public var count: Int { elements.reduce(0) { count, _ in count + 1 } }
    /// Whether there are no members.
    public var isEmpty: Bool { bytes.readableBytes <= 5 }

    /// Decodes the document as a type.
    /// - Throws: `DecodingError`.
    public func decode<T: Decodable>(_ type: T.Type) throws -> T { try BSONDecoder().decode(type, from: self) }

    var elements: BSONElements { BSONElements(bytes) }

    /// The element of a name, without its value.
    func find(_ key: String) -> BSONElement? {
        var key = key
        return key.withUTF8 { wanted in
            bytes.withUnsafeReadableBytes { raw in
                var walk = BSONWalk()
                while let element = walk.next(raw) {
                    if element.hasKey(wanted, in: raw) { return element }
                }
                return nil
            }
        }
    }
}

extension Document: ExpressibleByDictionaryLiteral {
    public init(dictionaryLiteral elements: (String, BSON)...) { self.init(pairs: elements) }
}

extension Document: Sequence {
    public typealias Element = (key: String, value: BSON)

    /// Iterates over the members.
    public struct Iterator: IteratorProtocol {
        private let bytes: ByteBuffer
        private var elements: BSONElements

        fileprivate init(_ document: Document) {
            bytes = document.bytes
            elements = document.elements
        }

        /// The next member.
        public mutating func next() -> Document.Element? {
            elements.next().map { ($0.key(in: bytes), $0.value(in: bytes)) }
        }
    }

    public func makeIterator() -> Iterator { Iterator(self) }
}

extension Document: CustomStringConvertible {
    /// Extended JSON.
    public var description: String { extendedJSON() }
}
