// One connection to a PostgreSQL server, with pipelined statements of several callers, each with its own Sync, so that
// a failing one does not affect the others.

import DequeModule
import Logging
import NIOCore
import SkeinCore
import SkeinSQL
import SkeinTransport

/// A connection.
///
/// Unchecked: used on its channel's loop only.
final class PostgresConnection: PooledConnection, @unchecked Sendable {
    let link: PipelineLink
    let configuration: PostgresConfiguration
    let logger: Logger
    @exclusivity(unchecked) var decoder: PostgresDecoder
    @exclusivity(unchecked) var startup: PostgresStartup?
    /// The operations that wait for a response, each with the number of writes before it.
    @exclusivity(unchecked) var pipeline = Deque<(operation: any PostgresOperation, write: Int)>()
    /// Calls of a lease that wait behind one that is being prepared, so that their order is kept.
    @exclusivity(unchecked) var held = Deque<PostgresCall>()
    /// Called when no operation is in flight any more.
    @exclusivity(unchecked) var whenDrained: (() -> Void)?
    @exclusivity(unchecked) var statements: PostgresStatementCache
    /// Completed operations.
    @exclusivity(unchecked) var answered = 0
    @exclusivity(unchecked) var status = PostgresTransactionStatus.idle
    @exclusivity(unchecked) var key: (process: UInt32, secret: UInt32)?
    /// The parameters reported by the server.
    @exclusivity(unchecked) var parameters: [String: String] = [:]
    @exclusivity(unchecked) var fatal: SQLError?
    /// Whether a lease has executed a statement, so that the session may have changed.
    @exclusivity(unchecked) var isUsed = false
    /// Whether statements were prepared by name in SQL, which a reset does not drop.
    @exclusivity(unchecked) var hasNamedStatements = false
    /// Whether the session cannot be reset.
    @exclusivity(unchecked) var isSpoiled = false
    @exclusivity(unchecked) var isCancelling = false
    /// Receives notifications.
    @exclusivity(unchecked) var onNotification: ((PostgresNotification) -> Void)?
    /// Sends a cancel request over a separate connection.
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
    /// When several abandoned statements are in flight, the server continues with the next one after a cancellation:
    /// they are cancelled one by one.
    var isDone: Bool { pipeline.count < 2 && onlyAbandoned }
    /// The operation that arriving messages answer; nil when it was not sent yet.
    var due: (any PostgresOperation)? { pipeline.first.flatMap { link.writes > $0.write ? $0.operation : nil } }

    func encode(_ call: PostgresCall) {
        if isLeased {
            held.append(call)
            if held.count == 1 { sendHeld() }
        } else {
            _ = begin(call)
        }
    }

    /// Sends the waiting calls of a lease, as far as their order allows.
    func sendHeld() {
        while let call = held.first {
            if !call.isOver, !begin(call) { return }  // it is being prepared; the others wait
            held.removeFirst()
        }
    }

    /// Sends a call, or queues it until its statement is prepared. Returns whether it was sent, or never will be.
    func begin(_ call: PostgresCall) -> Bool {
        if isLeased { isUsed = true }
        if call.isScript {
            call.starts(with: nil)
            enqueue(call)
            PostgresWriter.query(call.sql.text, into: &link.output)
            return true
        }
        let text = call.sql.text
        // The same text may have been prepared during a lease, when more is allowed.
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

    /// A statement was prepared, or refused; the calls waiting for it were sent, or have failed.
    func wasPrepared() {
        guard !held.isEmpty else { return }
        held.removeFirst()
        sendHeld()
        link.flushSoon()
    }

    /// Sends a call with a prepared statement.
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

    /// Resets the session, after all pending output (the parts of DISCARD ALL, without the prepared statements).
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

    /// The statement of a text; an unknown one is being prepared.
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

    /// Closes a statement on the server.
    func close(_ statement: PostgresStatement) {
        guard statement.isPrepared, !statement.name.isEmpty else { return }
        PostgresWriter.closeStatement(statement.name, into: &link.output)
        PostgresWriter.sync(into: &link.output)
        enqueue(PostgresChore())
    }

    /// A statement is invalid. Not while a response is in flight: the output ends with a Sync.
    func forget(_ statement: PostgresStatement) {
        guard statements.forget(statement) else { return }
        close(statement)
        link.flushSoon()
    }

    /// The server does not know a statement that was prepared on this connection: a pooler assigns different sessions
    /// to transactions.
    func noteOtherSession() { statements.noteUnknown() }

    /// Prepares a statement for another operation than a call.
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

    /// Adds an operation to the pipeline that writes its own messages.
    func start(_ operation: any PostgresOperation, _ make: (inout ByteBuffer) -> Void) {
        link.begins(at: shard.now)
        if isLeased { isUsed = true }
        link.write(make)
        enqueue(operation)
    }

    func check() { start(PostgresChore()) { PostgresWriter.sync(into: &$0) } }

    func sayGoodbye() { if startup == nil { PostgresWriter.terminate(into: &link.output) } }

    // MARK: Cancellation

    func abandon(_ call: any PipelinedCall) {
        if pipeline.contains(where: { $0.operation === call }) { cancelIfAbandoned() }
        link.closeIfDone()
    }

    /// Cancels the server's current work, when no caller waits for it. The connection accepts no more calls, since a
    /// late cancellation would hit the next one.
    func cancelIfAbandoned() {
        guard let call = pipeline.first?.operation.call, call.isAbandoned else { return }
        for (operation, _) in pipeline { operation.call?.mayBeHitByCancel = true }
        cancelWork()
    }

    /// Cancels the server's current work. The connection is closed afterwards.
    func cancelWork() {
        guard !isCancelling, !isClosed, !pipeline.isEmpty, let key else { return }
        isCancelling = true
        leave()
        sendCancel(PostgresWriter.cancel(process: key.process, secret: key.secret))
        expectAnswer()
    }

    /// Cancels the work of a lease and closes the connection, so that unread rows are not received.
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
            // When the server shuts down, only the first operation can have started.
            operation.lost(why, fatal: fatal, mayHaveBegun: place == 0 && link.writes > write)
        }
        for call in unsent { call.wasNotSent(why) }
        whenDrained = nil
        onNotification = nil
    }

    /// Ends a lease: uncommitted work is rolled back, and the session is reset.
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
