// One connection to a server of PostgreSQL, with statements of many callers under way, each with a Sync of its own, so that one that
// fails does so alone.

import DequeModule
import Logging
import NIOCore
import SkeinCore
import SkeinSQL
import SkeinTransport

/// A connection.
///
/// Unchecked: touched on its channel's loop only.
final class PostgresConnection: PooledConnection, @unchecked Sendable {
    let link: PipelineLink
    let configuration: PostgresConfiguration
    let logger: Logger
    @exclusivity(unchecked) var decoder: PostgresDecoder
    @exclusivity(unchecked) var startup: PostgresStartup?
    /// What waits for an answer, each with the number of writes before its own.
    @exclusivity(unchecked) var pipeline = Deque<(operation: any PostgresOperation, write: Int)>()
    /// Calls of one who has the connection alone: behind one that is being prepared, so that their order stays.
    @exclusivity(unchecked) var held = Deque<PostgresCall>()
    /// What happens when nothing is under way any more.
    @exclusivity(unchecked) var whenDrained: (() -> Void)?
    @exclusivity(unchecked) var statements: PostgresStatementCache
    /// Operations that were answered.
    @exclusivity(unchecked) var answered = 0
    @exclusivity(unchecked) var status = PostgresTransactionStatus.idle
    @exclusivity(unchecked) var key: (process: UInt32, secret: UInt32)?
    /// What the server has said about itself.
    @exclusivity(unchecked) var parameters: [String: String] = [:]
    @exclusivity(unchecked) var fatal: SQLError?
    /// Whether a caller that had it alone has executed something, so that the session may not be as it was.
    @exclusivity(unchecked) var isUsed = false
    /// Whether statements were prepared by name in SQL, which a reset keeps.
    @exclusivity(unchecked) var hasNamedStatements = false
    /// Whether the session cannot be made what it was.
    @exclusivity(unchecked) var isSpoiled = false
    @exclusivity(unchecked) var isCancelling = false
    /// Who hears of notifications.
    @exclusivity(unchecked) var onNotification: ((PostgresNotification) -> Void)?
    /// Sends a cancellation over a connection of its own.
    let sendCancel: @Sendable (ByteBuffer) -> Void
    static let grace = TimeAmount.seconds(5)

    init(
        _ configuration: PostgresConfiguration, shard: Shard, connected: Connected, logger: Logger,
        ready: EventLoopPromise<Void>, sendCancel: @escaping @Sendable (ByteBuffer) -> Void
    ) {
        self.configuration = configuration
        self.logger = logger
        self.sendCancel = sendCancel
        statements = PostgresStatementCache(
            limit: configuration.statementCache, isNamed: configuration.preparesStatements)
        decoder = PostgresDecoder(limit: configuration.maximumMessageSize)
        startup = PostgresStartup(configuration, tls: connected.tls)
        link = PipelineLink(shard: shard, peer: configuration.description, ready: ready)
    }

    // MARK: Sending

    func greet() { link.write { startup?.begin(into: &$0) } }

    var underWay: Int { pipeline.count + held.count }
    var onlyAbandoned: Bool { pipeline.allSatisfy(\.operation.isAbandoned) && held.allSatisfy(\.isOver) }
    /// Of several abandoned statements the server has read the next one already, and goes on with it when the first is cancelled: each
    /// is cancelled in its turn.
    var isDone: Bool { pipeline.count < 2 && onlyAbandoned }
    /// The operation that arriving messages answer; nil when it has not left yet.
    var due: (any PostgresOperation)? { pipeline.first.flatMap { link.writes > $0.write ? $0.operation : nil } }

    func encode(_ call: PostgresCall) {
        if isLeased {
            held.append(call)
            if held.count == 1 { sendHeld() }
        } else {
            _ = begin(call)
        }
    }

