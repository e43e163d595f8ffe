// Bulk writes: several writes in few messages, with a combined response
// (https://github.com/mongodb/specifications/blob/master/source/crud/bulk-write.md).

import NIOCore
import SkeinCore

/// One write of a bulk write.
public enum BulkWrite: Sendable {
    /// Inserts a document.
    case insert(Document)
    /// Updates the first document that matches a filter, by operators.
    case updateOne(Document, Document, upserts: Bool = false)
    /// Updates all documents that match a filter, by operators.
    case updateMany(Document, Document, upserts: Bool = false)
    /// Replaces the first document that matches a filter.
    case replaceOne(Document, Document, upserts: Bool = false)
    /// Deletes the first document that matches a filter.
    case deleteOne(Document)
    /// Deletes all documents that match a filter.
    case deleteMany(Document)

    /// The command for it, and the name of its list.
    fileprivate var verb: (name: String, list: String) {
        switch self {
        case .insert: ("insert", "documents")
        case .updateOne, .updateMany, .replaceOne: ("update", "updates")
        case .deleteOne, .deleteMany: ("delete", "deletes")
        }
    }

    /// Whether the server can detect that it is repeated.
    fileprivate var isOnce: Bool {
        switch self {
        case .updateMany, .deleteMany: false
        default: true
        }
    }

    /// The reason why it is invalid.
    fileprivate var problem: String? {
        switch self {
        case .updateOne(_, let change, _), .updateMany(_, let change, _):
            change.hasOperators
                ? nil
                : "an update needs operators such as $set; use replaceOne to replace the document"
        case .replaceOne(_, let document, _):
            document.hasOperators
                ? "a replacement must not have operators; use updateOne for them" : nil
        default: nil
        }
    }

    fileprivate var document: Document {
        switch self {
        case .insert(let document): document.withID
        case .updateOne(let filter, let change, let upserts), .replaceOne(let filter, let change, let upserts):
            Self.update(filter, change, upserts, many: false)
        case .updateMany(let filter, let change, let upserts): Self.update(filter, change, upserts, many: true)
        case .deleteOne(let filter): ["q": .document(filter), "limit": 1]
        case .deleteMany(let filter): ["q": .document(filter), "limit": 0]
        }
    }

    private static func update(_ filter: Document, _ change: Document, _ upserts: Bool, many: Bool) -> Document {
        var document: Document = ["q": .document(filter), "u": .document(change)]
        document.append("upsert", if: upserts)
        document.append("multi", if: many)
        return document
    }
}

extension Document {
    /// The document, with an ID as its first member.
    fileprivate var withID: Document {
        guard !contains("_id") else { return self }
        var writer = BSONWriter()
        writer.append("_id", .objectID(ObjectID()))
        writer.append(contentsOf: self)
        return writer.document()
    }
}

/// Writes that are sent in one message.
private struct WriteBatch: Sendable {
    let command: MongoCommand
    /// Their indices in the whole list.
    let places: [Int]
    /// The IDs of documents to be inserted.
    let ids: [BSON]
}

extension MongoCollection {
    /// Starts writes; those of one message as one command, several commands one after the other.
    func write(_ writes: [BulkWrite], _ name: String, ordered: Bool = true) -> Corequest<MongoResponse> {
        let client = client
        func refuse(_ why: String) -> Corequest<MongoResponse> {
            let response = client.response(name, [:], failure: SkeinError(.exception, because: why))
            return client.startAll(name) { response }
        }
        if writes.isEmpty { return refuse("there is nothing to write") }
        if let problem = writes.lazy.compactMap(\.problem).first { return refuse(problem) }
        if client.writeLimits != nil || writes.count == 1 {
            let batches = batches(writes, ordered: ordered)
            if let first = batches.first, batches.count == 1 { return client.start(first.command, ids: first.ids) }
            return client.startAll(name) { await client.send(batches, name, ordered: ordered) }
        }
        return client.startAll(name) {
            // No server has responded yet, so the limits are unknown.
            let first = await client["admin"].run(["ping": 1]).dispatch()
            if let failure = first.failure { return client.response(name, [:], failure: failure) }
            return await client.send(batches(writes, ordered: ordered), name, ordered: ordered)
        }
    }

