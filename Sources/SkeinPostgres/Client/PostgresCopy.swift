// COPY: bulk transfer of rows, in a format that the statement names.

import NIOCore
import SkeinCore
import SkeinSQL
import SkeinTransport
import Synchronization

extension PostgresClient {
    /// Sends rows in bulk: `copyIn("COPY weather FROM STDIN (FORMAT csv)", pieces)`.
    /// - Parameters:
    ///   - sql: a COPY … FROM STDIN statement.
    ///   - pieces: the bytes, split anywhere. Sent as fast as the server reads.
    ///   - timeout: for the whole operation. Default: none but the caller's deadline.
    /// - Returns: the number of rows added.
    /// - Throws: the server's error, the error of the pieces, code 702 after the timeout, 712 when the task is
    ///   cancelled; no rows are added then.
    public func copyIn<Pieces: AsyncSequence & Sendable>(
        _ sql: SQL, _ pieces: Pieces, timeout: Duration? = nil
    ) async throws -> Int where Pieces.Element == ByteBuffer {
        try await withConnection { lease in
            let copy = try PostgresCopy(sql, lease, .toServer)
            copy.start(within: timeout)
            // A separate task, so that pieces that never arrive do not delay the end.
            let feeding = Task(executorPreference: lease.shard.executor) {
                do {
                    try await copy.untilAccepted()
                    try await copy.feed(pieces)
                    copy.finish(nil)
                } catch {
                    copy.finish(error)
                }
            }
            defer { feeding.cancel() }
            return try await withTaskCancellationHandler {
                try await copy.outcome().rows
            } onCancel: {
                copy.abort(
                    SkeinError(.cancelled, peer: lease.connection.peer, because: "the COPY was cancelled"))
            }
        }
    }

    /// Receives rows in bulk: `for try await piece in copyOut("COPY weather TO STDOUT (FORMAT csv)")`.
    /// - Parameter sql: a COPY … TO STDOUT statement.
    /// - Returns: the bytes as they arrive, with back-pressure.
    public func copyOut(_ sql: SQL) -> PostgresCopyOut { PostgresCopyOut(client: self, sql: sql) }
}

/// The bytes of a COPY … TO STDOUT statement. Each iteration executes the statement.
public struct PostgresCopyOut: AsyncSequence, Sendable {
    public typealias Element = ByteBuffer

    fileprivate let client: PostgresClient
    fileprivate let sql: SQL

    /// Starts an iteration; its first step executes the statement.
    public func makeAsyncIterator() -> AsyncIterator { AsyncIterator(sequence: self) }

    /// Iterates over the bytes.
    public struct AsyncIterator: AsyncIteratorProtocol {
        fileprivate let sequence: PostgresCopyOut
        private var copy: CopyHandle?
        private var isOver = false

        fileprivate init(sequence: PostgresCopyOut) { self.sequence = sequence }

        /// The next piece; nil after the last.
        /// - Throws: the server's error, and failures of the connection.
        public mutating func next() async throws -> ByteBuffer? {
            if isOver { return nil }
            do {
                if copy == nil {
                    let made = try PostgresCopy(sequence.sql, await sequence.client.grant(), .fromServer)
                    made.start(within: nil)
                    copy = CopyHandle(made)
                }
                if let piece = try await copy?.copy.nextPiece() { return piece }
            } catch {
                isOver = true
                copy = nil
                throw error
            }
            isOver = true
            copy = nil
            return nil
        }
    }
}

/// The reference of an iterator: when it is released, the copying ends.
private final class CopyHandle: Sendable {
    let copy: PostgresCopy
    init(_ copy: PostgresCopy) { self.copy = copy }
    deinit { copy.stop() }
}

/// One COPY operation, in either direction.
///
/// Unchecked: used on its connection's loop only, except for state with its own lock.
private final class PostgresCopy: @unchecked Sendable, PostgresOperation {
    private let text: String
    private let lease: PostgresLease
    private let inbox = Inbox<ByteBuffer>(maximum: 1 << 20)
    private let direction: Direction
    private let accepted: EventLoopPromise<Void>
    private let done: EventLoopPromise<PostgresTag>
    private var error: SQLError?
    /// The reason why this side has aborted it.
    private var abortion: (any Error)?
    /// Whether no more copy data is sent.
    private var isEnded = false
    private var timer: Scheduled<Void>?
    private var tag = PostgresTag(command: "", rows: 0)
    private var isPaused = false
    private var isUnwanted = false
    private var isCopying = false
    private var isOver = false

    enum Direction {
        case toServer, fromServer
    }

    init(_ sql: SQL, _ lease: PostgresLease, _ direction: Direction) throws {
        if let problem = sql.problem { throw problem }
        guard sql.parameters.isEmpty else {
            throw SkeinError(.exception, because: "COPY takes no parameters; use literals")
        }
        text = sql.text
        self.direction = direction
        self.lease = lease
        accepted = lease.shard.eventLoop.makePromise()
        done = lease.shard.eventLoop.makePromise()
    }

    func start(within timeout: Duration?) {
        let limit = [timeout.map { Deadline.after($0) }, Deadline.current].compactMap(\.self).min()
        lease.shard.run {
            let connection = self.lease.connection
            guard connection.isUsable else {
                return self.end(
                    SkeinError(.connectionClosed, peer: connection.peer, because: "the connection has ended"))
            }
            connection.start(self) { PostgresWriter.query(self.text, into: &$0) }
            guard let limit else { return }
            self.timer = self.lease.shard.eventLoop.scheduleTask(deadline: limit.moment) {
                self.abort(
                    SkeinError(
                        .timeout, peer: connection.peer, because: "the COPY was not complete within its time limit"))
            }
        }
    }

