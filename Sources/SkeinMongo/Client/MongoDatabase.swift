// A database: the ancestor's commands, each with the name of its collection, and whatever else a server understands.

import SkeinCore

/// A database. Every command starts at once and returns a corequest.
public struct MongoDatabase: Sendable {
    /// The deployment it is in.
    public let client: MongoClient
    /// Its name.
    public let name: String
    /// The session that commands are made in. Default: none.
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
    ///   - command: its first member names it.
    ///   - readPreference: which members of a replica set may carry it out. Default: the primary.
    ///   - timeout: from the moment it gets its place to its answer. Default: the client's.
    ///   - meta: what travels along to the response.
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

    /// Deletes it and all that is in it.
    @discardableResult
    public func drop() -> Corequest<MongoResponse> { run(["dropDatabase": 1]) }

    // MARK: The ancestor's commands

    /// Finds documents.
    /// - Parameters:
    ///   - collection: the name of the collection.
    ///   - spec: what they have to be like. Default: anything.
    ///   - offset: how many are left out first.
    ///   - limit: how many are wanted; -1 for all. Default: 1.
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

    /// Finds documents and keeps the cursor for ``getMore(_:_:_:)``; who does not read to its end has to close it by ``killCursors(_:in:)``.
    @discardableResult
    public func findkc(
        _ collection: String, _ spec: Document = [:], offset: Int = 0, limit: Int = 1
    ) -> Corequest<MongoResponse> {
        self[collection].begin(spec, FindOptions(skip: offset), batchSize: max(1, limit))
    }

    /// The next documents of a cursor.
    /// - Parameters:
    ///   - collection: the name of its collection.
    ///   - cursor: ``MongoResult/cursorID`` of the answer before.
    ///   - count: how many at most; 0 for the server's choice.
    @discardableResult
    public func getMore(_ collection: String, _ cursor: Int64, _ count: Int = 0) -> Corequest<MongoResponse> {
        client.start(self[collection].getMore(cursor, batchSize: count > 0 ? count : nil))
    }

    /// Closes cursors that are not read to their end.
    @discardableResult
    public func killCursors(_ cursors: [Int64], in collection: String) -> Corequest<MongoResponse> {
        run(["killCursors": .string(collection), "cursors": .array(cursors.map { .int64($0) })])
    }

    /// Adds documents.
    /// - Parameter continueOnError: whether those behind one that cannot be added are added all the same.
    @discardableResult
    public func insert(
        _ collection: String, _ documents: [Document], continueOnError: Bool = false
    ) -> Corequest<MongoResponse> { self[collection].insertMany(documents, ordered: !continueOnError) }

    /// Adds a document.
    @discardableResult
    public func insert(_ collection: String, _ document: Document) -> Corequest<MongoResponse> {
        self[collection].insertOne(document)
    }

    /// Changes all documents that are like the spec.
    /// - Parameter change: operators, `["$set": ["read": true]]`, or plain members, which are set.
    @discardableResult
    public func update(_ collection: String, _ spec: Document, _ change: Document) -> Corequest<MongoResponse> {
        self[collection].updateMany(spec, Self.operators(change))
    }

    /// Changes one document that is like the spec: by operators, or as a whole.
    @discardableResult
    public func updateone(_ collection: String, _ spec: Document, _ change: Document) -> Corequest<MongoResponse> {
        self[collection].write(spec, change, upserts: false)
    }

    /// Changes all documents that are like the spec, or adds one when there is none.
    @discardableResult
    public func upsert(_ collection: String, _ spec: Document, _ change: Document) -> Corequest<MongoResponse> {
        self[collection].updateMany(spec, Self.operators(change), upserts: true)
    }

    /// Changes one document that is like the spec, or adds one when there is none.
    @discardableResult
    public func upsertone(_ collection: String, _ spec: Document, _ change: Document) -> Corequest<MongoResponse> {
        self[collection].write(spec, change, upserts: true)
    }

    /// Deletes documents that are like the spec.
    /// - Parameter flag: 1 for the first of them only. Default: all.
    @discardableResult
    public func delete(_ collection: String, _ spec: Document, flag: Int = 0) -> Corequest<MongoResponse> {
        flag & 1 == 1 ? self[collection].deleteOne(spec) : self[collection].deleteMany(spec)
    }

    /// Many documents cannot be replaced by one; their members are set.
    private static func operators(_ change: Document) -> Document {
        change.isEmpty || change.hasOperators ? change : ["$set": .document(change)]
    }
}
