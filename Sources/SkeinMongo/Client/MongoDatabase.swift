// A database: commands with the names of aquests, each with its collection, and any other command.

import SkeinCore

/// A database. Every command starts at once and returns a corequest.
public struct MongoDatabase: Sendable {
    /// The client of its deployment.
    public let client: MongoClient
    /// Its name.
    public let name: String
    /// The session of its commands. Default: none.
    public let session: MongoSession?

    init(client: MongoClient, name: String, session: MongoSession? = nil) {
        self.client = client
        self.name = name
        self.session = session
    }

    /// A collection by its name.
    public subscript(name: String) -> MongoCollection { MongoCollection(database: self, name: name) }

    /// Starts any command: `run(["dbStats": 1])`.
    /// - Parameters:
    ///   - command: the command; its first member is its name.
    ///   - readPreference: the members of a replica set that may execute it. Default: the primary.
    ///   - timeout: from the moment it gets a slot to its response. Default: the client's.
    ///   - meta: metadata that the response carries.
    ///   - callback: called with the response, on an event loop.
    @discardableResult
    public func run(
        _ command: Document, readPreference: MongoReadPreference? = nil, timeout: Duration? = nil,
        meta: RequestMetadata = RequestMetadata(),
        callback: (@Sendable (MongoResponse) -> Void)? = nil
    ) -> Corequest<MongoResponse> {
        var command = MongoCommand(command, on: name)
        command.session = session
        if let readPreference { command.selector = .read(readPreference) }
        return client.start(command, timeout: timeout, meta: meta, callback: callback)
    }

    /// The names of its collections.
    public func collectionNames() async throws -> [String] {
        var command = MongoCommand(["listCollections": 1, "nameOnly": true], on: name)
        command.session = session
        command.isRead = true
        command.shape = .documents
        command.drains = true
        return try await client.start(command).fetch().data.compactMap { $0["name"]?.string }
    }

    /// Drops the database.
    @discardableResult
    public func drop() -> Corequest<MongoResponse> { run(["dropDatabase": 1]) }

    // MARK: Commands with the names of aquests

    /// Finds documents.
    /// - Parameters:
    ///   - collection: the collection.
    ///   - spec: the filter. Default: all documents.
    ///   - offset: the number of documents to skip.
    ///   - limit: the maximum number of documents; -1 for all. Default: 1.
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

    /// Finds documents and keeps the cursor open for ``getMore(_:_:_:)``; a caller that does not read to the end must
    /// close it by ``killCursors(_:in:)``.
    @discardableResult
    public func findkc(
        _ collection: String, _ spec: Document = [:], offset: Int = 0, limit: Int = 1
    ) -> Corequest<MongoResponse> {
        self[collection].begin(spec, FindOptions(skip: offset), batchSize: max(1, limit))
    }

    /// The next batch of a cursor.
    /// - Parameters:
    ///   - collection: its collection.
    ///   - cursor: ``MongoResult/cursorID`` of the previous response.
    ///   - count: the maximum number of documents; 0 for the server's choice.
    @discardableResult
    public func getMore(_ collection: String, _ cursor: Int64, _ count: Int = 0) -> Corequest<MongoResponse> {
        client.start(self[collection].getMore(cursor, batchSize: count > 0 ? count : nil))
    }

    /// Closes cursors before their end.
    @discardableResult
    public func killCursors(_ cursors: [Int64], in collection: String) -> Corequest<MongoResponse> {
        run(["killCursors": .string(collection), "cursors": .array(cursors.map { .int64($0) })])
    }

    /// Inserts documents.
    /// - Parameter continueOnError: whether the documents after a failed one are inserted nevertheless.
    @discardableResult
    public func insert(
        _ collection: String, _ documents: [Document], continueOnError: Bool = false
    ) -> Corequest<MongoResponse> { self[collection].insertMany(documents, ordered: !continueOnError) }

    /// Inserts a document.
    @discardableResult
    public func insert(_ collection: String, _ document: Document) -> Corequest<MongoResponse> {
        self[collection].insertOne(document)
    }

    /// Updates all documents that match a filter.
    /// - Parameter change: update operators, `["$set": ["read": true]]`, or plain members, which are set.
    @discardableResult
    public func update(_ collection: String, _ spec: Document, _ change: Document) -> Corequest<MongoResponse> {
        self[collection].updateMany(spec, Self.operators(change))
    }

    /// Updates one document that matches a filter: by operators, or by replacement.
    @discardableResult
    public func updateone(_ collection: String, _ spec: Document, _ change: Document) -> Corequest<MongoResponse> {
        self[collection].write(spec, change, upserts: false)
    }

    /// Updates all documents that match a filter, or inserts one when there is none.
    @discardableResult
    public func upsert(_ collection: String, _ spec: Document, _ change: Document) -> Corequest<MongoResponse> {
        self[collection].updateMany(spec, Self.operators(change), upserts: true)
    }

    /// Updates one document that matches a filter, or inserts one when there is none.
    @discardableResult
    public func upsertone(_ collection: String, _ spec: Document, _ change: Document) -> Corequest<MongoResponse> {
        self[collection].write(spec, change, upserts: true)
    }

    /// Deletes documents that match a filter.
    /// - Parameter flag: 1 for the first match only. Default: all.
    @discardableResult
    public func delete(_ collection: String, _ spec: Document, flag: Int = 0) -> Corequest<MongoResponse> {
        flag & 1 == 1 ? self[collection].deleteOne(spec) : self[collection].deleteMany(spec)
    }

    /// Several documents cannot be replaced by one; the plain members are set.
    private static func operators(_ change: Document) -> Document {
        change.isEmpty || change.hasOperators ? change : ["$set": .document(change)]
    }
}
