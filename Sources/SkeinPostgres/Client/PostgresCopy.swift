// COPY: rows in bulk, as bytes in a form that the statement names.

import NIOCore
import SkeinCore
import SkeinSQL
import SkeinTransport
import Synchronization

extension PostgresClient {
    /// Sends rows in bulk: `copyIn("COPY weather FROM STDIN (FORMAT csv)", pieces)`.
    /// - Parameters:
    ///   - sql: a COPY … FROM STDIN.
    ///   - pieces: the bytes, cut anywhere. Sent at the pace of the server.
    /// - Returns: the rows that were added.
    /// - Throws: what the server says, and what the pieces throw; nothing was added then.
    public func copyIn<Pieces: AsyncSequence & Sendable>(_ sql: SQL, _ pieces: Pieces) async throws -> Int
    where Pieces.Element == ByteBuffer {
        try await withConnection { loan in
            let copy = try PostgresCopy(sql, loan)
            copy.start()
            try await copy.untilAccepted()
            do {
                // Small pieces go together: a row is often one.
                var gathered = ByteBuffer()
                for try await piece in pieces {
                    if copy.hasFailed { break }
                    gathered.writeImmutableBuffer(piece)
                    guard gathered.readableBytes >= 64 << 10 else { continue }
                    try await copy.send(gathered)
                    gathered.clear()
                }
                if gathered.readableBytes > 0, !copy.hasFailed { try await copy.send(gathered) }
                copy.finish(nil)
            } catch let error as SkeinError where copy.hasFailed {
                _ = error  // the server's own reason says more
            } catch {
                copy.finish("\(error)")
                _ = try? await copy.outcome()
                throw error
            }
            return try await copy.outcome().rows
        }
    }

    /// Receives rows in bulk: `for try await piece in copyOut("COPY weather TO STDOUT (FORMAT csv)")`.
    /// - Parameter sql: a COPY … TO STDOUT.
    /// - Returns: the bytes as they come, at the pace of the consumer.
    public func copyOut(_ sql: SQL) -> PostgresCopyOut { PostgresCopyOut(client: self, sql: sql) }
}

/// The bytes of a COPY … TO STDOUT. Each walk over it executes the statement.
public struct PostgresCopyOut: AsyncSequence, Sendable {
    public typealias Element = ByteBuffer

    fileprivate let client: PostgresClient
    fileprivate let sql: SQL

    /// Begins a walk; the statement is executed at its first step.
    public func makeAsyncIterator() -> AsyncIterator { AsyncIterator(sequence: self) }

    /// A walk over the bytes.
    public struct AsyncIterator: AsyncIteratorProtocol {
        fileprivate let sequence: PostgresCopyOut
        private var copy: CopyHandle?
        private var isOver = false

        fileprivate init(sequence: PostgresCopyOut) { self.sequence = sequence }

        /// The next piece; nil behind the last.
        /// - Throws: what the server says, and what happens to the connection.
        public mutating func next() async throws -> ByteBuffer? {
            if isOver { return nil }
            do {
                if copy == nil {
                    let made = try PostgresCopy(sequence.sql, await sequence.client.lend())
                    made.start()
                    copy = CopyHandle(made)
                }
                if let piece = try await copy?.copy.nextPiece() { return piece }
            } catch {
                isOver = true
                throw error
            }
            isOver = true
            copy = nil
            return nil
        }
    }
}

/// What an iterator holds: with it goes the copying.
private final class CopyHandle: Sendable {
    let copy: PostgresCopy
    init(_ copy: PostgresCopy) { self.copy = copy }
    deinit { copy.stop() }
}

