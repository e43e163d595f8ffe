// A statement in flight.

import NIOCore
import SkeinCore
import SkeinSQL
import SkeinTransport

/// A call of PostgreSQL.
///
/// Unchecked: used on its shard's loop only, except for setup before submission.
final class PostgresCall: SQLCall, PoolCall, PostgresOperation, @unchecked Sendable {
    /// The connection that executes it.
    enum Place {
        /// A shared connection.
        case shared(PipelinePool<PostgresConnection>)
        /// A leased connection.
        case own(PostgresConnection)
    }

    let core: CallCore
    let outcome: SQLOutcome
    private let place: Place
    private let maximumAnswerSize: Int
    /// Whether it is sent as a simple query, which may hold several statements.
    @exclusivity(unchecked) private(set) var isScript = false
    @exclusivity(unchecked) private var statement: PostgresStatement?
    @exclusivity(unchecked) private var answer: PostgresRowSet?
    @exclusivity(unchecked) private var error: SQLError?
    @exclusivity(unchecked) private var isComplete = false
    /// Whether the server has started to execute it, so that an error no longer concerns the prepared statement.
    @exclusivity(unchecked) private var isBound = false
    /// Whether the server has described other columns than those of the Bind message.
    @exclusivity(unchecked) private var hasOtherColumns = false
    @exclusivity(unchecked) private var bytes = 0
    /// Whether a cancellation was sent on the connection, so that it may have hit this statement.
    @exclusivity(unchecked) var mayBeHitByCancel = false

    init(
        _ sql: SQL, on place: Place, of name: String, session: Session, shard: Shard,
        configuration: PostgresConfiguration,
        timeout: Duration?,
        meta: RequestMetadata, isScript: Bool = false, callback: SQLResponse.Callback?
    ) {
        self.place = place
        self.isScript = isScript
        maximumAnswerSize = configuration.maximumAnswerSize
        core = CallCore(session: session, shard: shard, timeout: timeout, standard: configuration.timeout)
        outcome = SQLOutcome(sql, on: core, database: name, meta: meta, callback: callback)
    }

    func begin() {
        if let problem = sql.problem { return failLater(problem) }
        let text = sql.text
        if text.utf8.contains(0) {
            return failLater(SkeinError(.exception, peer: peer, because: "the text of the statement holds a NUL"))
        }
        switch place {
        case .shared(let pool):
            if isScript { return runAlone(pool) }
            pool.submit(self)
        case .own(let connection):
            guard connection.isUsable else {
                return failLater(
                    SkeinError(.connectionClosed, peer: peer, because: "the connection of this transaction has ended"))
            }
            connection.send(self, at: shard.now)
        }
    }

    var isAbandoned: Bool { isOver }

    /// It is executed with a prepared statement.
    func starts(with statement: PostgresStatement?) {
        self.statement = statement
        answer = nil
        error = nil
        isComplete = false
        isBound = false
        hasOtherColumns = false
        outcome.results = []
        bytes = 0
    }

    // MARK: The response

    func receive(_ message: PostgresMessage, on connection: PostgresConnection) throws(PostgresProtocolError) {
        switch message {
        case .dataRow(let row):
            received(bytes: row.readableBytes)
            guard !isOver, !hasOtherColumns else { return }
            if answer == nil { answer = PostgresRowSet(statement?.layout ?? .none) }
            try answer?.append(row)
        case .bindComplete: isBound = true
        case .closeComplete, .parseComplete, .noData, .portalSuspended: break
        case .parameterDescription where !isScript: break  // the prepared parameter types
        case .rowDescription(let columns) where !isScript:
            if let statement, columns != statement.columns { hasOtherColumns = true }
        case .commandComplete(let tag):
            isComplete = true
            connection.saw(tag)
            guard !isOver else { return }  // the result is published
            outcome.command = tag.command
            outcome.affected = tag.rows
            if answer == nil, let statement, !statement.layout.types.isEmpty {
                answer = PostgresRowSet(statement.layout)
            }
            if isScript {
                outcome.results.append(
                    SQLResult(
                        command: outcome.command, affected: outcome.affected, rows: answer.map { Rows($0) } ?? .none))
                answer = nil
            }
        case .rowDescription(let columns):  // in a script, each statement has its own
            answer = PostgresRowSet(PostgresLayout(columns, isBinary: false))
        case .emptyQuery: isComplete = true
        case .error(let error): self.error = error
        case .copyIn:
            connection.link.write {
                PostgresWriter.copyFail("use copyIn(…) for this", into: &$0)
                if !self.isScript { PostgresWriter.sync(into: &$0) }
            }
        case .copyOut, .copyDone: break
        case .copyData(let data): bytes += data.readableBytes
        default: throw .unexpected("the server answered a statement with \(message)")
        }
    }

    var openRows: PostgresRowSet? { isOver || hasOtherColumns ? nil : answer }

    func received(bytes count: Int) {
        bytes += count
        guard bytes > maximumAnswerSize else { return }
        fail(
            SkeinError(
                .contentTooLarge, peer: peer,
                because: "the rows are more than \(maximumAnswerSize) bytes; read them with stream(…)"))
    }

