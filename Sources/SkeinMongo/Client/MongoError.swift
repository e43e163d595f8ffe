// What a server says when it refuses.

/// An error of the server (https://www.mongodb.com/docs/manual/reference/error-codes/).
public struct MongoError: Error, Sendable, Hashable, CustomStringConvertible {
    /// One of several documents that could not be written.
    public struct WriteError: Sendable, Hashable {
        /// Its place among those that were given.
        public let index: Int
        /// The number of the error.
        public let code: Int
        /// What is wrong with it.
        public let message: String
    }

    /// The number of the error; 0 when the server gives none.
    public let code: Int
    /// Its name, such as `Unauthorized`.
    public let codeName: String
    /// What happened.
    public let message: String
    /// What can be done about it, such as `TransientTransactionError`.
    public let labels: Set<String>
    /// The documents that could not be written.
    public let writeErrors: [WriteError]
    /// Whether the write was applied, but its write concern was not met.
    public let isWriteConcern: Bool

    static let commandNotFound = 59
    static let duplicateKeys: Set<Int> = [11000, 11001, 12582]
    static let cursorNotFound = 43
    /// The server is not, or not any more, the primary, or is about to go.
    static let stateChanges: Set<Int> = [10107, 13435, 11600, 11602, 13436, 189, 91, 10058]
    /// What goes away by itself.
    static let retryable: Set<Int> = stateChanges.union([6, 7, 89, 9001, 134, 262])

    /// The error that an answer carries; nil when it is none, which one walk over its members shows.
    static func inside(_ reply: Document) -> MongoError? { mayBeInside(reply) ? MongoError(reply) : nil }

    private static func mayBeInside(_ reply: Document) -> Bool {
        let bytes = reply.bytes
        var isGood = false
        for element in reply.elements {
            switch element.keyLength {
            case 2 where element.key(in: bytes) == "ok": isGood = element.value(in: bytes).isTrue
            case 11 where element.key(in: bytes) == "writeErrors": return true
            case 17 where element.key(in: bytes) == "writeConcernError": return true
            default: break
            }
        }
        return !isGood
    }

    /// The error that an answer carries; nil when it is none.
    init?(_ reply: Document) {
        func errors(_ name: String) -> [BSON] { reply.find(name)?.value(in: reply.bytes).array ?? [] }
        labels = Set(errors("errorLabels").compactMap(\.string))
        writeErrors = errors("writeErrors").map {
            WriteError(index: $0["index"]?.int ?? 0, code: $0["code"]?.int ?? 0, message: $0["errmsg"]?.string ?? "")
        }
        let isGood = reply["ok"]?.isTrue == true
        isWriteConcern = isGood && writeErrors.isEmpty
        if !isGood {
            code = reply["code"]?.int ?? 0
            codeName = reply["codeName"]?.string ?? ""
            message = reply["errmsg"]?.string ?? reply["$err"]?.string ?? "the command failed"
        } else if let first = writeErrors.first {
            code = first.code
            codeName = ""
            let others = writeErrors.count - 1
            message = "\(first.message) (document \(first.index)\(others > 0 ? ", and \(others) more" : ""))"
        } else if let concern = reply["writeConcernError"]?.document {
            code = concern["code"]?.int ?? 0
            codeName = concern["codeName"]?.string ?? ""
            message =
                "the write was applied, but its write concern was not met: \(concern["errmsg"]?.string ?? "the write concern failed")"
        } else {
            return nil
        }
    }

    /// An error by its parts.
    init(code: Int, codeName: String, message: String, labels: Set<String> = [], writeErrors: [WriteError] = []) {
        self.code = code
        self.codeName = codeName
        self.message = message
        self.labels = labels
        self.writeErrors = writeErrors
        isWriteConcern = false
    }

    /// Whether the server is not, or not any more, what it was taken for.
    var isStateChange: Bool { Self.stateChanges.contains(code) || message.containsBytes("not master") }
    /// Whether it is about to stop, which ends its connections, too.
    var isShutdown: Bool { code == 11600 || code == 91 }
    /// Whether a read may be tried again.
    var isRetryableRead: Bool { Self.retryable.contains(code) || isStateChange }
    /// Whether a write may be tried again; servers before 4.4 do not say so themselves.
    func isRetryableWrite(wireVersion: Int) -> Bool {
        labels.contains("RetryableWriteError") || wireVersion < 9 && Self.retryable.contains(code)
    }
    /// Whether a document with that key is there already.
    public var isDuplicateKey: Bool {
        Self.duplicateKeys.contains(code) || writeErrors.contains { Self.duplicateKeys.contains($0.code) }
    }

    /// A sentence: `E11000 duplicate key error … (11000)`.
    public var description: String {
        let name = codeName.isEmpty ? "" : " \(codeName)"
        return code == 0 ? message : "\(message) (\(code)\(name))"
    }
}
