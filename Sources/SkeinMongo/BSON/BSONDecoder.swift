// Decodes Codable values directly from the bytes of documents.

import NIOCore
import SkeinCore

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// Decodes values. Numbers are converted if the conversion is exact; missing members are nil.
public struct BSONDecoder: Sendable {
    /// A decoder.
    public init() {}

    /// Decodes a document.
    /// - Throws: `DecodingError`.
    public func decode<T: Decodable>(_ type: T.Type, from document: Document) throws -> T {
        try BSONPlace(document: document).decode(type)
    }

    /// Decodes a value.
    /// - Throws: `DecodingError`.
    public func decode<T: Decodable>(_ type: T.Type, from value: BSON) throws -> T {
        var writer = BSONWriter()
        writer.append("", value)
        let bytes = writer.finish()
        guard let element = Document(trusted: bytes).find("") else { return try decode(type, from: Document()) }
        return try BSONPlace(element: element, bytes: bytes, path: []).decode(type)
    }
}

/// A decoder for one value in the bytes of a document.
struct BSONPlace: Decoder {
    private let element: BSONElement
    private let bytes: ByteBuffer
    private let isWhole: Bool
    let codingPath: [any CodingKey]
    var userInfo: [CodingUserInfoKey: Any] { [:] }

    init(element: BSONElement, bytes: ByteBuffer, path: [any CodingKey]) {
        self.element = element
        self.bytes = bytes
        isWhole = false
        codingPath = path
    }

    init(document: Document) {
        bytes = document.bytes
        element = BSONElement(type: .document, keyStart: 0, keyLength: 0, start: 0, length: bytes.readableBytes)
        isWhole = true
        codingPath = []
    }

    var type: BSONType { element.type }
    private var inside: ByteBuffer { isWhole ? bytes : element.slice(of: bytes) }
    var value: BSON { isWhole ? .document(Document(trusted: bytes)) : element.value(in: bytes) }
    private var isNil: Bool { type == .null || type == .undefined }

    // MARK: Values

    func decode<T: Decodable>(_ type: T.Type) throws -> T {
        if let plain = try plain(type) { return plain }
        if type == Date.self { return try cast(date(), type) }
        if type == Data.self { return try cast(data(), type) }
        if type == UUID.self { return try cast(uuid(), type) }
        if let ready = type as? any BSONReadable.Type { return try cast(ready.init(self), type) }
        return try T(from: self)
    }

    /// The common types, without a check of conformances.
    @inline(__always)
    private func plain<T>(_ type: T.Type) throws -> T? {
        if type == String.self { return try string() as? T }
        if type == Int.self { return try integer(Int.self) as? T }
        if type == Double.self { return try double() as? T }
        if type == Bool.self { return try bool() as? T }
        return nil
    }

    private func cast<T>(_ value: Any, _ type: T.Type) throws -> T {
        guard let value = value as? T else { throw mismatch(type) }
        return value
    }

    func string() throws -> String {
        switch type {
        case .string, .symbol, .code: return element.text(in: bytes)
        case .objectID: return element.objectID(in: bytes).description
        case .decimal128: return "\(value)"
        default: throw mismatch(String.self)
        }
    }

    func bool() throws -> Bool {
        guard type == .bool else { throw mismatch(Bool.self) }
        return element.integer(UInt8.self, in: bytes) != 0
    }

    func double() throws -> Double {
        switch type {
        case .double: return Double(bitPattern: element.integer(UInt64.self, in: bytes))
        case .int32: return Double(element.integer(Int32.self, in: bytes))
        case .int64:
            let whole = element.integer(Int64.self, in: bytes)
            guard let value = Double(exactly: whole) else { throw tooLarge(Double.self) }
            return value
        case .decimal128: if let value = Double("\(value)") { return value }
        default: break
        }
        throw mismatch(Double.self)
    }

    @inline(__always)
    func integer<T: BinaryInteger>(_ type: T.Type) throws -> T {
        let value: T?
        switch self.type {
        case .int32: value = T(exactly: element.integer(Int32.self, in: bytes))
        case .int64: value = T(exactly: element.integer(Int64.self, in: bytes))
        case .double: value = T(exactly: Double(bitPattern: element.integer(UInt64.self, in: bytes)))
        default: throw mismatch(type)
        }
        guard let value else { throw tooLarge(type) }
        return value
    }

    private func date() throws -> Date { try need(\.date) }
    private func data() throws -> Data { try need { $0.bytes.map { Data($0) } } }

    private func uuid() throws -> UUID {
        if let uuid = value.uuid { return uuid }
        guard type == .string, let uuid = UUID(uuidString: try string()) else { throw mismatch(UUID.self) }
        return uuid
    }

    func mismatch(_ type: Any.Type) -> DecodingError {
        let context = DecodingError.Context(
            codingPath: codingPath, debugDescription: "a \(self.type) is not a \(type)")
        return isNil ? .valueNotFound(type, context) : .typeMismatch(type, context)
    }

    private func tooLarge(_ type: Any.Type) -> DecodingError {
        .dataCorrupted(
            .init(codingPath: codingPath, debugDescription: "the number \(value) cannot be represented as \(type)"))
    }

    // MARK: Containers

    func container<Key: CodingKey>(keyedBy type: Key.Type) throws -> KeyedDecodingContainer<Key> {
        guard self.type == .document else { throw mismatch([String: Any].self) }
        return KeyedDecodingContainer(Keyed(bytes: inside, codingPath: codingPath))
    }

    func unkeyedContainer() throws -> any UnkeyedDecodingContainer {
        guard type == .array else { throw mismatch([Any].self) }
        let inside = inside
        let places = BSONElements(inside).enumerated().map { place, element in
            BSONPlace(element: element, bytes: inside, path: codingPath + [TreeKey(index: place)])
        }
        return BSONPlaces(places: places, codingPath: codingPath)
    }

