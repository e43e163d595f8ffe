// Read commands.

import SkeinCore

/// The options of a `find` beside its filter.
public struct FindOptions: Sendable {
    /// The order: members with 1 for ascending, -1 for descending.
    public var sort: Document?
    /// Members to include (1) or to exclude (0).
    public var projection: Document?
    /// The number of documents to skip.
    public var skip = 0
    /// The maximum number of documents. Default: all.
    public var limit: Int?
    /// The number of documents per batch. Default: the server's choice.
    public var batchSize: Int?
    /// The index to use: its name, or its keys.
    public var hint: BSON?
    /// Collation rules, such as `["locale": "de"]`.
    public var collation: Document?

    /// Options, each with its default.
    public init(
        sort: Document? = nil, projection: Document? = nil, skip: Int = 0, limit: Int? = nil, batchSize: Int? = nil,
        hint: BSON? = nil, collation: Document? = nil
    ) {
        self.sort = sort
        self.projection = projection
        self.skip = skip
        self.limit = limit
        self.batchSize = batchSize
        self.hint = hint
        self.collation = collation
    }

    func write(_ filter: Document, into document: inout Document) {
        document.append("filter", .document(filter))
        document.append("sort", ifAny: sort)
        document.append("projection", ifAny: projection)
        document.append("skip", ifAny: skip > 0 ? skip : nil)
        document.append("limit", ifAny: limit)
        document.append("hint", ifAny: hint)
        document.append("collation", ifAny: collation)
    }
}

extension MongoCollection {
    /// Finds all documents that match a filter, in one response:
    /// `find(["age": ["$gte": 18]], sort: ["name": 1]).fetch([Person].self)`.
    ///
    /// For results larger than the memory, use ``stream(_:_:)``.
    /// - Parameters:
    ///   - filter: the filter. Default: all documents.
    ///   - sort: the order: members with 1 for ascending, -1 for descending.
    ///   - projection: members to include (1) or to exclude (0).
    ///   - skip: the number of documents to skip.
    ///   - limit: the maximum number of documents. Default: all.
    @discardableResult
    public func find(
        _ filter: Document = [:], sort: Document? = nil, projection: Document? = nil, skip: Int = 0, limit: Int? = nil
    ) -> Corequest<MongoResponse> {
        find(filter, FindOptions(sort: sort, projection: projection, skip: skip, limit: limit))
    }

    /// Finds all documents that match a filter, with all options.
    @discardableResult
    public func find(_ filter: Document, _ options: FindOptions) -> Corequest<MongoResponse> {
        client.start(
            reading("find", shape: .documents) { document in
                options.write(filter, into: &document)
                document.append("batchSize", ifAny: options.batchSize)
            }.with { $0.drains = true })
    }

    /// Finds the first document that matches a filter.
    /// - Parameters:
    ///   - timeout: from the moment it gets a slot to its response. Default: the client's.
    ///   - meta: metadata that the response carries.
    ///   - callback: called with the response, on an event loop.
    @discardableResult
    public func findOne(
        _ filter: Document = [:], sort: Document? = nil, projection: Document? = nil, timeout: Duration? = nil,
        meta: RequestMetadata = RequestMetadata(), callback: (@Sendable (MongoResponse) -> Void)? = nil
    ) -> Corequest<MongoResponse> {
        let command = reading("find", shape: .documents) { document in
            FindOptions(sort: sort, projection: projection, limit: 1).write(filter, into: &document)
            document.append("singleBatch", true)
        }
        return client.start(command, timeout: timeout, meta: meta, callback: callback)
    }

    /// Opens a cursor, with its first batch.
    package func begin(_ filter: Document, _ options: FindOptions, batchSize: Int?) -> Corequest<MongoResponse> {
        client.start(
            reading("find", shape: .documents) { document in
                options.write(filter, into: &document)
                document.append("batchSize", ifAny: batchSize)
            })
    }

    /// The next documents of a cursor.
    package func more(_ cursor: Int64, batchSize: Int?) -> Corequest<MongoResponse> {
        client.start(getMore(cursor, batchSize: batchSize))
    }

    func getMore(_ cursor: Int64, batchSize: Int?) -> MongoCommand {
        var document: Document = ["getMore": .int64(cursor), "collection": .string(name)]
        document.append("batchSize", ifAny: batchSize)
        var command = MongoCommand(document, on: database.name)
        command.shape = .documents
        command.session = database.session
        command.selector = .read(client.configuration.readPreference)
        return command
    }

    /// Runs an aggregation pipeline: `aggregate([["$match": […]], ["$group": […]]])`; all results are in one response.
    @discardableResult
    public func aggregate(_ pipeline: [Document], options: Document = [:]) -> Corequest<MongoResponse> {
        client.start(aggregation(pipeline, options).with { $0.drains = true })
    }

    /// - Parameter batchSize: documents per batch. Default: the server's choice.
    func aggregation(_ pipeline: [Document], _ options: Document, batchSize: Int? = nil) -> MongoCommand {
        let writes = pipeline.last.map { $0.contains("$out") || $0.contains("$merge") } ?? false
        let command = reading("aggregate", shape: .documents) { document in
            document.append("pipeline", .array(pipeline.map { .document($0) }))
            var cursor = Document()
            cursor.append("batchSize", ifAny: batchSize)
            document.append("cursor", .document(cursor))
            for (key, value) in options { document.append(key, value) }
        }
        return command.with {
            guard writes else { return }
            $0.isRead = false
            $0.selector = .write
        }
    }

    /// The distinct values of a member: `distinct("author").fetch([String].self)`.
    @discardableResult
    public func distinct(_ key: String, _ filter: Document = [:]) -> Corequest<MongoResponse> {
        client.start(
            reading("distinct", shape: .member("values")) { document in
                document.append("key", .string(key))
                document.append("query", .document(filter))
            })
    }

    /// The number of documents that match a filter: `count().fetch(Int.self)`.
    @discardableResult
    public func count(_ filter: Document = [:], skip: Int = 0, limit: Int? = nil) -> Corequest<MongoResponse> {
        client.start(
            reading("count", shape: .member("n")) { document in
                document.append("query", .document(filter))
                document.append("skip", ifAny: skip > 0 ? skip : nil)
                document.append("limit", ifAny: limit)
            })
    }
}