    func untilAccepted() async throws { try await accepted.futureResult.get() }
    func outcome() async throws -> PostgresTag { try await done.futureResult.get() }

    /// Sends all pieces, each when the socket accepts it. On the loop.
    func feed<Pieces: AsyncSequence & Sendable>(_ pieces: Pieces) async throws where Pieces.Element == ByteBuffer {
        // Small pieces are combined: a piece is often a single row.
        var gathered = ByteBuffer()
        for try await piece in pieces {
            try Task.checkCancellation()
            gathered.writeImmutableBuffer(piece)
            guard gathered.readableBytes >= 64 << 10 else { continue }
            try await send(gathered)
            gathered.clear()
        }
        if gathered.readableBytes > 0 { try await send(gathered) }
    }

    private func send(_ piece: ByteBuffer) async throws {
        var rest = piece
        while !isEnded, !isOver, error == nil,
            let part = rest.readSlice(length: min(rest.readableBytes, 64 << 10)), part.readableBytes > 0
        {
            lease.connection.link.write { PostgresWriter.copyData(part, into: &$0) }
            try await lease.connection.link.untilWritable()
        }
    }

    /// Ends the copy data, with success or failure.
    func finish(_ failure: (any Error)?) {
        lease.shard.run {
            guard !self.isOver, !self.isEnded else { return }
            self.isEnded = true
            if let failure, self.error == nil { self.abortion = failure }
            self.lease.connection.link.write {
                if let failure {
                    PostgresWriter.copyFail("\(failure)", into: &$0)
                } else {
                    PostgresWriter.copyDone(into: &$0)
                }
            }
        }
    }

    /// Aborts the operation. The server is informed, even if it has received everything.
    func abort(_ failure: SkeinError) {
        lease.shard.run {
            guard !self.isOver, self.abortion == nil else { return }
            self.abortion = failure
            self.isUnwanted = true
            if self.isCopying, self.direction == .toServer, !self.isEnded {
                self.isEnded = true
                self.lease.connection.link.write { PostgresWriter.copyFail(failure.message, into: &$0) }
                self.lease.connection.expectAnswer()
            } else if self.direction == .toServer {
                self.lease.connection.cancelWork()
            } else {
                self.lease.connection.abandonWork()
            }
            self.inbox.finish(.failed(failure))
            self.resume()
        }
    }

    func nextPiece() async throws -> ByteBuffer? { try await inbox.next { lease.shard.run { self.resume() } } }

    private func resume() {
        guard isPaused else { return }
        isPaused = false
        lease.connection.link.pauseReading(false)
    }

    /// The consumer is gone.
    func stop() {
        lease.shard.run {
            guard !self.isOver, self.abortion == nil else { return }
            self.isUnwanted = true
            self.lease.connection.abandonWork()
        }
    }

    // MARK: The response

    var isAbandoned: Bool { false }

    func receive(_ message: PostgresMessage, on connection: PostgresConnection) throws(PostgresProtocolError) {
        switch message {
        case .copyIn where direction == .toServer, .copyOut where direction == .fromServer:
            isCopying = true
            if direction == .toServer, isEnded || abortion != nil {
                // Aborted, or a second COPY in the same text, which gets no data.
                isEnded = true
                connection.link.write { PostgresWriter.copyFail("there is nothing more to copy", into: &$0) }
            }
            accepted.succeed()
        case .copyIn:
            isEnded = true
            connection.link.write { PostgresWriter.copyFail("use copyIn(…) for this", into: &$0) }
            abortion = abortion ?? wrongDirection(connection)
        case .copyOut:
            // Data is discarded until the server has processed the cancellation.
            isUnwanted = true
            abortion = abortion ?? wrongDirection(connection)
            connection.cancelWork()
        case .copyData where isUnwanted: break
        case .copyData(let piece):
            if !inbox.push(piece, size: piece.readableBytes) {
                isPaused = true
                connection.link.pauseReading(true)
            }
        case .copyDone, .dataRow, .rowDescription, .emptyQuery: break
        case .commandComplete(let tag): self.tag = tag
        case .error(let error): self.error = error
        default: throw .unexpected("the server answered a COPY with \(message)")
        }
    }

    private func wrongDirection(_ connection: PostgresConnection) -> SkeinError {
        SkeinError(
            .exception, peer: connection.peer,
            because: "the statement copies in the other direction; copyIn(…) needs FROM STDIN, and copyOut(…) TO STDOUT"
        )
    }

    func ready(_ status: PostgresTransactionStatus, on connection: PostgresConnection) {
        isOver = true
        if let abortion {
            // If the server completed before the abort arrived, its work is committed, and reported.
            end(
                error == nil && isCopying && direction == .toServer ? Self.tooLate(abortion, connection.peer) : abortion
            )
        } else if let error {
            end(error.failure(peer: connection.peer))
        } else if !isCopying {
            end(
                SkeinError(
                    .exception, peer: connection.peer, because: "the statement is not a COPY from STDIN or to STDOUT"))
        } else {
            timer?.cancel()
            done.succeed(tag)
            inbox.finish(.finished)
        }
        let lease = lease
        connection.shard.eventLoop.execute { Task { await lease.end() } }
    }

    private static func tooLate(_ failure: any Error, _ peer: String) -> SkeinError {
        let known = failure as? SkeinError
        return SkeinError(
            known?.code ?? .exception, peer: peer,
            because: "\(known?.message ?? "\(failure)"), but the server had added the rows already", cause: failure)
    }

    func lost(_ reason: SkeinError, fatal: SQLError?, mayHaveBegun: Bool) {
        isOver = true
        end(abortion ?? reason)
    }

    private func end(_ error: any Error) {
        timer?.cancel()
        accepted.fail(error)
        done.fail(error)
        inbox.finish(.failed(error))
    }
}
