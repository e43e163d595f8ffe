// A transaction of SQLite, which blocks the writer's queue until it ends.

import Dispatch
import Foundation
import GRDB
import SkeinCore
import SkeinSQL
import Synchronization

/// Occupies the writer's thread for a transaction: executes its statements, and gives up after the idle timeout.
final class SQLiteWriterTurn: SQLiteWorker {
    private typealias Work = @Sendable (Result<Database, any Error>) -> Void

    private struct State {
        var work: [Work] = []
        var isOver = false
    }

    private let state = Mutex(State())
    /// Whether BEGIN was executed. On the writer's queue only.
    nonisolated(unsafe) private var hasBegun = false
    private let arrived = DispatchSemaphore(value: 0)
    private let idle: Duration
    private let maximum: Int

    init(_ configuration: SQLiteConfiguration) {
        idle = configuration.idleTransaction
        maximum = configuration.maximumAnswerSize
    }

    func run(
        _ sql: SkeinSQL.SQL, _ isWanted: @escaping @Sendable () -> Bool,
        _ done: @escaping @Sendable (Result<SQLiteAnswer, any Error>) -> Void
    ) {
        let text = sql.text
        let values = sql.parameters
        let isLate = state.withLock { state in
            if !state.isOver {
                state.work.append { database in
                    done(database.flatMap { self.carryOut(text, values, on: $0, isWanted) })
                }
            }
            return state.isOver
        }
        guard isLate else {
            arrived.signal()
            return
        }
        done(
            .failure(
                SkeinError(
                    .exception,
                    because: "the transaction has ended already, or was rolled back because it was idle for \(idle)")))
    }

    /// On the writer's queue.
    private func carryOut(
        _ text: String, _ values: [SQLValue], on database: Database, _ isWanted: @Sendable () -> Bool
    ) -> Result<SQLiteAnswer, any Error> {
        // SQLite rolls back the whole transaction when one of its statements is interrupted; later statements would run
        // outside of it.
        if hasBegun, database.sqliteConnection != nil, !database.isInsideTransaction {
            if SQLKeyword.first(of: text, nestsComments: false) == "ROLLBACK" { return .success(SQLiteAnswer()) }
            return .failure(
                SkeinError(
                    .exception,
                    because:
                        "one of the statements failed in a way that rolled back the whole transaction, so nothing "
                        + "was done"))
        }
        let result = SQLiteStore.carryOut(text, values, on: database, maximum, isWanted)
        if case .success = result, database.sqliteConnection != nil { hasBegun = database.isInsideTransaction }
        return result
    }

    /// Ends the transaction's turn after the submitted statements.
    func end() {
        state.withLock { $0.isOver = true }
        arrived.signal()
    }

    /// Works until the end of the turn. On the writer's queue.
    func serve(_ database: Result<Database, any Error>) {
        while true {
            let isIdle = arrived.wait(timeout: .now() + idle / .seconds(1)) == .timedOut
            let (work, isOver) = state.withLock { state in
                if isIdle { state.isOver = true }
                defer { state.work = [] }
                return (state.work, state.isOver)
            }
            for piece in work { piece(database) }
            if isOver { break }
        }
        if case .success(let database) = database, database.sqliteConnection != nil, database.isInsideTransaction {
            try? database.rollback()
            // Statements prepared for changed tables are invalid.
            database.clearSchemaCache()
        }
    }
}

/// A transaction; it blocks other writers until its end, but not readers.
public final class SQLiteTransaction: SQLTransaction, Sendable {
    private let turn: SQLiteWriterTurn
    private let session: Session
    private let configuration: SQLiteConfiguration
    private let isOver = Atomic<Bool>(false)

    init(_ turn: SQLiteWriterTurn, _ session: Session, _ configuration: SQLiteConfiguration) {
        self.turn = turn
        self.session = session
        self.configuration = configuration
    }

    deinit { turn.end() }

    /// The dialect of SQLite.
    public var dialect: SQLDialect { .sqlite }

    @discardableResult
    public func execute(
        _ sql: SkeinSQL.SQL, timeout: Duration?, meta: RequestMetadata, callback: SQLResponse.Callback?
    ) -> Corequest<SQLResponse> {
        let call = SQLiteCall(
            sql, turn, session: session, shard: session.pickShard(), configuration: configuration, timeout: timeout,
            meta: meta,
            callback: callback)
        let corequest = call.handle
        call.submitWithinAnother()
        return corequest
    }

    /// Commits the transaction.
    public func commit() async throws { try await finish("COMMIT") }

    /// Rolls the transaction back.
    public func rollback() async throws { try await finish("ROLLBACK") }

    private func finish(_ word: SkeinSQL.SQL) async throws {
        let response = await execute(word).dispatch()
        await end()
        try response.raiseForStatus()
    }

    /// Releases the writer; uncommitted work is rolled back.
    public func end() async {
        if !isOver.exchange(true, ordering: .acquiringAndReleasing) { turn.end() }
    }
}
