// A leased connection, and a transaction on it.

import NIOCore
import SkeinCore
import SkeinSQL
import SkeinTransport
import Synchronization

/// An exclusive connection. Its statements are executed in the order in which they are started.
public final class PostgresLease: SQLExecutor, Sendable {
    let connection: PostgresConnection
    private let pool: PipelinePool<PostgresConnection>
    private let session: Session
    private let configuration: PostgresConfiguration
    private let isOver = Atomic<Bool>(false)

    init(
        _ connection: PostgresConnection, _ pool: PipelinePool<PostgresConnection>, _ session: Session,
        _ configuration: PostgresConfiguration
    ) {
        self.connection = connection
        self.pool = pool
        self.session = session
        self.configuration = configuration
    }

    deinit {
        guard !isOver.load(ordering: .acquiring) else { return }
        let (connection, pool) = (connection, pool)
        connection.shard.run { connection.putBack(to: pool) }
    }

    /// The dialect of PostgreSQL.
    public var dialect: SQLDialect { .postgres }
    var shard: Shard { connection.shard }

    @discardableResult
    public func execute(
        _ sql: SQL, timeout: Duration?, meta: RequestMetadata, callback: SQLResponse.Callback?
    ) -> Corequest<SQLResponse> {
        let call = PostgresCall(
            sql, on: .own(connection), of: connection.peer, session: session, shard: shard,
            configuration: configuration,
            timeout: timeout, meta: meta,
            callback: callback)
        let corequest = call.handle
        if isOver.load(ordering: .acquiring) {
            session.refuse(
                call, SkeinError(.exception, peer: connection.peer, because: "the transaction has ended already"),
                on: shard)
        } else {
            call.submitWithinAnother()
        }
        return corequest
    }

    /// Returns the connection; uncommitted work is rolled back.
    func end() async {
        guard !isOver.exchange(true, ordering: .acquiringAndReleasing) else { return }
        let (connection, pool) = (connection, pool)
        try? await shard.eventLoop.submit { connection.putBack(to: pool) }.get()
    }
}

/// A transaction. Its statements are executed in the order in which they are started, without delay by other callers.
public final class PostgresTransaction: SQLTransaction, Sendable {
    private let lease: PostgresLease

    init(_ lease: PostgresLease) { self.lease = lease }

    /// The dialect of PostgreSQL.
    public var dialect: SQLDialect { .postgres }

    @discardableResult
    public func execute(
        _ sql: SQL, timeout: Duration?, meta: RequestMetadata, callback: SQLResponse.Callback?
    ) -> Corequest<SQLResponse> { lease.execute(sql, timeout: timeout, meta: meta, callback: callback) }

    /// Commits the transaction, and returns the connection.
    /// - Throws: the server's error; code 500 when a statement had failed, so that the transaction was rolled back.
    public func commit() async throws {
        let response = await lease.execute("COMMIT").dispatch()
        await lease.end()
        try response.raiseForStatus()
        guard response.command == "COMMIT" else {
            throw SkeinError.status(
                500, peer: response.peer, because: "one of the statements failed, so the transaction was rolled back")
        }
    }

    /// Rolls the transaction back, and returns the connection.
    public func rollback() async throws {
        let response = await lease.execute("ROLLBACK").dispatch()
        await lease.end()
        try response.raiseForStatus()
    }

    /// Returns the connection; uncommitted work is rolled back.
    public func end() async { await lease.end() }

    /// Runs an operation in a savepoint, which is rolled back alone when the operation throws.
    /// - Returns: the result of the operation.
    public func savepoint<T: Sendable>(_ name: String = "skein", _ work: () async throws -> T) async throws -> T {
        try await execute("SAVEPOINT \(identifier: name)").commit()
        do {
            let result = try await work()
            try await execute("RELEASE SAVEPOINT \(identifier: name)").commit()
            return result
        } catch {
            try await execute("ROLLBACK TO SAVEPOINT \(identifier: name)").commit()
            throw error
        }
    }
}
