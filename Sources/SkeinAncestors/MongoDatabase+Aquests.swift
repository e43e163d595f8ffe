// The MongoDB commands of aquests: each takes the name of a collection.

import SkeinCore
import SkeinMongo

extension MongoDatabase {
    /// Finds documents; ``SkeinMongo/MongoCollection/find(_:sort:skip:limit:projection:)`` in Skein's own words.
    /// - Parameters:
    ///   - collection: the name of the collection.
    ///   - spec: the filter. Default: every document.
    ///   - offset: the number of documents to skip.
    ///   - limit: the largest number of documents; -1 for all. Default: 1.
    @discardableResult
    public func find(
        _ collection: String, _ spec: Document = [:], offset: Int = 0, limit: Int = 1
    ) -> Corequest<MongoResponse> { self[collection].find(spec, skip: offset, limit: limit < 0 ? nil : limit) }

    /// Finds one document.
    @discardableResult
    public func findone(_ collection: String, _ spec: Document = [:]) -> Corequest<MongoResponse> {
        self[collection].findOne(spec)
    }

    /// Finds all documents.
    @discardableResult
    public func findall(_ collection: String, _ spec: Document = [:]) -> Corequest<MongoResponse> {
        self[collection].find(spec)
    }

    /// Finds documents and keeps the cursor for ``getMore(_:_:_:)``. A caller that does not read to the end closes it by
    /// ``killCursors(_:in:)``.
    @discardableResult
    public func findkc(
        _ collection: String, _ spec: Document = [:], offset: Int = 0, limit: Int = 1
    ) -> Corequest<MongoResponse> {
        self[collection].begin(spec, FindOptions(skip: offset), batchSize: max(1, limit))
    }

    /// The next documents of a cursor; `get_more` in aquests.
    /// - Parameters:
    ///   - collection: the name of its collection.
    ///   - cursor: ``SkeinMongo/MongoResult/cursorID`` of the response before.
    ///   - count: the largest number of documents; 0 for the server's choice.
    @discardableResult
    public func getMore(_ collection: String, _ cursor: Int64, _ count: Int = 0) -> Corequest<MongoResponse> {
        self[collection].more(cursor, batchSize: count > 0 ? count : nil)
    }

    /// Closes cursors that are not read to their end; `kill_cursors` in aquests.
    @discardableResult
    public func killCursors(_ cursors: [Int64], in collection: String) -> Corequest<MongoResponse> {
        run(["killCursors": .string(collection), "cursors": .array(cursors.map { .int64($0) })])
    }

    /// Adds documents.
    /// - Parameter continueOnError: whether the documents behind one that is refused are added. Default: no.
    @discardableResult
    public func insert(
        _ collection: String, _ documents: [Document], continueOnError: Bool = false
    ) -> Corequest<MongoResponse> { self[collection].insertMany(documents, ordered: !continueOnError) }

    /// Adds a document.
    @discardableResult
    public func insert(_ collection: String, _ document: Document) -> Corequest<MongoResponse> {
        self[collection].insertOne(document)
    }

    /// Changes all documents that match a filter.
    /// - Parameter change: operators, `["$set": ["read": true]]`, or plain members, which are set.
    @discardableResult
    public func update(_ collection: String, _ spec: Document, _ change: Document) -> Corequest<MongoResponse> {
        self[collection].updateMany(spec, change.asOperators)
    }

    /// Changes one document that matches a filter: by operators, or as a whole.
    @discardableResult
    public func updateone(_ collection: String, _ spec: Document, _ change: Document) -> Corequest<MongoResponse> {
        self[collection].write(spec, change, upserts: false)
    }

    /// Changes all documents that match a filter, or adds one when none does.
    @discardableResult
    public func upsert(_ collection: String, _ spec: Document, _ change: Document) -> Corequest<MongoResponse> {
        self[collection].updateMany(spec, change.asOperators, upserts: true)
    }

    /// Changes one document that matches a filter, or adds one when none does.
    @discardableResult
    public func upsertone(_ collection: String, _ spec: Document, _ change: Document) -> Corequest<MongoResponse> {
        self[collection].write(spec, change, upserts: true)
    }

    /// Deletes documents that match a filter.
    /// - Parameter flag: 1 for the first of them only. Default: all.
    @discardableResult
    public func delete(_ collection: String, _ spec: Document, flag: Int = 0) -> Corequest<MongoResponse> {
        flag & 1 == 1 ? self[collection].deleteOne(spec) : self[collection].deleteMany(spec)
    }
}

extension MongoResult {
    /// The number of documents; `number_returned` in aquests.
    public var numberReturned: Int { data.count }
    /// The position of the first document among all that the cursor brings; always 0, since each response of `getMore` is one of its own.
    public var startingFrom: Int { 0 }
}
