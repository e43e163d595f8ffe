// Errors of databases.

import SkeinCore

/// An error of a database.
public struct SQLError: RefusedRequest, Hashable, Sendable {
    /// The SQLSTATE, such as `23505`; empty when the database has none.
    public var sqlState: String
    /// SQLite's extended result code.
    public var code: Int?
    /// The message.
    public var message: String
    /// Details.
    public var detail: String?
    /// A hint.
    public var hint: String?
    /// The position in the statement, from 1.
    public var position: Int?
    /// `ERROR`, `FATAL` or `PANIC`.
    public var severity = "ERROR"
    /// The schema concerned.
    public var schema: String?
    /// The table concerned.
    public var table: String?
    /// The column concerned.
    public var column: String?
    /// The constraint that was violated.
    public var constraint: String?

    package init(sqlState: String, code: Int? = nil, message: String) {
        self.sqlState = sqlState
        self.code = code
        self.message = message
    }

    /// Whether a primary key or unique index was violated.
    public var isUniqueViolation: Bool { sqlState == "23505" || [1555, 2067, 2579].contains(code) }
    /// Whether a constraint of any kind was violated.
    public var isConstraintViolation: Bool { sqlState.hasBytePrefix("23") || code.map { $0 & 0xFF } == 19 }
    /// Whether the transaction conflicted with another one, and a retry may succeed.
    public var isSerializationFailure: Bool {
        sqlState == "40001" || sqlState == "40P01" || code.map { [5, 6].contains($0 & 0xFF) } ?? false
    }

    /// 409 for a uniqueness conflict, else 500.
    package var statusCode: Int { isUniqueViolation ? 409 : 500 }

    /// The error for callers.
    package func failure(peer: String) -> SkeinError {
        SkeinError(SkeinError.Code(rawValue: statusCode), peer: peer, because: "\(self)", cause: self)
    }
}

extension SQLError: CustomStringConvertible {
    /// `23505: duplicate key value violates unique constraint "pet_pkey" (Key (id)=(1) already exists.)`
    public var description: String {
        let name = sqlState.isEmpty ? code.map { "\($0): " } ?? "" : "\(sqlState): "
        let more = [detail, hint].compactMap { $0 }.map { " (\($0))" }.joined()
        return "\(name)\(message)\(more)"
    }
}

extension SkeinError {
    /// The database's error, if there is one.
    public var sql: SQLError? { cause as? SQLError }
}

/// A notice or warning of the database.
public typealias SQLNotice = SQLError
