// An ordered document. It is its bytes: what arrives is not taken apart before somebody asks for a part, and what is sent is there already.

import NIOCore

/// A document of BSON: names and values, in their order.
///
/// `let post: Document = ["title": "How to swim", "tags": ["sport", "water"]]`. Two are equal when they have the same members of the
/// same types in the same order.
public struct Document: Sendable, Hashable {
    /// The encoded form (https://bsonspec.org/spec.html).
    public private(set) var bytes: ByteBuffer

    private static let emptyBytes = ByteBuffer(bytes: [5, 0, 0, 0, 0])

    /// A document without members.
    public init() { bytes = Self.emptyBytes }

    /// A document of its bytes, as somebody else has made them.
    /// - Throws: what is wrong with them.
    public init(bytes: ByteBuffer) throws(BSONError) {
        self.bytes = bytes
        try bytes.withUnsafeReadableBytes { raw throws(BSONError) in try BSONValidator.validate(raw) }
    }

    /// Bytes that have been checked.
    init(trusted bytes: ByteBuffer) { self.bytes = bytes }

    /// A document of a value that can be encoded.
    /// - Throws: `EncodingError` when the value is none with names.
    public init(encoding value: some Encodable) throws { self = try BSONEncoder().encode(value) }

    /// A document of names and values, in their order.
    public init(pairs: some Sequence<(String, BSON)>) {
        var writer = BSONWriter()
        for (key, value) in pairs { writer.append(key, value) }
        self = writer.document()
    }

    /// Adds a member at the end, even where there is one of that name.
    public mutating func append(_ key: String, _ value: BSON) {
        var writer = BSONWriter(goingOn: bytes)
        bytes = Self.emptyBytes  // so that the writer has them alone
        writer.append(key, value)
        self = writer.document()
    }

    /// The first member of a name. Setting it changes that one, or adds one at the end; nil takes all of that name away.
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
    /// The first name, which says what a command does.
    var firstKey: String? { elements.first { _ in true }?.key(in: bytes) }
    /// Whether it says what is to be done (`$set`), and not what is.
    /// The operators of an update of many documents, none of which one document can replace: plain members are set.
    package var asOperators: Document { isEmpty || hasOperators ? self : ["$set": .document(self)] }

    package var hasOperators: Bool { firstKey?.hasBytePrefix("$") == true }
    /// How many members there are.
    public var count: Int { elements.reduce(0) { count, _ in count + 1 } }
    /// Whether there are none.
    public var isEmpty: Bool { bytes.readableBytes <= 5 }

    /// A value of a type, made of the members.
    /// - Throws: `DecodingError`.
    public func decode<T: Decodable>(_ type: T.Type) throws -> T { try BSONDecoder().decode(type, from: self) }

    var elements: BSONElements { BSONElements(bytes) }

    /// The element of a name, without making a value of it.
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

    /// A walk over the members.
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
