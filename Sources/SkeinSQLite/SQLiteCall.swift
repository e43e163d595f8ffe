// A statement for SQLite, which runs on separate threads.

import NIOCore
import SkeinCore
import SkeinSQL

/// Executes statements outside of the event loops.
protocol SQLiteWorker: Sendable {
    /// Executes a statement and calls back, on a thread of its own.
    func run(
        _ sql: SQL, _ isWanted: @escaping @Sendable () -> Bool,
        _ done: @escaping @Sendable (Result<SQLiteAnswer, any Error>) -> Void)
}

/// The result of a statement.
struct SQLiteAnswer: Sendable {
    var results: [SQLResult] = []
    var lastInsertID: Int64?
    var bytes = 0

    mutating func add(_ result: SQLResult) { results.append(result) }
}

/// A call of SQLite.
///
/// Unchecked: used on its shard's loop only, except for setup before submission.
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

    /// The state that the worker's threads may read.
    @exclusivity(unchecked) private var state: CallState?

    private func complete(_ result: Result<SQLiteAnswer, any Error>) {
        guard !isOver else { return }
        switch result {
        case .success(let answer):
            outcome.results = answer.results
            // For several statements, the rows are those of the last one with columns.
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
