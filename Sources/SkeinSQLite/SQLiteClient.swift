// The SQLite client.

import NIOCore
@_exported import SkeinCore
@_exported import SkeinSQL
import SkeinTransport
import Synchronization

/// An SQLite database, in a file or in memory. It uses separate threads: one for writing, several for reading (WAL).
public final class SQLiteClient: SQLDatabase, MemberClient {
    /// The settings of the client.
    public let configuration: SQLiteConfiguration
    private let session: Session
    private let store: SQLiteStore

    package static var scheme: Alias.Scheme { .sqlite }

    package convenience init(_ url: String, _ dialer: Dialer, _ session: Session) throws(SkeinError) {
        try self.init(SQLiteConfiguration(url), session: session)
    }

    package init(_ configuration: SQLiteConfiguration, session: Session) throws(SkeinError) {
        self.configuration = configuration
        self.session = session
        store = try SQLiteStore(configuration)
    }

    /// The dialect of SQLite.
    public var dialect: SQLDialect { .sqlite }

    @discardableResult
    public func execute(
        _ sql: SQL, timeout: Duration?, meta: RequestMetadata, callback: SQLResponse.Callback?
    ) -> Corequest<SQLResponse> {
        let call = SQLiteCall(
            sql, store, session: session, shard: session.pickShard(), configuration: configuration, timeout: timeout,
            meta: meta,
            callback: callback)
        let corequest = call.handle
        if let problem = Self.problem(sql) {
            session.refuse(call, problem, on: call.shard)
        } else {
            call.submit()
        }
        return corequest
    }

    /// A transaction started by a single statement would be shared by all callers.
    private static func problem(_ sql: SQL) -> SkeinError? {
        let word = SQLKeyword.first(of: sql.text, nestsComments: false)
        guard SQLKeyword.isOfTransaction(word) else { return nil }
        return SkeinError(
            .exception,
            because: "\(word) cannot be executed on its own: \(SQLKeyword.transactionAdvice)")
    }

    /// Begins a transaction that the caller ends.
    /// - Throws: code 702 when other writers take too long; the error of SQLite.
    public func begin(_ options: SQLTransactionOptions) async throws -> SQLiteTransaction {
        let turn = SQLiteWriterTurn(configuration)
        store.write { turn.serve($0) }
        let transaction = SQLiteTransaction(turn, session, configuration)
        do {
            try await transaction.execute(options.isReadOnly ? "BEGIN DEFERRED" : "BEGIN IMMEDIATE").commit()
            return transaction
        } catch {
            await transaction.end()
            throw error
        }
    }

    package func isAlive(within limit: Duration) async -> Bool? {
        await execute("SELECT 1", timeout: limit).dispatch().isAlive
    }

    /// Closes it; what is under way is done before.
    package func shutdown() async {
        let store = store
        await store.untilWritten()
        store.close()
    }
}
