// Streaming of large results: read from a portal, in batches, when the consumer is ready.

import NIOCore
import SkeinCore
import SkeinSQL
import SkeinTransport

extension PostgresClient {
    /// Reads rows on demand, on an exclusive connection: `for try await row in db.stream("SELECT …")`.
    ///
    /// The server produces the rows on demand, one batch ahead of the consumer.
    /// - Parameters:
    ///   - sql: a statement that returns rows.
    ///   - piece: rows per batch. Default: 1000.
    public func stream(_ sql: SQL, piece: Int = 1000) -> PostgresRows {
        PostgresRows(client: self, sql: sql, piece: max(1, piece))
    }
}

/// Rows on demand. Each iteration executes the statement.
public struct PostgresRows: AsyncSequence, Sendable {
    public typealias Element = Row

    fileprivate let client: PostgresClient
    fileprivate let sql: SQL
    fileprivate let piece: Int

    /// Starts an iteration; its first step executes the statement.
    public func makeAsyncIterator() -> AsyncIterator { AsyncIterator(sequence: self) }

    /// Iterates over the rows.
    public struct AsyncIterator: AsyncIteratorProtocol {
        fileprivate let sequence: PostgresRows
        private var cursor: CursorHandle?
        private var rows = Rows.none[...]
        private var isOver = false

        fileprivate init(sequence: PostgresRows) { self.sequence = sequence }

        /// The next row; nil after the last.
        /// - Throws: the server's error, and failures of the connection.
        public mutating func next() async throws -> Row? {
            while !isOver {
                if let row = rows.popFirst() { return row }
                do {
                    if cursor == nil { cursor = try await PostgresCursor.open(sequence) }
                    guard let more = try await cursor?.next() else {
                        isOver = true
                        break
                    }
                    rows = more[...]
                } catch {
                    isOver = true
                    cursor = nil
                    throw error
                }
            }
            cursor = nil
            return nil
        }
    }
}

/// An open portal.
///
/// Unchecked: used on its connection's loop only, except for the inbox.
private final class PostgresCursor: @unchecked Sendable, PostgresOperation {
    private let lease: PostgresLease
    private var statement: PostgresStatement
    private let sql: SQL
    private let piece: Int
    private let inbox = Inbox<Rows>(maximum: 2)
    private var rows: PostgresRowSet
    private var error: SQLError?
    private var isSuspended = false
    private var isEnding = false
    private var isBound = false
    private var isSecond = false
    /// Whether the server has described other columns than those of the Bind message.
    private var hasOtherColumns = false
    private var isUnwanted = false

    private init(_ lease: PostgresLease, _ statement: PostgresStatement, _ sql: SQL, piece: Int) {
        self.lease = lease
        self.statement = statement
        self.sql = sql
        self.piece = piece
        rows = PostgresRowSet(statement.layout)
    }

    static func open(_ sequence: PostgresRows) async throws -> CursorHandle {
        if let problem = sequence.sql.problem { throw problem }
        let lease = try await sequence.client.grant()
        let promise = lease.shard.eventLoop.makePromise(of: CursorHandle.self)
        lease.shard.run {
            lease.connection.prepare(sequence.sql.text) { result in
                promise.completeWith(
                    result.flatMap { statement in
                        let values = sequence.sql.parameters
                        guard values.count == statement.parameterTypes.count else {
                            return .failure(
                                SkeinError(
                                    .exception,
                                    because:
                                        "the statement has \(statement.parameterTypes.count) parameters, not \(values.count)"
                                ))
                        }
                        let cursor = PostgresCursor(lease, statement, sequence.sql, piece: sequence.piece)
                        cursor.start()
                        return .success(CursorHandle(cursor))
                    }.mapError { $0 as any Error })
            }
        }
        do {
            return try await promise.futureResult.get()
        } catch {
            await lease.end()
            throw error
        }
    }

    private func start() {
        lease.connection.start(self) { output in
            if statement.name.isEmpty { PostgresWriter.prepareAgain(statement, into: &output) }
            PostgresWriter.bind(statement, PostgresParameters(values: sql.parameters), into: &output)
            ask(&output)
        }
    }