    /// Groups writes of one kind: adjacent ones, or, when the order does not matter, all of one kind.
    private func batches(_ writes: [BulkWrite], ordered: Bool) -> [WriteBatch] {
        var batches: [WriteBatch] = []
        var part: [(place: Int, document: Document, isOnce: Bool)] = []
        var size = 0
        let limits = client.writeLimits ?? (1000, 16 << 20)
        func close(_ verb: (name: String, list: String)) {
            guard !part.isEmpty else { return }
            let command = writing(verb.name, isOnce: part.allSatisfy(\.isOnce)) { command in
                command.document.append("ordered", .bool(ordered))
                command.sequence = (verb.list, part.map(\.document))
            }
            let ids = verb.name == "insert" ? part.compactMap { $0.document["_id"] } : []
            batches.append(WriteBatch(command: command, places: part.map(\.place), ids: ids))
            part = []
            size = 0
        }
        let all = Array(writes.enumerated())
        // Each kind at the position of its first write.
        let kinds = all.map(\.element.verb.name).uniqued()
        let groups = ordered ? [all] : kinds.map { kind in all.filter { $0.element.verb.name == kind } }
        var last = writes[0].verb
        for (place, write) in groups.joined() {
            let document = write.document
            let length = document.bytes.readableBytes
            if write.verb.name != last.name || part.count >= limits.count || size + length > limits.size { close(last) }
            last = write.verb
            part.append((place, document, write.isOnce))
            size += length
        }
        close(last)
        return batches
    }
}

extension MongoClient {
    /// Sends the batches one after the other and combines the results.
    fileprivate func send(_ batches: [WriteBatch], _ name: String, ordered: Bool) async -> MongoResponse {
        var sum = WriteSum()
        for batch in batches {
            let answer = await start(batch.command).dispatch()
            sum.add(answer, of: batch)
            if let failure = answer.failure { return response(name, sum.reply, failure: failure) }
            guard let error = answer.mongoError else { continue }
            if error.writeErrors.isEmpty ? !error.isWriteConcern : ordered { break }
        }
        return response(name, sum.reply, error: sum.error, ids: sum.ids)
    }
}

extension [String] {
    /// The distinct elements, in the order of their first occurrence.
    fileprivate func uniqued() -> [String] {
        var seen: Set<String> = []
        return filter { seen.insert($0).inserted }
    }
}

/// The combined result of several replies.
private struct WriteSum {
    private var counts: [String: Int] = [:]
    private var upserted: [BSON] = []
    private var errors: [MongoError.WriteError] = []
    private var other: MongoError?
    private(set) var ids: [BSON] = []

    mutating func add(_ response: MongoResponse, of batch: WriteBatch) {
        let reply = response.content.reply
        let verb = batch.command.name
        counts["n", default: 0] += reply["n"]?.int ?? 0
        if let modified = reply["nModified"]?.int { counts["nModified", default: 0] += modified }
        counts["n\(verb.prefix(1).uppercased())\(verb.dropFirst())", default: 0] += reply["n"]?.int ?? 0
        func place(_ index: Int) -> Int { batch.places.indices.contains(index) ? batch.places[index] : index }
        for one in reply["upserted"]?.array ?? [] {
            upserted.append(["index": BSON(place(one["index"]?.int ?? 0)), "_id": one["_id"] ?? .null])
        }
        for error in response.mongoError?.writeErrors ?? [] {
            errors.append(.init(index: place(error.index), code: error.code, message: error.message))
        }
        if let error = response.mongoError, error.writeErrors.isEmpty { other = error }
        if response.failure == nil { ids += batch.ids }
    }

    var reply: Document {
        var document: Document = ["ok": 1]
        for (name, count) in counts.sorted(by: { $0.key < $1.key }) { document.append(name, BSON(count)) }
        if !upserted.isEmpty { document.append("upserted", .array(upserted)) }
        if !errors.isEmpty {
            document.append(
                "writeErrors",
                .array(errors.map { ["index": BSON($0.index), "code": BSON($0.code), "errmsg": .string($0.message)] }))
        }
        return document
    }

    var error: MongoError? { errors.isEmpty ? other : MongoError(reply) }
}
