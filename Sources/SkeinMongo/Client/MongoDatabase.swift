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
}
