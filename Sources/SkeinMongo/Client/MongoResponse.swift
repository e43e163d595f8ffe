// What has come of a command.

import Logging
import NIOCore
import SkeinCore

/// The answer of a server, or the failure that prevented one.
public struct MongoResponse: Response {
    /// What the caller attached.
    public let meta: RequestMetadata
    /// The command: `find`, `insert`, `aggregate`.
    public let method: String
    /// What the answer carries.
    public let content: MongoResult
    /// The session's logger.
    public let logger: Logger
    /// The failure, if there was one.
    public let failure: SkeinError?
    /// What the server said when it refused, as a whole or a part of it.
    public let mongoError: MongoError?
    /// The server that was asked.
    public let peer: String

    /// 200; 409 for a key that is there already, 500 for another refusal; 700 to 722 for a failure.
    public var statusCode: Int {
        if let failure { return failure.code.rawValue }
        return mongoError.map { $0.isDuplicateKey ? 409 : 500 } ?? 200
    }
    /// The status in words; the server's.
    public var reason: String { failure?.code.name ?? mongoError?.message ?? "OK" }
    /// What the answer carries, under the name that responses of all protocols have.
    public var data: MongoResult { content }
    /// What the server said when it refused.
    public var refusal: (any Error)? { mongoError }
    /// 299.
    public static var highestSuccess: Int { 299 }

    /// The first document, or, of a type that is a list, all of them; of commands without documents, what they were asked for.
    /// - Throws: code 709 when it is none.
    public func decode<T: Decodable>(_ type: T.Type) throws -> T {
        do {
            return try content.decode(type)
        } catch {
            throw SkeinError(
                .invalidContent, peer: peer, because: "the answer to \(method) is not a \(type): \(error)", cause: error
            )
        }
    }

    /// The documents, or the elements of what was asked for.
    public func decodeRecords<T: Decodable>(_ type: T.Type) throws -> [T] {
        do {
            return try content.records.map { try $0.decode(type) }
        } catch {
            throw SkeinError(
                .invalidContent, peer: peer, because: "the answer to \(method) has no records of \(type): \(error)",
                cause: error)
        }
    }
}

/// The result of a command: documents, counts, identifiers, and the server's reply as a whole.
public struct MongoResult: Sendable {
    /// The whole answer; of several, the last.
    public let reply: Document
    private let shape: MongoCommand.Shape
    private let batches: [ByteBuffer]

    /// The identifiers of the documents that were to be added, in their order; those that an error names were not.
    public let insertedIDs: [BSON]

    init(
        reply: Document, shape: MongoCommand.Shape = .reply, batches: [ByteBuffer] = [], insertedIDs: [BSON] = []
    ) {
        self.reply = reply
        self.insertedIDs = insertedIDs
        self.shape = shape
        self.batches = batches
    }

    /// The documents.
    public var data: [Document] {
        batches.flatMap { batch in
            BSONElements(batch).filter { $0.type == .document }.map { Document(trusted: $0.slice(of: batch)) }
        }
    }

    /// The cursor that is still open; 0 for none.
    public var cursorID: Int64 { reply["cursor"]?["id"]?.int.map(Int64.init) ?? 0 }

    /// How many documents a write was about, or `count` has counted.
    public var count: Int { reply["n"]?.int ?? 0 }
    /// How many documents an update has changed.
    public var modifiedCount: Int { reply["nModified"]?.int ?? 0 }
    /// The identifiers of documents that an upsert has made.
    public var upsertedIDs: [BSON] { (reply["upserted"]?.array ?? []).compactMap { $0["_id"] } }

    // MARK: Decoding

    /// The parts of it that are records.
    var records: [BSONPlace] {
        switch shape {
        case .documents:
            return batches.flatMap { batch in
                BSONElements(batch).map { BSONPlace(element: $0, bytes: batch, path: []) }
            }
        case .member(let name):
            guard let element = reply.find(name), element.type != .null else { return [] }
            guard element.type == .array else { return [BSONPlace(element: element, bytes: reply.bytes, path: [])] }
            let inside = element.slice(of: reply.bytes)
            return BSONElements(inside).map { BSONPlace(element: $0, bytes: inside, path: []) }
        case .reply: return [BSONPlace(document: reply)]
        }
    }

    func decode<T: Decodable>(_ type: T.Type) throws -> T {
        if case .reply = shape { return try BSONPlace(document: reply).decode(type) }
        if case .member(let name) = shape, let element = reply.find(name) {
            return try BSONPlace(element: element, bytes: reply.bytes, path: []).decode(type)
        }
        return try T(from: Records(records))
    }

    /// All records as a list, or the first of them as a value.
    private struct Records: Decoder {
        let places: [BSONPlace]
        let codingPath: [any CodingKey] = []
        let userInfo: [CodingUserInfoKey: Any] = [:]

        init(_ places: [BSONPlace]) { self.places = places }

        private func first() throws -> BSONPlace {
            guard let first = places.first else {
                throw DecodingError.valueNotFound(
                    Document.self, .init(codingPath: [], debugDescription: "there is no document"))
            }
            return first
        }

        func container<Key: CodingKey>(keyedBy type: Key.Type) throws -> KeyedDecodingContainer<Key> {
            try first().container(keyedBy: type)
        }
        func unkeyedContainer() -> any UnkeyedDecodingContainer { BSONPlaces(places: places, codingPath: []) }
        func singleValueContainer() throws -> any SingleValueDecodingContainer { Single(first: places.first) }
    }

    /// The first record, if there is one.
    private struct Single: SingleValueDecodingContainer {
        let first: BSONPlace?
        let codingPath: [any CodingKey] = []

        func decodeNil() -> Bool { first == nil }
        func decode<T: Decodable>(_ type: T.Type) throws -> T {
            guard let first else {
                throw DecodingError.valueNotFound(
                    type, .init(codingPath: [], debugDescription: "there is no document"))
            }
            return try first.decode(type)
        }
    }
}
