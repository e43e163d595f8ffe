// A command before it is sent: its document, and the properties for server selection and retry.

import SkeinCore
import SkeinTransport

/// A command.
struct MongoCommand: Sendable {
    /// The part of the reply that is the result.
    enum Shape: Sendable {
        /// The documents of a cursor.
        case documents
        /// One member of the reply.
        case member(String)
        /// The whole reply.
        case reply
    }

    let database: String
    /// Its first member is its name.
    var document: Document
    /// Documents of a member that are sent in a separate section.
    var sequence: (name: String, documents: [Document])?
    var selector = MongoTopology.Selector.write
    var shape = Shape.reply
    /// Whether it only reads, so that it may be executed twice.
    var isRead = false
    /// Whether it is a retryable write, which servers with sessions execute only once.
    var isOnce = false
    var isUnacknowledged = false
    /// Whether all batches of its cursor are collected in one response.
    var drains = false
    /// Whether the server may block it, and other commands on the same connection.
    var blocks = false
    var session: MongoSession?

    /// A command by its document.
    init(_ document: Document, on database: String) {
        self.document = document
        self.database = database
    }

    /// Its name, which is that of its first member.
    var name: String { document.firstKey ?? "" }

    func with(_ change: (inout Self) -> Void) -> Self {
        var command = self
        change(&command)
        return command
    }
}

extension Document {
    /// Appends a member if there is a value for it.
    mutating func append(_ key: String, ifAny value: BSON?) { if let value { append(key, value) } }
    mutating func append(_ key: String, ifAny value: Document?) { if let value { append(key, .document(value)) } }
    mutating func append(_ key: String, ifAny value: Int?) { if let value { append(key, BSON(value)) } }
    /// Appends a member with the value true, if a condition holds.
    mutating func append(_ key: String, if isSo: Bool) { if isSo { append(key, true) } }
}