    /// Writes what one who has the connection alone has asked for, as far as its order allows.
    func sendHeld() {
        while let call = held.first {
            if !call.isOver, !begin(call) { return }  // it is being prepared; the others wait
            held.removeFirst()
        }
    }

    /// Writes a call, or lets it wait until its statement is prepared. Returns whether it was written, or never will be.
    func begin(_ call: PostgresCall) -> Bool {
        if isLeased { isUsed = true }
        if call.isScript {
            call.starts(with: nil)
            enqueue(call)
            PostgresWriter.query(call.sql.text, into: &link.output)
            return true
        }
        let text = call.sql.text
        // The same text may have been prepared while the connection was leased, when more is allowed.
        if !isLeased, let problem = statements[text].map(\.sharedProblem) ?? PostgresKeyword.problem(text) {
            call.failLater(problem)
            return true
        }
        let statement = statement(text)
        guard statement.isPrepared else {
            statement.waiting.append(call)
            return false
        }
        execute(call, statement)
        return true
    }

    /// A statement was prepared, or refused; those who have waited for it were written, or have failed.
    func wasPrepared() {
        guard !held.isEmpty else { return }
        held.removeFirst()
        sendHeld()
        link.flushSoon()
    }

    /// Writes a call whose statement is prepared.
    func execute(_ call: PostgresCall, _ statement: PostgresStatement) {
        let values = call.sql.parameters
        guard values.count == statement.parameterTypes.count else {
            return call.failLater(
                SkeinError(
                    .exception, peer: peer,
                    because:
                        "the statement has \(statement.parameterTypes.count) parameters, but \(values.count) values were given"
                ))
        }
        statements.use(statement)
        call.starts(with: statement)
        if statement.name.isEmpty { PostgresWriter.prepareAgain(statement, into: &link.output) }
        PostgresWriter.bind(statement, PostgresParameters(values: values), into: &link.output)
        PostgresWriter.executeAll(into: &link.output)
        enqueue(call)
        if !isLeased, statement.mayChangeSession { reset() }
    }

    /// Makes the session what it was at its beginning, behind all that was written (the parts of DISCARD ALL, without the prepared
    /// statements).
    func reset() {
        link.begins(at: shard.now)
        PostgresWriter.query(
            "CLOSE ALL; SET SESSION AUTHORIZATION DEFAULT; RESET ROLE; RESET ALL; UNLISTEN *; "
                + "SELECT pg_advisory_unlock_all(); DISCARD TEMP; DISCARD SEQUENCES"
                + (hasNamedStatements ? "; DEALLOCATE ALL" : ""), into: &link.output)
        if hasNamedStatements {
            hasNamedStatements = false
            statements.forgetPrepared()
        }
        enqueue(PostgresChore { [weak self] error in if error != nil { self?.close() } })
    }

    /// The statement of a text, which is being prepared when it was not known.
    func statement(_ text: String) -> PostgresStatement {
        if let statement = statements[text] { return statement }
        let (statement, evicted) = statements.make(text)
        if let evicted { close(evicted) }
        PostgresWriter.parse(statement.name, text, into: &link.output)
        PostgresWriter.describeStatement(statement.name, into: &link.output)
        PostgresWriter.sync(into: &link.output)
        enqueue(statement)
        return statement
    }

    /// Lets the server forget a statement.
    func close(_ statement: PostgresStatement) {
        guard statement.isPrepared, !statement.name.isEmpty else { return }
        PostgresWriter.closeStatement(statement.name, into: &link.output)
        PostgresWriter.sync(into: &link.output)
        enqueue(PostgresChore())
    }

    /// A statement is not valid any more. Not while an answer is under way: what is written ends with a Sync.
    func forget(_ statement: PostgresStatement) {
        guard statements.forget(statement) else { return }
        close(statement)
        link.flushSoon()
    }

    /// The server does not know a statement that was prepared on this connection: a pooler gives each transaction another session.
    func noteOtherSession() { statements.noteUnknown() }

