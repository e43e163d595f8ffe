// The PostgreSQL client.

import NIOCore
@_exported import SkeinCore
@_exported import SkeinSQL
import SkeinTransport
import Synchronization

/// A PostgreSQL client: statements share a few connections on each event loop, on which they are pipelined.
///
/// Statements are independent: one that fails does not affect the others, and their order is not fixed. Use
/// ``transaction(_:_:)`` for related statements.
public final class PostgresClient: SQLDatabase, MemberClient {
    /// The settings of the client.
    public let configuration: PostgresConfiguration
    /// The name in messages.
    private let name: String
    private let session: Session
    private let pools: ShardLocal<PipelinePool<PostgresConnection>>
    private let isShutDown = Atomic<Bool>(false)

    package static var scheme: Alias.Scheme { .postgres }

    package convenience init(_ url: String, _ dialer: Dialer, _ session: Session) throws(SkeinError) {
        self.init(try PostgresConfiguration(url), session: session, dialer: dialer)
    }

    package init(_ configuration: PostgresConfiguration, session: Session, dialer: Dialer) {
        let name = configuration.description
        self.configuration = configuration
        self.name = name
        self.session = session
        let connector = PostgresConnector(configuration: configuration, dialer: dialer, logger: session.logger)
        pools = ShardLocal(session.shards) { shard in
            PipelinePool<PostgresConnection>(
                shard: shard, session: session, limits: configuration.pool, peer: name,
                connect: { connector.connect(shard) })
        }
    }

    /// The dialect of PostgreSQL.
    public var dialect: SQLDialect { .postgres }

    /// Open connections.
    public var connectionCount: Int {
        get async {
            var count = 0
            for pool in pools.all { count += (try? await pool.shard.eventLoop.submit { pool.count }.get()) ?? 0 }
            return count
        }
    }

    package func isAlive(within limit: Duration) async -> Bool? {
        await execute("SELECT 1", timeout: limit).dispatch().isAlive
    }

    @discardableResult
    public func execute(
        _ sql: SQL, timeout: Duration?, meta: RequestMetadata, callback: SQLResponse.Callback?
    ) -> Corequest<SQLResponse> {
        start(sql, timeout: timeout, meta: meta, isScript: false, callback: callback)
    }

    /// Executes several statements at once, as one transaction, by the simple query protocol. Values are returned as
    /// text.
    /// - Parameters:
    ///   - script: statements separated by semicolons.
    ///   - timeout: for all statements. Default: the client's.
    /// - Returns: the corequest, already started; its rows are those of the last statement.
    @discardableResult
    public func script(_ script: SQL, timeout: Duration? = nil, meta: RequestMetadata = RequestMetadata()) -> Corequest<
        SQLResponse
    > {
        start(script, timeout: timeout, meta: meta, isScript: true, callback: nil)
    }

    private func start(
        _ sql: SQL, timeout: Duration?, meta: RequestMetadata, isScript: Bool, callback: SQLResponse.Callback?
    ) -> Corequest<SQLResponse> {
        let shard = session.pickShard()
        let call = PostgresCall(
            sql, on: .shared(pools[shard]), of: name, session: session, shard: shard, configuration: configuration,
            timeout: timeout,
            meta: meta,
            isScript: isScript, callback: callback)
        let corequest = call.handle
        call.submit()
        return corequest
    }

    /// Begins a transaction that the caller ends.
    /// - Throws: code 702 when no connection was free in time, the server's error.
    public func begin(_ options: SQLTransactionOptions) async throws -> PostgresTransaction {
        let lease = try await grant()
        let transaction = PostgresTransaction(lease)
        do {
            var text = "BEGIN"
            if let isolation = options.isolation { text += " ISOLATION LEVEL \(isolation.rawValue)" }
            if options.isReadOnly { text += " READ ONLY" }
            try await lease.execute(SQL(unsafe: text)).commit()
            return transaction
        } catch {
            await transaction.end()
            throw error
        }
    }

    /// Runs an operation on an exclusive connection: for settings, cursors, prepared transactions. Afterwards, the
    /// session is reset.
    /// - Returns: the result of the operation.
    public func withConnection<T: Sendable>(_ work: (PostgresLease) async throws -> T) async throws -> T {
        let lease = try await grant()
        do {
            let result = try await work(lease)
            await lease.end()
            return result
        } catch {
            await lease.end()
            throw error
        }
    }

    func grant() async throws -> PostgresLease {
        let pool = pools[session.pickShard()]
        let deadline = Deadline.current
        let connection = try await pool.lease(until: deadline)
        return PostgresLease(connection, pool, session, configuration)
    }

    deinit { if !isShutDown.load(ordering: .acquiring) { pools.retire() } }

    /// Closes every connection and fails waiting calls.
    package func shutdown() async {
        isShutDown.store(true, ordering: .releasing)
        await pools.shutdown()
    }
}
