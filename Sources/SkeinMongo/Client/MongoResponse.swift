// The response to a command.

import Logging
import NIOCore
import SkeinCore

/// The response of a server, or a failure.
public struct MongoResponse: Response {
    /// The caller's metadata.
    public let meta: RequestMetadata
    /// The command: `find`, `insert`, `aggregate`.
    public let method: String
    /// The result.
    public let content: MongoResult
    /// The session's logger.
    public let logger: Logger
    /// The failure, if there was one.
    public let failure: SkeinError?
    /// The server's error, for the whole command or a part of it.
    public let mongoError: MongoError?
    /// The server.
    public let peer: String

    /// 200; 409 for a duplicate key, 500 for another error of the server; 700 to 722 for a failure.
    public var statusCode: Int {
        if let failure { return failure.code.rawValue }
        return mongoError.map { $0.isDuplicateKey ? 409 : 500 } ?? 200
    }
    /// The server's error message, or the name of the failure.
    public var reason: String { failure?.code.name ?? mongoError?.message ?? "OK" }
    /// The result; aquests' name.
    public var data: MongoResult { content }
    /// The server's error.
    public var refusal: (any Error)? { mongoError }
    /// The bytes of the reply and of the documents.
    public var contentSize: Int { content.size }
    /// 299.
    public static var highestSuccess: Int { 299 }

    /// The first document, or, for a list type, all of them; for commands without documents, the requested member of
    /// the reply.
    /// - Throws: code 709 when it cannot be decoded.
    public func decode<T: Decodable>(_ type: T.Type) throws -> T {
        do {
            return try content.decode(type)
        } catch {
            throw SkeinError(
                .invalidContent, peer: peer, because: "the answer to \(method) is not a \(type): \(error)", cause: error
            )
        }
    }

    /// The documents, or the elements of the requested member.
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

/// The result of a command, with the members of aquests and the server's reply.
public struct MongoResult: Sendable {
    /// The whole reply; of several, the last.
    public let reply: Document
    private let shape: MongoCommand.Shape
    private let batches: [ByteBuffer]

    /// The IDs of the documents to be inserted, in order; those with an error were not inserted.
    public let insertedIDs: [BSON]

    init(
        reply: Document, shape: MongoCommand.Shape = .reply, batches: [ByteBuffer] = [], insertedIDs: [BSON] = []
    ) {
        self.reply = reply
        self.insertedIDs = insertedIDs
        self.shape = shape
        self.batches = batches
    }

    var size: Int { batches.reduce(reply.bytes.readableBytes) { $0 + $1.readableBytes } + 1024 }

    /// The documents.
    public var data: [Document] {
        batches.flatMap { batch in
            BSONElements(batch).filter { $0.type == .document }.map { Document(trusted: $0.slice(of: batch)) }
        }
    }

    /// The cursor that is still open; 0 for none.
    public var cursorID: Int64 { reply["cursor"]?["id"]?.int.map(Int64.init) ?? 0 }

    /// The number of documents that a write matched, or that `count` has counted.
    public var count: Int { reply["n"]?.int ?? 0 }
    /// The number of documents that an update has changed.
    public var modifiedCount: Int { reply["nModified"]?.int ?? 0 }
    /// The IDs of documents that an upsert has inserted.
    public var upsertedIDs: [BSON] { (reply["upserted"]?.array ?? []).compactMap { $0["_id"] } }

    // MARK: Decoding

    /// The records in it.
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

    /// All records as a list, or the first one as a value.
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

    /// The first record, if any.
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