/// One COPY under way, in either direction.
///
/// Unchecked: touched on its connection's loop only, but for what has a lock of its own.
private final class PostgresCopy: @unchecked Sendable, PostgresOperation {
    private let text: String
    private let loan: PostgresLoan
    private let inbox = Inbox<ByteBuffer>(maximum: 1 << 20)
    private let accepted: EventLoopPromise<Void>
    private let done: EventLoopPromise<PostgresTag>
    private let failed = Atomic<Bool>(false)
    private var error: SQLError?
    private var tag = PostgresTag(command: "", rows: 0)
    private var isPaused = false
    private var isUnwanted = false
    private var isCopying = false
    private var isOver = false

    init(_ sql: SQL, _ loan: PostgresLoan) throws {
        if let problem = sql.problem { throw problem }
        guard sql.parameters.isEmpty else {
            throw SkeinError(.exception, because: "COPY takes no parameters; put a query with literals into it")
        }
        text = sql.text
        self.loan = loan
        accepted = loan.shard.eventLoop.makePromise()
        done = loan.shard.eventLoop.makePromise()
    }

    var hasFailed: Bool { failed.load(ordering: .acquiring) }

    func start() {
        loan.shard.run { self.loan.connection.start(self) { PostgresWriter.query(self.text, into: &$0) } }
    }

    func untilAccepted() async throws { try await accepted.futureResult.get() }
    func outcome() async throws -> PostgresTag { try await done.futureResult.get() }

    /// Sends a piece when the socket takes it.
    func send(_ piece: ByteBuffer) async throws {
        let connection = loan.connection
        try await Task(executorPreference: loan.shard.executor) {
            var rest = piece
            while let part = rest.readSlice(length: min(rest.readableBytes, 64 << 10)), part.readableBytes > 0 {
                connection.write { PostgresWriter.copyData(part, into: &$0) }
                try await connection.untilWritable()
            }
        }.value
    }

    /// Says that all was sent, or why it was not.
    func finish(_ failure: String?) {
        loan.shard.run {
            guard !self.isOver else { return }
            self.loan.connection.write {
                if let failure {
                    PostgresWriter.copyFail(failure, into: &$0)
                } else {
                    PostgresWriter.copyDone(into: &$0)
                }
            }
        }
    }

    func nextPiece() async throws -> ByteBuffer? { try await inbox.next { loan.shard.run { self.resume() } } }

    private func resume() {
        guard isPaused else { return }
        isPaused = false
        loan.connection.pauseReading(false)
    }

    /// The consumer is gone.
    func stop() {
        loan.shard.run {
            guard !self.isOver else { return }
            self.isUnwanted = true
            self.loan.connection.cancelWork()
            self.resume()
        }
    }

    // MARK: The answer

    var isAbandoned: Bool { false }

    func receive(_ message: PostgresMessage, on connection: PostgresConnection) throws(PostgresProtocolError) {
        switch message {
        case .copyIn, .copyOut:
            isCopying = true
            accepted.succeed()
        case .copyData where isUnwanted: break
        case .copyData(let piece):
            if !inbox.push(piece, size: piece.readableBytes) {
                isPaused = true
                connection.pauseReading(true)
            }
        case .copyDone: break
        case .commandComplete(let tag): self.tag = tag
        case .error(let error):
            self.error = error
            failed.store(true, ordering: .releasing)
        default: throw .unexpected("the server answered a COPY with \(message)")
        }
    }

    func ready(_ status: PostgresTransactionStatus, on connection: PostgresConnection) {
        isOver = true
        if let error {
            end(error.failure(peer: connection.peer))
        } else if !isCopying {
            end(
                SkeinError(
                    .exception, peer: connection.peer, because: "the statement is no COPY from STDIN or to STDOUT"))
        } else {
            done.succeed(tag)
            inbox.finish(.finished)
        }
        let loan = loan
        connection.shard.eventLoop.execute { Task { await loan.end() } }
    }

    func lost(_ reason: SkeinError, fatal: SQLError?) {
        isOver = true
        failed.store(true, ordering: .releasing)
        end(reason)
    }

    private func end(_ error: SkeinError) {
        accepted.fail(error)
        done.fail(error)
        inbox.finish(.failed(error))
    }
}
