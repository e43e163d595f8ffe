// What every database of SQL can do.

import SkeinCore

/// Executes statements: a database, or a transaction on one.
public protocol SQLExecutor: Sendable {
    /// What the text of its statements has to look like.
    var dialect: SQLDialect { get }

    /// Starts a statement and returns at once.
    /// - Parameters:
    ///   - sql: the statement, its values bound: `"… WHERE id = \(id)"`.
    ///   - timeout: from the moment it gets its place to the last row. Default: the database's.
    ///   - meta: what travels along to the response.
    ///   - callback: called with the response, on an event loop.
    /// - Returns: the corequest, already started. Dropping it does not cancel it; `cancel()` does.
    @discardableResult
    func execute(
        _ sql: SQL, timeout: Duration?, meta: RequestMetadata, callback: SQLResponse.Callback?
    ) -> Corequest<SQLResponse>
}

extension SQLExecutor {
    /// Starts a statement and returns at once.
    /// - Parameter sql: the statement, its values bound: `"… WHERE id = \(id)"`.
    /// - Returns: the corequest, already started.
    @discardableResult
    public func execute(_ sql: SQL, timeout: Duration? = nil, meta: RequestMetadata = RequestMetadata()) -> Corequest<
        SQLResponse
    > {
        execute(sql, timeout: timeout, meta: meta, callback: nil)
    }

    /// Starts a query and returns at once: `for try await row in database.query("SELECT …")`.
    ///
    /// The rows are here when the first is; for more than fits into memory there is `stream`.
    /// - Parameter sql: the statement, its values bound: `"… WHERE id = \(id)"`.
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
    /// What a transaction is on.
    associatedtype Transaction: SQLTransaction

    /// Begins a transaction that is ended by hand: by ``SQLTransaction/commit()`` or ``SQLTransaction/rollback()``.
    /// - Throws: `SkeinError` when no connection could be had.
    func begin(_ options: SQLTransactionOptions) async throws -> Transaction
}

/// A transaction, on a connection of its own until it ends.
public protocol SQLTransaction: SQLExecutor {
    /// Makes what was done last.
    func commit() async throws
    /// Undoes what was done.
    func rollback() async throws
    /// Gives the connection back; what was not committed is undone. Does nothing after the end.
    func end() async
}

/// How a transaction is isolated, and what happens when it comes into the way of another one.
public struct SQLTransactionOptions: Sendable {
    /// What it sees of others.
    public enum Isolation: String, Sendable {
        case readCommitted = "READ COMMITTED"
        case repeatableRead = "REPEATABLE READ"
        case serializable = "SERIALIZABLE"
    }

    /// What it sees of others. Default: the database's own choice. SQLite's are always serializable.
    public var isolation: Isolation?
    /// Whether it only reads. Default: no.
    public var isReadOnly: Bool
    /// How often it is done again when it has come into the way of another one. Default: never.
    public var retries: Int

    /// Options, each with its default.
    public init(isolation: Isolation? = nil, isReadOnly: Bool = false, retries: Int = 0) {
        self.isolation = isolation
        self.isReadOnly = isReadOnly
        self.retries = retries
    }
}

extension SQLDatabase {
    /// Begins a transaction that is ended by hand.
    public func begin() async throws -> Transaction { try await begin(SQLTransactionOptions()) }

    /// Does something in a transaction: all of it, or, when it throws or is cancelled, nothing.
    /// - Parameters:
    ///   - options: isolation, and how often it is done again when it has come into the way of another transaction.
    ///   - work: what to do; with retries, more than once.
    /// - Returns: what the work returns.
    /// - Throws: what the work throws, and what the commit says.
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
                // Those that met once should not meet again.
                let backoff = Backoff(first: .milliseconds(20), longest: .milliseconds(640), jitter: .full)
                guard try await backoff.wait(after: attempt) else { throw error }
            }
        }
    }
}
