// A command before it is sent: what it says, and what decides where and how often it is sent.

import SkeinCore
import SkeinTransport

/// A command.
struct MongoCommand: Sendable {
    /// Where in an answer that stands which the caller has asked for.
    enum Shape: Sendable {
        /// The documents of a cursor.
        case documents
        /// One member of the answer.
        case member(String)
        /// The whole answer.
        case reply
    }

    let database: String
    /// Its first member names it.
    var document: Document
    /// Documents that belong to a member of it and are sent beside it.
    var sequence: (name: String, documents: [Document])?
    var selector = MongoTopology.Selector.write
    var shape = Shape.reply
    /// Whether it reads, so that it may be carried out twice.
    var isRead = false
    /// Whether it is a write that servers with sessions carry out only once, however often it is sent.
    var isOnce = false
    var isUnacknowledged = false
    /// Whether all batches of its cursor are wanted in one answer.
    var drains = false
    /// Whether the server may keep it waiting, and with it whoever shares the connection.
    var blocks = false
    var session: MongoSession?

    /// A command of one's own making.
    init(_ document: Document, on database: String) {
        self.document = document
        self.database = database
    }

    /// What it does; the name of its first member.
    var name: String { document.firstKey ?? "" }

    func with(_ change: (inout Self) -> Void) -> Self {
        var command = self
        change(&command)
        return command
    }
}

extension Document {
    /// Adds a member where there is a value for it.
    mutating func append(_ key: String, ifAny value: BSON?) { if let value { append(key, value) } }
    mutating func append(_ key: String, ifAny value: Document?) { if let value { append(key, .document(value)) } }
    mutating func append(_ key: String, ifAny value: Int?) { if let value { append(key, BSON(value)) } }
    /// Adds a member that says yes.
    mutating func append(_ key: String, if isSo: Bool) { if isSo { append(key, true) } }
}