    /// Prepares a statement for something that is no call.
    func prepare(_ text: String, _ done: @escaping (Result<PostgresStatement, SkeinError>) -> Void) {
        guard isUsable else {
            return done(.failure(SkeinError(.connectionClosed, peer: peer, because: "the connection has ended")))
        }
        isUsed = true
        let statement = statement(text)
        if statement.isPrepared { done(.success(statement)) } else { statement.whenPrepared.append(done) }
        link.flushSoon()
    }

    private func enqueue(_ operation: any PostgresOperation) { pipeline.append((operation, link.writes)) }

    /// Puts something into the pipeline that writes by itself.
    func start(_ operation: any PostgresOperation, _ make: (inout ByteBuffer) -> Void) {
        link.begins(at: shard.now)
        if isLeased { isUsed = true }
        link.write(make)
        enqueue(operation)
    }

    func check() { start(PostgresChore()) { PostgresWriter.sync(into: &$0) } }

    func sayGoodbye() { if startup == nil { PostgresWriter.terminate(into: &link.output) } }

    // MARK: Cancelling

    func abandon(_ call: any PipelinedCall) {
        if pipeline.contains(where: { $0.operation === call }) { cancelIfAbandoned() }
        link.closeIfDone()
    }

    /// Stops the work that the server is at, when nobody waits for it. The connection takes no more calls, since a cancellation that
    /// comes too late would hit the next one.
    func cancelIfAbandoned() {
        guard let call = pipeline.first?.operation.call, call.isAbandoned else { return }
        for (operation, _) in pipeline { operation.call?.mayBeHitByCancel = true }
        cancelWork()
    }

    /// Stops the work that the server is at. The connection ends with it.
    func cancelWork() {
        guard !isCancelling, !isClosed, !pipeline.isEmpty, let key else { return }
        isCancelling = true
        leave()
        sendCancel(PostgresWriter.cancel(process: key.process, secret: key.secret))
        expectAnswer()
    }

    /// Cancels the work of a lease and closes the connection, so that rows which nobody will read are not received.
    func abandonWork() {
        cancelWork()
        close()
    }

    /// Gives the server a few seconds to end a cancelled statement; then the connection is closed.
    func expectAnswer() {
        guard !pipeline.isEmpty else { return }
        let count = answered
        shard.eventLoop.scheduleTask(in: Self.grace) { [weak self] in
            guard let self, !self.isClosed, self.answered == count else { return }
            self.close(
                because: SkeinError(
                    .connectionClosed, peer: self.peer, because: "the server did not end a cancelled statement")
            )
        }
    }

    // MARK: The end

    func loseCalls(_ reason: SkeinError) {
        let lost = pipeline
        pipeline = []
        let why =
            fatal.map {
                SkeinError(.connectionClosed, peer: peer, because: "the server ended the session: \($0)", cause: $0)
            } ?? reason
        let unsent = held
        held = []
        for (place, (operation, write)) in lost.enumerated() {
            // Only the first can have been begun when the server says that it ends.
            operation.lost(why, fatal: fatal, mayHaveBegun: place == 0 && link.writes > write)
        }
        for call in unsent { call.wasNotSent(why) }
        whenDrained = nil
        onNotification = nil
    }

    /// Ends a lease: what is not committed is undone, and what was set is as before.
    func putBack(to pool: PipelinePool<PostgresConnection>) {
        onNotification = nil
        link.pauseReading(false)
        guard isUsable, !isSpoiled else { return close() }
        guard pipeline.isEmpty, held.isEmpty else {
            whenDrained = { [weak self] in self?.putBack(to: pool) }
            return
        }
        if status != .idle {
            start(PostgresChore { [weak self] error in if error != nil { self?.close() } }) {
                PostgresWriter.query("ROLLBACK", into: &$0)
            }
        }
        if isUsed {
            reset()
            link.flushSoon()
        }
        isUsed = false
        pool.giveBack(self)
    }
}
