// Commands that write.

import SkeinCore

extension MongoCollection {
    /// Adds a document; one without `_id` is given one, which is the first member of ``MongoResult/insertedIDs``.
    @discardableResult
    public func insertOne(_ document: Document) -> Corequest<MongoResponse> { insertMany([document]) }

    /// Adds a value that can be encoded.
    /// - Throws: `EncodingError`.
    @discardableResult
    public func insertOne(encoding value: some Encodable) throws -> Corequest<MongoResponse> {
        insertOne(try Document(encoding: value))
    }

    /// Adds documents, as many as there are, in as few messages as the server takes.
    /// - Parameter ordered: whether nothing behind one that cannot be added is added. Default: true.
    @discardableResult
    public func insertMany(_ documents: [Document], ordered: Bool = true) -> Corequest<MongoResponse> {
        write(documents.map { BulkWrite.insert($0) }, "insert", ordered: ordered)
    }

    /// Adds values that can be encoded.
    /// - Throws: `EncodingError`.
    @discardableResult
    public func insertMany(encoding values: [some Encodable], ordered: Bool = true) throws -> Corequest<MongoResponse> {
        insertMany(try values.map { try Document(encoding: $0) }, ordered: ordered)
    }

    /// Changes the first document that is like a filter: `updateOne(["_id": id], ["$inc": ["hits": 1]])`.
    /// - Parameters:
    ///   - filter: what it has to be like.
    ///   - change: operators.
    ///   - upserts: whether one is added when there is none. Default: false.
    @discardableResult
    public func updateOne(_ filter: Document, _ change: Document, upserts: Bool = false) -> Corequest<MongoResponse> {
        write([.updateOne(filter, change, upserts: upserts)], "update")
    }

    /// Changes all documents that are like a filter.
    @discardableResult
    public func updateMany(_ filter: Document, _ change: Document, upserts: Bool = false) -> Corequest<MongoResponse> {
        write([.updateMany(filter, change, upserts: upserts)], "update")
    }

    /// Replaces the first document that is like a filter; it keeps its `_id`.
    @discardableResult
    public func replaceOne(
        _ filter: Document, _ replacement: Document, upserts: Bool = false
    ) -> Corequest<MongoResponse> { write([.replaceOne(filter, replacement, upserts: upserts)], "update") }

    /// Deletes the first document that is like a filter.
    @discardableResult
    public func deleteOne(_ filter: Document) -> Corequest<MongoResponse> { write([.deleteOne(filter)], "delete") }

    /// Deletes all documents that are like a filter.
    @discardableResult
    public func deleteMany(_ filter: Document) -> Corequest<MongoResponse> { write([.deleteMany(filter)], "delete") }

    /// Writes of different kinds in their order, in as few messages as the server takes.
    /// - Parameter ordered: whether nothing behind one that fails is carried out. Default: true.
    /// - Returns: the corequest; its answer has the sums, and the errors with their places in the list.
    @discardableResult
    public func bulkWrite(_ writes: [BulkWrite], ordered: Bool = true) -> Corequest<MongoResponse> {
        write(writes, "bulkWrite", ordered: ordered)
    }

    /// One document is changed by operators, or replaced by what has none.
    package func write(_ filter: Document, _ change: Document, upserts: Bool) -> Corequest<MongoResponse> {
        change.isEmpty || change.hasOperators
            ? updateOne(filter, change, upserts: upserts) : replaceOne(filter, change, upserts: upserts)
    }

    // MARK: Find and change

    /// Changes the first document that is like a filter and answers with it: `findOneAndUpdate([…], ["$inc": […]]).fetch(Post?.self)`.
    /// - Parameters:
    ///   - filter: what it has to be like.
    ///   - change: operators, or what replaces it.
    ///   - sort: which is the first.
    ///   - upserts: whether one is added when there is none. Default: false.
    ///   - returnsNew: whether the answer is the document as it is then, and not as it was. Default: false.
    @discardableResult
    public func findOneAndUpdate(
        _ filter: Document, _ change: Document, sort: Document? = nil, projection: Document? = nil,
        upserts: Bool = false, returnsNew: Bool = false
    ) -> Corequest<MongoResponse> {
        findAndModify(filter, sort, projection) { document in
            document.append("update", .document(change))
            document.append("upsert", if: upserts)
            document.append("new", if: returnsNew)
        }
    }

    /// Deletes the first document that is like a filter and answers with it.
    @discardableResult
    public func findOneAndDelete(
        _ filter: Document, sort: Document? = nil, projection: Document? = nil
    ) -> Corequest<MongoResponse> { findAndModify(filter, sort, projection) { $0.append("remove", true) } }

    private func findAndModify(
        _ filter: Document, _ sort: Document?, _ projection: Document?, _ fill: (inout Document) -> Void
    ) -> Corequest<MongoResponse> {
        client.start(
            writing("findAndModify", isOnce: true) { command in
                command.document.append("query", .document(filter))
                command.document.append("sort", ifAny: sort)
                command.document.append("fields", ifAny: projection)
                fill(&command.document)
                command.shape = .member("value")
            })
    }
}
