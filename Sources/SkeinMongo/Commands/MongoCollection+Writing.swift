// Write commands.

import SkeinCore

extension MongoCollection {
    /// Inserts a document; if it has no `_id`, one is generated, which is the first element of
    /// ``MongoResult/insertedIDs``.
    @discardableResult
    public func insertOne(_ document: Document) -> Corequest<MongoResponse> { insertMany([document]) }

    /// Inserts an encoded value.
    /// - Throws: `EncodingError`.
    @discardableResult
    public func insertOne(encoding value: some Encodable) throws -> Corequest<MongoResponse> {
        insertOne(try Document(encoding: value))
    }

    /// Inserts any number of documents, in as few messages as the server's limits allow.
    /// - Parameter ordered: whether the first failure stops the insertion. Default: true.
    @discardableResult
    public func insertMany(_ documents: [Document], ordered: Bool = true) -> Corequest<MongoResponse> {
        write(documents.map { BulkWrite.insert($0) }, "insert", ordered: ordered)
    }

    /// Inserts encoded values.
    /// - Throws: `EncodingError`.
    @discardableResult
    public func insertMany(encoding values: [some Encodable], ordered: Bool = true) throws -> Corequest<MongoResponse> {
        insertMany(try values.map { try Document(encoding: $0) }, ordered: ordered)
    }

    /// Updates the first document that matches a filter: `updateOne(["_id": id], ["$inc": ["hits": 1]])`.
    /// - Parameters:
    ///   - filter: the filter.
    ///   - change: update operators.
    ///   - upserts: whether a document is inserted when none matches. Default: false.
    @discardableResult
    public func updateOne(_ filter: Document, _ change: Document, upserts: Bool = false) -> Corequest<MongoResponse> {
        write([.updateOne(filter, change, upserts: upserts)], "update")
    }

    /// Updates all documents that match a filter.
    @discardableResult
    public func updateMany(_ filter: Document, _ change: Document, upserts: Bool = false) -> Corequest<MongoResponse> {
        write([.updateMany(filter, change, upserts: upserts)], "update")
    }

    /// Replaces the first document that matches a filter; its `_id` does not change.
    @discardableResult
    public func replaceOne(
        _ filter: Document, _ replacement: Document, upserts: Bool = false
    ) -> Corequest<MongoResponse> { write([.replaceOne(filter, replacement, upserts: upserts)], "update") }

    /// Deletes the first document that matches a filter.
    @discardableResult
    public func deleteOne(_ filter: Document) -> Corequest<MongoResponse> { write([.deleteOne(filter)], "delete") }

    /// Deletes all documents that match a filter.
    @discardableResult
    public func deleteMany(_ filter: Document) -> Corequest<MongoResponse> { write([.deleteMany(filter)], "delete") }

    /// Performs writes of different kinds in order, in as few messages as the server's limits allow.
    /// - Parameter ordered: whether the first failure stops the writes. Default: true.
    /// - Returns: the corequest; its response has the sums, and the errors with their indices in the list.
    @discardableResult
    public func bulkWrite(_ writes: [BulkWrite], ordered: Bool = true) -> Corequest<MongoResponse> {
        write(writes, "bulkWrite", ordered: ordered)
    }

    /// A document is updated by operators, or replaced by a document without operators.
    package func write(_ filter: Document, _ change: Document, upserts: Bool) -> Corequest<MongoResponse> {
        change.isEmpty || change.hasOperators
            ? updateOne(filter, change, upserts: upserts) : replaceOne(filter, change, upserts: upserts)
    }

    // MARK: Find and modify

    /// Updates the first document that matches a filter and returns it:
    /// `findOneAndUpdate([…], ["$inc": […]]).fetch(Post?.self)`.
    /// - Parameters:
    ///   - filter: the filter.
    ///   - change: update operators, or the replacement.
    ///   - sort: the order that determines the first document.
    ///   - upserts: whether a document is inserted when none matches. Default: false.
    ///   - returnsNew: whether the document after the update is returned, and not the one before. Default: false.
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

    /// Deletes the first document that matches a filter and returns it.
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
