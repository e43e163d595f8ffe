// A statement on its way to SQLite, which works on threads of its own.

import NIOCore
import SkeinCore
import SkeinSQL

/// What carries statements out, away from the event loops.
protocol SQLiteWorker: Sendable {
    /// Carries a statement out and calls back, on a thread of its own.
    func run(
        _ sql: SQL, _ isWanted: @escaping @Sendable () -> Bool,
        _ done: @escaping @Sendable (Result<SQLiteAnswer, any Error>) -> Void)
}

/// What has come of a statement.
struct SQLiteAnswer: Sendable {
    var results: [SQLResult] = []
    var lastInsertID: Int64?
    var bytes = 0

    mutating func add(_ result: SQLResult) { results.append(result) }
}

/// A call of SQLite.
///
/// Unchecked: touched on its shard's loop only, but for what is set before it is submitted.
final class SQLiteCall: SQLCall, @unchecked Sendable {
    let core: CallCore
    let outcome: SQLOutcome
    private let worker: any SQLiteWorker

    init(
        _ sql: SQL, _ worker: any SQLiteWorker, session: Session, shard: Shard, configuration: SQLiteConfiguration,
        timeout: Duration?, meta: RequestMetadata, callback: SQLResponse.Callback?
    ) {
        self.worker = worker
        core = CallCore(session: session, shard: shard, timeout: timeout, standard: configuration.timeout)
        outcome = SQLOutcome(sql, on: core, database: configuration.description, meta: meta, callback: callback)
    }

    func begin() {
        if let problem = sql.problem { return failLater(problem) }
        let loop = shard.eventLoop
        let state = CallState()
        self.state = state
        core.carrier = state
        worker.run(sql, { !state.isOver }) { result in
            loop.execute { self.complete(result) }
        }
    }

    /// What the worker's threads may look at.
    @exclusivity(unchecked) private var state: CallState?

    private func complete(_ result: Result<SQLiteAnswer, any Error>) {
        guard !isOver else { return }
        switch result {
        case .success(let answer):
            outcome.results = answer.results
            // Of several statements, the rows are those of the last that has some.
            outcome.rows = answer.results.last { !$0.rows.columns.isEmpty }?.rows ?? .none
            outcome.command = answer.results.last?.command ?? ""
            outcome.affected = answer.results.last?.affected ?? 0
            outcome.lastInsertID = answer.lastInsertID
            succeed(bytes: answer.bytes)
        case .failure(let error as SQLError): refuse(error)
        case .failure(let error as SkeinError): fail(error)
        case .failure(let error): fail(SkeinError(.exception, peer: peer, because: "\(error)", cause: error))
        }
    }
}
