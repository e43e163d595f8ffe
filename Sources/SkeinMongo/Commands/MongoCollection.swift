// A collection and its commands.

import SkeinCore

/// A collection: documents with IDs (`_id`). Every command starts at once and returns a corequest.
public struct MongoCollection: Sendable {
    /// The database of the collection.
    public let database: MongoDatabase
    /// Its name.
    public let name: String

    var client: MongoClient { database.client }

    /// A command for this collection.
    func command(_ verb: String, _ members: Document = [:]) -> MongoCommand {
        var document: Document = [verb: .string(name)]
        for (key, value) in members { document.append(key, value) }
        var command = MongoCommand(document, on: database.name)
        command.session = database.session
        return command
    }

    /// A read command.
    func reading(
        _ verb: String, shape: MongoCommand.Shape, _ fill: (inout Document) -> Void
    ) -> MongoCommand {
        var command = command(verb)
        fill(&command.document)
        command.isRead = true
        command.shape = shape
        command.selector = .read(client.configuration.readPreference)
        if let level = client.configuration.readConcern, database.session == nil {
            command.document.append("readConcern", ["level": .string(level.rawValue)])
        }
        return command
    }

    /// A write command.
    /// - Parameter isOnce: whether it writes single documents, so that the server can detect that it is repeated.
    func writing(_ verb: String, isOnce: Bool, _ fill: (inout MongoCommand) -> Void) -> MongoCommand {
        var command = command(verb)
        command.isOnce = isOnce
        fill(&command)
        if let concern = client.configuration.writeConcern, database.session?.isInTransaction != true {
            command.document.append("writeConcern", .document(concern.document))
            command.isUnacknowledged = concern.isUnacknowledged
            if concern.isUnacknowledged { command.isOnce = false }
        }
        return command
    }

    // MARK: Management

    /// Creates indexes: `createIndexes(["author": 1, "date": -1])`.
    /// - Parameters:
    ///   - keys: for each index, its members with 1 for ascending, -1 for descending, or the kind of index.
    ///   - unique: whether the indexes are unique.
    ///   - options: further options of each index, such as `["expireAfterSeconds": 3600]`.
    @discardableResult
    public func createIndexes(
        _ keys: Document..., unique: Bool = false, options: Document = [:]
    ) -> Corequest<MongoResponse> {
        let indexes = keys.map { keys -> BSON in
            let name = keys.map { "\($0.key)_\($0.value.string ?? "\($0.value)")" }.joined(separator: "_")
            var index: Document = ["key": .document(keys), "name": .string(name)]
            index.append("unique", if: unique)
            for (key, value) in options { index.append(key, value) }
            return .document(index)
        }
        return client.start(command("createIndexes", ["indexes": .array(indexes)]))
    }

    /// The indexes.
    @discardableResult
    public func indexes() -> Corequest<MongoResponse> {
        client.start(
            command("listIndexes").with {
                $0.shape = .documents
                $0.drains = true
                $0.isRead = true
            })
    }

    /// Drops an index by its name; `*` for all.
    @discardableResult
    public func dropIndex(_ index: String) -> Corequest<MongoResponse> {
        client.start(command("dropIndexes", ["index": .string(index)]))
    }

    /// Creates the collection with options: `["capped": true, "size": 1_000_000]`. Without options, the first insert
    /// creates it, too.
    @discardableResult
    public func create(_ options: Document = [:]) -> Corequest<MongoResponse> {
        client.start(command("create", options))
    }

    /// Drops the collection.
    @discardableResult
    public func drop() -> Corequest<MongoResponse> { client.start(command("drop")) }
}