    func ready(_ status: PostgresTransactionStatus, on connection: PostgresConnection) throws(PostgresProtocolError) {
        guard isComplete || error != nil else { throw .unexpected("the server did not complete a statement") }
        guard !isOver else { return }
        // A failed transaction was rolled back, too, and its error is more specific.
        if case .shared = place, status != .idle, giveBack == nil || error == nil {
            return fail(PostgresKeyword.leftOpen(peer))
        }
        guard var error else {
            if hasOtherColumns, let statement {
                connection.forget(statement)
                return fail(
                    SkeinError(
                        .invalidContent, peer: peer,
                        because:
                            "a table has changed, and the rows have other columns than prepared; the effects of the statement "
                            + "are kept, and the next execution prepares it again"))
            }
            if let answer { outcome.rows = Rows(answer) }
            if let last = outcome.results.last(where: { !$0.rows.columns.isEmpty }) { outcome.rows = last.rows }
            return succeed(bytes: bytes)
        }
        if let statement, !isBound, error.isStale || hasOtherColumns {
            // The server detects an invalid prepared statement before it executes anything.
            connection.forget(statement)
            if error.sqlState == "26000" { connection.noteOtherSession() }
            if core.attempts < 3, status == .idle { return connection.send(self, at: shard.now) }
            error.hint = error.hint ?? "a table has changed; repeat the transaction, which prepares the statement again"
        }
        if error.sqlState == "57014", mayBeHitByCancel, case .shared(let pool) = place, core.attempts < 3, isAtomic {
            // Another caller's cancellation hit this statement, which was rolled back.
            return pool.submit(self)
        }
        refused(error, on: connection)
    }

    /// The server has returned an error.
    func refused(_ error: SQLError, on connection: PostgresConnection) {
        guard !isOver else { return }
        if error.sqlState == "42601", !isScript, sql.text.utf8.contains(UInt8(ascii: ";")) {
            var error = error
            error.hint = error.hint ?? "use script(…) to execute several statements"
            return refuse(error, bytes: bytes)
        }
        if error.severity == "FATAL" || error.severity == "PANIC" {
            return fail(
                SkeinError(
                    .connectionClosed, peer: peer, because: "the server ended the session: \(error)", cause: error))
        }
        refuse(error, bytes: bytes)
    }

    var call: PostgresCall? { self }

    /// Runs on an exclusive connection: several statements may change its session.
    private func runAlone(_ pool: PipelinePool<PostgresConnection>) {
        Task(executorPreference: shard.executor) {
            do {
                let connection = try await pool.lease(until: nil)
                guard !self.isOver else { return connection.putBack(to: pool) }
                self.giveBack = { connection.putBack(to: pool) }
                connection.send(self, at: self.shard.now)
            } catch let error as SkeinError {
                self.fail(error)
            } catch {
                self.fail(SkeinError(.cancelled, because: "the call was cancelled"))
            }
        }
    }

    /// Returns the connection that was leased for a script.
    @exclusivity(unchecked) var giveBack: (() -> Void)?

    // MARK: The connection's end

    func wasNotSent(_ reason: SkeinError) {
        guard !isOver else { return }
        if case .shared(let pool) = place, core.attempts < 2 { return pool.submit(self) }
        fail(reason)
    }

    /// Whether it is atomic; a procedure may have committed a part of its work.
    private var isAtomic: Bool {
        let atomic = ["SELECT", "INSERT", "UPDATE", "DELETE", "MERGE", "WITH", "VALUES", "TABLE", "SHOW", "EXPLAIN"]
        return atomic.contains(SQLKeyword.first(of: sql.text))
    }

    func lost(_ reason: SkeinError, fatal: SQLError?, mayHaveBegun: Bool) {
        guard !isOver else { return }
        // The server has shut down: incomplete statements were rolled back, and later ones never read.
        if let fatal, fatal.sqlState.hasBytePrefix("57P"), !isComplete, case .shared(let pool) = place, !isScript,
            core.attempts < 2, !mayHaveBegun || isAtomic
        {
            return pool.submit(self)
        }
        fail(
            SkeinError(
                reason.code, peer: peer,
                because:
                    "the connection was lost with the statement under way, and whether it was carried out is not known: "
                    + reason.message, cause: reason))
    }

}

extension SQLError {
    /// Whether the error says that a statement must be prepared again: it is unknown, or its plan would return other
    /// columns.
    var isStale: Bool { sqlState == "26000" || sqlState == "0A000" }
}

/// Statements that change the session, which is not allowed on a shared connection.
enum PostgresKeyword {
    static func problem(_ text: String) -> SkeinError? {
        let word = SQLKeyword.first(of: text)
        let advice: String
        switch word {
        case _ where SQLKeyword.isOfTransaction(word): advice = SQLKeyword.transactionAdvice
        case "SET", "RESET", "DISCARD", "DECLARE", "FETCH", "MOVE", "CLOSE", "PREPARE", "EXECUTE", "DEALLOCATE", "LOAD":
            advice = "it changes the session, which many callers share; use withConnection { … }"
        case "LISTEN", "UNLISTEN": advice = "use listen(…)"
        case "COPY": advice = "use copyIn(…) or copyOut(…), or withConnection { … } for files of the server"
        default: return nil
        }
        return SkeinError(.exception, because: "\(word) cannot be executed on its own: \(advice)")
    }

    /// Whether an allowed statement may change its session. The effects of functions are unknown, except for the
    /// server's own functions for this purpose.
    static func mayChangeSession(_ text: String) -> Bool {
        ["DO", "CALL"].contains(SQLKeyword.first(of: text))
            || SQLKeyword.mentions(
                ["set_config", "pg_advisory_lock", "pg_try_advisory_lock", "setseed", "dblink_connect"], in: text)
            || SQLKeyword.mentions(["temp", "temporary", "pg_temp"], asWords: true, in: text)
    }

    /// A statement has left a transaction open on a shared connection.
    static func leftOpen(_ peer: String) -> SkeinError {
        SkeinError(
            .exception, peer: peer,
            because: "a transaction was begun on a shared connection, and was rolled back; "
                + SQLKeyword.transactionAdvice)
    }
}
