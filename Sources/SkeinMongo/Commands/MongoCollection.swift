// A collection and the commands about it.

import SkeinCore

/// A collection: documents with identifiers (`_id`). Every command starts at once and returns a corequest.
public struct MongoCollection: Sendable {
    /// The database it is in.
    public let database: MongoDatabase
    /// Its name.
    public let name: String

    var client: MongoClient { database.client }

    /// A command about this collection.
    func command(_ verb: String, _ members: Document = [:]) -> MongoCommand {
        var document: Document = [verb: .string(name)]
        for (key, value) in members { document.append(key, value) }
        var command = MongoCommand(document, on: database.name)
        command.session = database.session
        return command
    }

    /// A command that reads.
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

    /// A command that writes.
    /// - Parameter isOnce: whether it is about single documents, so that the server can see that it is sent again.
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

    // MARK: The collection itself

    /// Makes indexes: `createIndexes(["author": 1, "date": -1])`.
    /// - Parameters:
    ///   - keys: for each index, its members with 1 for ascending, -1 for descending, or the kind of index.
    ///   - unique: whether no two documents may have the same.
    ///   - options: what else is said of each, such as `["expireAfterSeconds": 3600]`.
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

    /// Deletes an index by its name; `*` for all.
    @discardableResult
    public func dropIndex(_ index: String) -> Corequest<MongoResponse> {
        client.start(command("dropIndexes", ["index": .string(index)]))
    }

    /// Makes the collection, which the first document would do as well, with options: `["capped": true, "size": 1_000_000]`.
    @discardableResult
    public func create(_ options: Document = [:]) -> Corequest<MongoResponse> {
        client.start(command("create", options))
    }

    /// Deletes it with all its documents.
    @discardableResult
    public func drop() -> Corequest<MongoResponse> { client.start(command("drop")) }
}
