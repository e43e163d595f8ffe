// What a database says when it refuses.

import SkeinCore

/// A database's refusal of a statement.
public struct SQLError: RefusedRequest, Hashable, Sendable {
    /// The five characters of the standard's code, such as `23505`; empty when the database has none.
    public var sqlState: String
    /// SQLite's extended result code.
    public var code: Int?
    /// What is wrong.
    public var message: String
    /// More about it.
    public var detail: String?
    /// What might help.
    public var hint: String?
    /// Where in the statement, counted from 1.
    public var position: Int?
    /// `ERROR`, `FATAL` or `PANIC`.
    public var severity = "ERROR"
    /// The schema that it is about.
    public var schema: String?
    /// The table that it is about.
    public var table: String?
    /// The column that it is about.
    public var column: String?
    /// The constraint that was violated.
    public var constraint: String?

    package init(sqlState: String, code: Int? = nil, message: String) {
        self.sqlState = sqlState
        self.code = code
        self.message = message
    }

    /// Whether there is such a row already: a primary key or unique index said no.
    public var isUniqueViolation: Bool { sqlState == "23505" || [1555, 2067, 2579].contains(code) }
    /// Whether a constraint of any kind said no.
    public var isConstraintViolation: Bool { sqlState.hasBytePrefix("23") || code.map { $0 & 0xFF } == 19 }
    /// Whether the transaction came into the way of another one, and would go through when it is tried again.
    public var isSerializationFailure: Bool {
        sqlState == "40001" || sqlState == "40P01" || code.map { [5, 6].contains($0 & 0xFF) } ?? false
    }

    /// 409 for what exists already, else 500.
    package var statusCode: Int { isUniqueViolation ? 409 : 500 }

    /// The refusal as what is thrown.
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
    /// What the database said, when it was the database that refused.
    public var sql: SQLError? { cause as? SQLError }
}

/// A word from the database beside the answer: a warning, a notice.
public typealias SQLNotice = SQLError
