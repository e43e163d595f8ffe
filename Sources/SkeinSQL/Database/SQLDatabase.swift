// The common interface of SQL databases.

import SkeinCore

/// Executes statements: a database, or a transaction on one.
public protocol SQLExecutor: Sendable {
    /// The dialect of its statements.
    var dialect: SQLDialect { get }

    /// Starts a statement and returns at once.
    /// - Parameters:
    ///   - sql: the statement, with bound values: `"… WHERE id = \(id)"`.
    ///   - timeout: from the moment it gets a slot to the last row. Default: the database's.
    ///   - meta: metadata that the response carries.
    ///   - callback: called with the response, on an event loop.
    /// - Returns: the corequest, already started. Dropping it does not cancel it; `cancel()` does.
    @discardableResult
    func execute(
        _ sql: SQL, timeout: Duration?, meta: RequestMetadata, callback: SQLResponse.Callback?
    ) -> Corequest<SQLResponse>
}

extension SQLExecutor {
    /// Starts a statement and returns at once.
    /// - Parameter sql: the statement, with bound values: `"… WHERE id = \(id)"`.
    /// - Returns: the corequest, already started.
    @discardableResult
    public func execute(_ sql: SQL, timeout: Duration? = nil, meta: RequestMetadata = RequestMetadata()) -> Corequest<
        SQLResponse
    > {
        execute(sql, timeout: timeout, meta: meta, callback: nil)
    }

    /// Starts a query and returns at once: `for try await row in database.query("SELECT …")`.
    ///
    /// All rows are loaded before the first is returned; for results larger than the memory, use `stream`.
    /// - Parameter sql: the statement, with bound values: `"… WHERE id = \(id)"`.
    public func query(_ sql: SQL, timeout: Duration? = nil, meta: RequestMetadata = RequestMetadata()) -> Corequest<
        SQLResponse
    > {
        execute(sql, timeout: timeout, meta: meta, callback: nil)
    }

    /// Starts a query that was built and returns at once.
    @discardableResult
    public func execute(
        _ query: some SQLQuery, timeout: Duration? = nil, meta: RequestMetadata = RequestMetadata(),
        callback: SQLResponse.Callback? = nil
    ) -> Corequest<SQLResponse> {
        execute(query.sql(for: dialect), timeout: timeout, meta: meta, callback: callback)
    }
}

/// A database.
public protocol SQLDatabase: SQLExecutor {
    /// The type of its transactions.
    associatedtype Transaction: SQLTransaction

    /// Begins a transaction that the caller ends: by ``SQLTransaction/commit()`` or ``SQLTransaction/rollback()``.
    /// - Throws: `SkeinError` when no connection was available.
    func begin(_ options: SQLTransactionOptions) async throws -> Transaction
}

/// A transaction, on an exclusive connection until it ends.
public protocol SQLTransaction: SQLExecutor {
    /// Commits the transaction.
    func commit() async throws
    /// Rolls the transaction back.
    func rollback() async throws
    /// Returns the connection; uncommitted work is rolled back. Does nothing after the end.
    func end() async
}

/// The isolation of a transaction, and its retries after a serialization failure.
public struct SQLTransactionOptions: Sendable {
    /// The isolation level.
    public enum Isolation: String, Sendable {
        /// Each statement sees what was committed before it began.
        case readCommitted = "READ COMMITTED"
        /// All statements see what was committed before the first one.
        case repeatableRead = "REPEATABLE READ"
        /// As if transactions ran one after the other.
        case serializable = "SERIALIZABLE"
    }

    /// The isolation level. Default: the database's own. SQLite's transactions are always serializable.
    public var isolation: Isolation?
    /// Whether it is read-only. Default: no.
    public var isReadOnly: Bool
    /// The number of retries after a serialization failure. Default: none.
    public var retries: Int

    /// Options, each with its default.
    public init(isolation: Isolation? = nil, isReadOnly: Bool = false, retries: Int = 0) {
        self.isolation = isolation
        self.isReadOnly = isReadOnly
        self.retries = retries
    }
}

extension SQLDatabase {
    /// Begins a transaction that the caller ends.
    public func begin() async throws -> Transaction { try await begin(SQLTransactionOptions()) }

    /// Runs an operation in a transaction, which is rolled back when the operation throws or is cancelled.
    /// - Parameters:
    ///   - options: isolation, and retries after a serialization failure.
    ///   - work: the operation; with retries, it may run several times.
    /// - Returns: the result of the operation.
    /// - Throws: the error of the operation, or of the commit.
    public func transaction<T: Sendable>(
        _ options: SQLTransactionOptions = SQLTransactionOptions(), _ work: (Transaction) async throws -> T
    ) async throws -> T {
        var attempt = 0
        while true {
            let transaction = try await begin(options)
            do {
                let result = try await work(transaction)
                try Task.checkCancellation()
                try await transaction.commit()
                return result
            } catch {
                await transaction.end()
                guard attempt < options.retries, (error as? SkeinError)?.sql?.isSerializationFailure == true else {
                    throw error
                }
                attempt += 1
                // A random delay, so that conflicting transactions do not conflict again.
                let backoff = Backoff(first: .milliseconds(20), longest: .milliseconds(640), jitter: .full)
                guard try await backoff.wait(after: attempt) else { throw error }
            }
        }
    }
}