    func singleValueContainer() -> any SingleValueDecodingContainer { Single(place: self) }

    private struct Single: SingleValueDecodingContainer {
        let place: BSONPlace
        var codingPath: [any CodingKey] { place.codingPath }

        func decodeNil() -> Bool { place.isNil }
        func decode<T: Decodable>(_ type: T.Type) throws -> T {
            try place.decode(type)
        }
        func decode(_ type: String.Type) throws -> String { try place.string() }
        func decode(_ type: Bool.Type) throws -> Bool { try place.bool() }
        func decode(_ type: Double.Type) throws -> Double { try place.double() }
        func decode(_ type: Float.Type) throws -> Float { Float(try place.double()) }
        func decode(_ type: Int.Type) throws -> Int { try place.integer(type) }
        func decode(_ type: Int8.Type) throws -> Int8 { try place.integer(type) }
        func decode(_ type: Int16.Type) throws -> Int16 { try place.integer(type) }
        func decode(_ type: Int32.Type) throws -> Int32 { try place.integer(type) }
        func decode(_ type: Int64.Type) throws -> Int64 { try place.integer(type) }
        func decode(_ type: UInt.Type) throws -> UInt { try place.integer(type) }
        func decode(_ type: UInt8.Type) throws -> UInt8 { try place.integer(type) }
        func decode(_ type: UInt16.Type) throws -> UInt16 { try place.integer(type) }
        func decode(_ type: UInt32.Type) throws -> UInt32 { try place.integer(type) }
        func decode(_ type: UInt64.Type) throws -> UInt64 { try place.integer(type) }
    }

    /// The members of a document; those accessed in document order are found at once.
    private final class Keyed<Key: CodingKey>: KeyedDecodingContainerProtocol {
        let codingPath: [any CodingKey]
        private let bytes: ByteBuffer
        private let members: [BSONElement]
        private var expected = 0

        init(bytes: ByteBuffer, codingPath: [any CodingKey]) {
            self.bytes = bytes
            self.codingPath = codingPath
            members = Array(BSONElements(bytes))
        }

        var allKeys: [Key] { members.compactMap { Key(stringValue: $0.key(in: bytes)) } }

        private func member(_ key: Key) -> BSONElement? {
            var name = key.stringValue
            return name.withUTF8 { name in
                bytes.withUnsafeReadableBytes { raw in
                    for offset in members.indices {
                        let place = (expected + offset) % members.count
                        guard members[place].hasKey(name, in: raw) else { continue }
                        expected = place + 1
                        return members[place]
                    }
                    return nil
                }
            }
        }

        private func place(_ key: Key) throws -> BSONPlace {
            guard let element = member(key) else {
                throw DecodingError.keyNotFound(
                    key, .init(codingPath: codingPath, debugDescription: "the document has no \(key.stringValue)"))
            }
            return BSONPlace(element: element, bytes: bytes, path: codingPath + [key])
        }

        func contains(_ key: Key) -> Bool { member(key) != nil }
        func decodeNil(forKey key: Key) throws -> Bool { try place(key).isNil }
        func decode<T: Decodable>(_ type: T.Type, forKey key: Key) throws -> T { try place(key).decode(type) }
        func decode(_ type: String.Type, forKey key: Key) throws -> String { try place(key).string() }
        func decode(_ type: Int.Type, forKey key: Key) throws -> Int { try place(key).integer(type) }
        func decode(_ type: Double.Type, forKey key: Key) throws -> Double { try place(key).double() }
        func decode(_ type: Bool.Type, forKey key: Key) throws -> Bool { try place(key).bool() }

        func nestedContainer<Nested: CodingKey>(
            keyedBy type: Nested.Type, forKey key: Key
        ) throws -> KeyedDecodingContainer<Nested> { try place(key).container(keyedBy: type) }
        func nestedUnkeyedContainer(forKey key: Key) throws -> any UnkeyedDecodingContainer {
            try place(key).unkeyedContainer()
        }
        func superDecoder() throws -> any Decoder {
            guard let key = Key(stringValue: "super") else { return BSONPlace(document: Document()) }
            return try place(key)
        }
        func superDecoder(forKey key: Key) throws -> any Decoder { try place(key) }
    }
}

/// Consecutive values.
struct BSONPlaces: UnkeyedDecodingContainer {
    let places: [BSONPlace]
    let codingPath: [any CodingKey]
    private(set) var currentIndex = 0

    init(places: [BSONPlace], codingPath: [any CodingKey]) {
        self.places = places
        self.codingPath = codingPath
    }

    var count: Int? { places.count }
    var isAtEnd: Bool { currentIndex >= places.count }

    private mutating func next() throws -> BSONPlace {
        guard !isAtEnd else {
            throw DecodingError.valueNotFound(
                BSON.self, .init(codingPath: codingPath, debugDescription: "there are only \(places.count) values"))
        }
        defer { currentIndex += 1 }
        return places[currentIndex]
    }

    mutating func decodeNil() throws -> Bool {
        guard !isAtEnd, places[currentIndex].singleValueContainer().decodeNil() else { return false }
        currentIndex += 1
        return true
    }
    mutating func decode<T: Decodable>(_ type: T.Type) throws -> T { try next().decode(type) }
    mutating func nestedContainer<Nested: CodingKey>(
        keyedBy type: Nested.Type
    ) throws -> KeyedDecodingContainer<Nested> { try next().container(keyedBy: type) }
    mutating func nestedUnkeyedContainer() throws -> any UnkeyedDecodingContainer { try next().unkeyedContainer() }
    mutating func superDecoder() throws -> any Decoder { try next() }
}