    private func ask(_ output: inout ByteBuffer) {
        isSuspended = false
        PostgresWriter.execute(rows: UInt32(clamping: piece), into: &output)
        PostgresWriter.flush(into: &output)
    }

    func next() async throws -> Rows? { try await inbox.next { lease.shard.run { self.goOn() } } }

    private func goOn() {
        guard isSuspended, !isEnding else { return }
        lease.connection.link.write { ask(&$0) }
    }

    /// The consumer is gone.
    func stop() {
        lease.shard.run {
            self.isUnwanted = true
            guard !self.isEnding else { return }
            if self.isSuspended { self.sync() } else { self.lease.connection.abandonWork() }
        }
    }

    private func sync() {
        guard !isEnding else { return }
        isEnding = true
        lease.connection.link.write { PostgresWriter.sync(into: &$0) }
    }

    // MARK: The response

    var isAbandoned: Bool { false }
    var openRows: PostgresRowSet? { hasOtherColumns ? nil : rows }

    func receive(_ message: PostgresMessage, on connection: PostgresConnection) throws(PostgresProtocolError) {
        switch message {
        case .parseComplete, .parameterDescription: break
        case .rowDescription(let columns): hasOtherColumns = columns != statement.columns
        case .bindComplete: isBound = true
        case .dataRow where hasOtherColumns: break
        case .dataRow(let row): try rows.append(row)
        case .portalSuspended:
            isSuspended = true
            if hasOtherColumns { return sync() }
            if deliver(), !isEnding { connection.link.write { ask(&$0) } }
        case .commandComplete(let tag):
            connection.saw(tag)
            _ = deliver()
            sync()
        case .emptyQuery: sync()
        case .error(let error):
            self.error = error
            sync()
        default: throw .unexpected("the server answered an Execute with \(message)")
        }
    }

    private func deliver() -> Bool {
        guard rows.count > 0 else { return true }
        let piece = Rows(rows)
        rows = PostgresRowSet(statement.layout)
        return inbox.push(piece, size: 1)
    }

    func ready(_ status: PostgresTransactionStatus, on connection: PostgresConnection) {
        if hasOtherColumns, error == nil {
            connection.forget(statement)
            return end(
                .failed(
                    SkeinError(
                        .invalidContent, peer: connection.peer,
                        because:
                            "a table has changed, and the rows have other columns than prepared; start the stream again"
                    )),
                on: connection)
        }
        if let error, !isBound, error.isStale || hasOtherColumns {
            connection.forget(statement)
            if error.sqlState == "26000" { connection.noteOtherSession() }
            if !isSecond, !isUnwanted { return startAgain(on: connection) }
        }
        end(error.map { .failed($0.failure(peer: connection.peer)) } ?? .finished, on: connection)
    }

    /// Prepares the statement again: a table has changed, or a pooler has assigned another session.
    private func startAgain(on connection: PostgresConnection) {
        isSecond = true
        connection.prepare(sql.text) { result in
            switch result {
            case .success where self.isUnwanted: self.end(.finished, on: connection)
            case .success(let statement):
                self.hasOtherColumns = false
                self.statement = statement
                self.rows = PostgresRowSet(statement.layout)
                self.error = nil
                self.isEnding = false
                self.start()
            case .failure(let error): self.end(.failed(error), on: connection)
            }
        }
    }

    private func end(_ end: Inbox<Rows>.End, on connection: PostgresConnection) {
        inbox.finish(end)
        let lease = lease
        connection.shard.eventLoop.execute { Task { await lease.end() } }
    }

    func lost(_ reason: SkeinError, fatal: SQLError?, mayHaveBegun: Bool) {
        isEnding = true
        inbox.finish(.failed(reason))
    }
}

/// The reference of an iterator: when it is released, the portal is closed.
private final class CursorHandle: Sendable {
    private let cursor: PostgresCursor

    init(_ cursor: PostgresCursor) { self.cursor = cursor }
    deinit { cursor.stop() }

    func next() async throws -> Rows? { try await cursor.next() }
}
