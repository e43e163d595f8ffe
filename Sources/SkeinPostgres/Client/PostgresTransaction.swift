// A connection that one caller has alone, and a transaction on it.

import NIOCore
import SkeinCore
import SkeinSQL
import SkeinTransport
import Synchronization

/// A connection that nobody shares. Statements on it are carried out in the order in which they are started.
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

    /// PostgreSQL's.
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

    /// Gives the connection back; what was not committed is undone.
    func end() async {
        guard !isOver.exchange(true, ordering: .acquiringAndReleasing) else { return }
        let (connection, pool) = (connection, pool)
        try? await shard.eventLoop.submit { connection.putBack(to: pool) }.get()
    }
}

/// A transaction. Its statements are carried out in the order in which they are started, each waiting for nobody.
public final class PostgresTransaction: SQLTransaction, Sendable {
    private let lease: PostgresLease

    init(_ lease: PostgresLease) { self.lease = lease }

    /// PostgreSQL's.
    public var dialect: SQLDialect { .postgres }

    @discardableResult
    public func execute(
        _ sql: SQL, timeout: Duration?, meta: RequestMetadata, callback: SQLResponse.Callback?
    ) -> Corequest<SQLResponse> { lease.execute(sql, timeout: timeout, meta: meta, callback: callback) }

    /// Makes what was done last, and gives the connection back.
    /// - Throws: what the server says; code 500 when one of the statements had failed, so that nothing was done.
    public func commit() async throws {
        let response = await lease.execute("COMMIT").dispatch()
        await lease.end()
        try response.raiseForStatus()
        guard response.command == "COMMIT" else {
            throw SkeinError.status(
                500, peer: response.peer, because: "one of the statements failed, so the transaction was rolled back")
        }
    }

    /// Undoes what was done, and gives the connection back.
    public func rollback() async throws {
        let response = await lease.execute("ROLLBACK").dispatch()
        await lease.end()
        try response.raiseForStatus()
    }

    /// Gives the connection back; what was not committed is undone.
    public func end() async { await lease.end() }

    /// Does something that is undone when it throws, without undoing the rest.
    /// - Returns: what the work returns.
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
