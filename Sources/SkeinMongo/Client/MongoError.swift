// Server errors.

/// An error of the server (https://www.mongodb.com/docs/manual/reference/error-codes/).
public struct MongoError: Error, Sendable, Hashable, CustomStringConvertible {
    /// One of several documents that could not be written.
    public struct WriteError: Sendable, Hashable {
        /// Its index in the list of documents.
        public let index: Int
        /// The error code.
        public let code: Int
        /// The error message.
        public let message: String
    }

    /// The error code; 0 when the server sends none.
    public let code: Int
    /// The name of the code, such as `Unauthorized`.
    public let codeName: String
    /// The error message.
    public let message: String
    /// The error labels, such as `TransientTransactionError`.
    public let labels: Set<String>
    /// The documents that could not be written.
    public let writeErrors: [WriteError]
    /// Whether the write was applied, but its write concern was not met.
    public let isWriteConcern: Bool

    static let commandNotFound = 59
    static let duplicateKeys: Set<Int> = [11000, 11001, 12582]
    static let cursorNotFound = 43
    /// The server is no longer the primary, or is shutting down.
    static let stateChanges: Set<Int> = [10107, 13435, 11600, 11602, 13436, 189, 91, 10058]
    /// Transient errors.
    static let retryable: Set<Int> = stateChanges.union([6, 7, 89, 9001, 134, 262])

    /// The error in a reply; nil if there is none, which a quick scan of its members shows.
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

    /// The error in a reply; nil if there is none.
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

    /// Whether the server's role has changed.
    var isStateChange: Bool { Self.stateChanges.contains(code) || message.containsBytes("not master") }
    /// Whether it is shutting down, which also ends its connections.
    var isShutdown: Bool { code == 11600 || code == 91 }
    /// Whether a read may be retried.
    var isRetryableRead: Bool { Self.retryable.contains(code) || isStateChange }
    /// Whether a write may be retried; servers before 4.4 do not say so themselves.
    func isRetryableWrite(wireVersion: Int) -> Bool {
        labels.contains("RetryableWriteError") || wireVersion < 9 && Self.retryable.contains(code)
    }
    /// Whether it is a duplicate key error.
    public var isDuplicateKey: Bool {
        Self.duplicateKeys.contains(code) || writeErrors.contains { Self.duplicateKeys.contains($0.code) }
    }

    /// A sentence: `E11000 duplicate key error … (11000)`.
    public var description: String {
        let name = codeName.isEmpty ? "" : " \(codeName)"
        return code == 0 ? message : "\(message) (\(code)\(name))"
    }
}
