// Server sessions, for retryable writes and transactions
// (https://github.com/mongodb/specifications/blob/master/source/sessions/driver-sessions.md, …/transactions/transactions.md).

import SkeinCore
import SkeinTransport
import Synchronization

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// The identity of a session on the server.
struct MongoServerSession: Sendable {
    let id: Document
    /// The transaction number, a counter of writes and transactions.
    var number: Int64 = 0
    /// Whether a connection was lost while it was in use, so that its state on the server is unknown.
    var isDirty = false
    var lastUse = ContinuousClock.now

    init() { id = ["id": BSON(UUID())] }
}

/// A pool of idle server sessions.
final class MongoSessionPool: Sendable {
    private let idle = Mutex<[MongoServerSession]>([])
    /// Servers drop a session after 30 minutes.
    private static let longestRest = Duration.seconds(25 * 60)

    func take() -> MongoServerSession {
        idle.withLock { idle in
            while var session = idle.popLast() {
                guard ContinuousClock.now - session.lastUse < Self.longestRest else { continue }
                session.lastUse = .now
                return session
            }
            return MongoServerSession()
        }
    }

    /// Removes all idle sessions, and returns their IDs.
    func takeAll() -> [BSON] {
        idle.withLock { idle in
            defer { idle = [] }
            return idle.map { .document($0.id) }
        }
    }

    func giveBack(_ session: MongoServerSession) {
        guard !session.isDirty else { return }
        idle.withLock { if $0.count < 10_000 { $0.append(session) } }
    }
}

/// A session: its reads see its own writes, and transactions run in it.
///
/// Commands use it through its databases: `session["blog"]["posts"].insert(…)`. They must be sent one after the other.
public final class MongoSession: Sendable {
    private enum Transaction: Sendable {
        case none
        /// Started, and nothing sent.
        case starting
        case inProgress
        case committed
        case aborted
    }

    private struct State: Sendable {
        var server: MongoServerSession
        var transaction = Transaction.none
        var pinned: Endpoint?
        var operationTime: BSONTimestamp?
        /// Whether a commit of the transaction was sent before, so that the next one is a retry.
        var hasTriedCommit = false
        var isOver = false
    }

    /// The client of the session.
    public let client: MongoClient
    private let state: Mutex<State>

    init(_ client: MongoClient) {
        self.client = client
        state = Mutex(State(server: client.sessions.take()))
    }

    deinit { end() }

    /// A database whose commands use this session.
    public subscript(name: String) -> MongoDatabase { MongoDatabase(client: client, name: name, session: self) }

    /// The client's default database, with this session.
    public var database: MongoDatabase { self[client.configuration.database] }

    /// Ends the session; the server aborts an open transaction after a while.
    public func end() {
        let server = state.withLock { state -> MongoServerSession? in
            guard !state.isOver else { return nil }
            state.isOver = true
            if case .inProgress = state.transaction { state.server.isDirty = true }
            return state.server
        }
        if let server { client.sessions.giveBack(server) }
    }

    // MARK: Transactions

    /// Starts a transaction; the next command is its first.
    /// - Throws: code 701 when one is in progress.
    public func startTransaction() throws(SkeinError) {
        let isFree = state.withLock { state in
            switch state.transaction {
            case .starting, .inProgress: return false
            default: break
            }
            state.transaction = .starting
            state.server.number += 1
            state.pinned = nil
            state.hasTriedCommit = false
            return true
        }
        guard isFree else {
            throw SkeinError(.exception, because: "a transaction is under way in this session already")
        }
    }

    /// Commits the transaction.
    /// - Throws: the server's error; with the label `UnknownTransactionCommitResult` the outcome is unknown, and the
    ///   commit may be retried.
    public func commitTransaction() async throws {
        switch state.withLock({ $0.transaction }) {
        case .none, .aborted: throw SkeinError(.exception, because: "no transaction is under way in this session")
        case .starting: state.withLock { $0.transaction = .committed }
        case .inProgress, .committed:
            let isRetry = state.withLock { state in
                defer { state.hasTriedCommit = true }
                return state.hasTriedCommit
            }
            try await finish("commitTransaction", isRetry: isRetry).commit()
            state.withLock { $0.transaction = .committed }
        }
    }

    /// Aborts the transaction. If that fails, the server aborts it after a while.
    /// - Throws: code 701 when none is in progress.
    public func abortTransaction() async throws {
        let before = state.withLock { state in
            defer { state.transaction = .aborted }
            return state.transaction
        }
        switch before {
        case .none, .aborted, .committed:
            state.withLock { $0.transaction = before }
            throw SkeinError(.exception, because: "no transaction is under way in this session")
        case .starting: break
        case .inProgress: _ = await finish("abortTransaction").dispatch()
        }
    }

    /// - Parameter isRetry: whether it may have been committed already. Then the write concern is majority: a former
    ///   primary may have accepted the first attempt (transactions specification, "Majority write concern is used when
    ///   retrying commitTransaction").
    private func finish(_ name: String, isRetry: Bool = false) -> Corequest<MongoResponse> {
        var command = MongoCommand([name: 1], on: "admin")
        var concern = client.configuration.writeConcern?.document
        if isRetry {
            var stronger = concern ?? [:]
            stronger["w"] = "majority"
            if !stronger.contains("wtimeout") { stronger["wtimeout"] = 10_000 }
            concern = stronger
        }
        if let concern { command.document.append("writeConcern", .document(concern)) }
        command.session = self
        return client.start(command)
    }

    // MARK: Calls from commands

    var isInTransaction: Bool {
        state.withLock { state in
            switch state.transaction {
            case .starting, .inProgress: true
            default: false
            }
        }
    }

    /// The transaction number for a retryable write; nil in a transaction, which is retried as a whole.
    func countsWrite() -> Int64? {
        guard !isInTransaction else { return nil }
        return state.withLock { state in
            state.server.number += 1
            return state.server.number
        }
    }

    /// The server that the transaction is pinned to, in a cluster with several routers.
    var pinned: Endpoint? { state.withLock { $0.pinned } }

    func pin(_ address: Endpoint) {
        state.withLock { state in
            if case .starting = state.transaction, state.pinned == nil { state.pinned = address }
        }
    }

    func unpin() { state.withLock { $0.pinned = nil } }

    /// A command is about to be sent in the session.
    /// - Returns: the reason why it must not be.
    func begins(_ command: MongoCommand) -> SkeinError? {
        state.withLock { state in
            if state.isOver { return SkeinError(.exception, because: "the session has ended") }
            switch state.transaction {
            case .committed, .aborted: if !Self.ends.contains(command.name) { state.transaction = .none }
            default: break
            }
            return nil
        }
    }

    private static let ends: Set<String> = ["commitTransaction", "abortTransaction"]

    /// Appends the session's members to a command.
    func write(into additions: inout Document, _ command: MongoCommand, topology: MongoTopology.Kind) {
        let (id, number, transaction, after) = state.withLock { state in
            defer {
                state.server.lastUse = .now
                if case .starting = state.transaction { state.transaction = .inProgress }
            }
            return (state.server.id, state.server.number, state.transaction, state.operationTime)
        }
        additions.append("lsid", .document(id))
        switch transaction {
        case .starting:
            additions.append("txnNumber", .int64(number))
            additions.append("startTransaction", true)
            additions.append("autocommit", false)
            addConcern(after, &additions, command, client.configuration.readConcern)
        case .inProgress, .committed:
            additions.append("txnNumber", .int64(number))
            additions.append("autocommit", false)
        case .none, .aborted:
            if Self.ends.contains(command.name) {
                additions.append("txnNumber", .int64(number))
                additions.append("autocommit", false)
            } else if command.isRead, !command.document.contains("readConcern") {
                addConcern(topology == .single ? nil : after, &additions, command, client.configuration.readConcern)
            }
        }
    }

    /// Reads must be at least as recent as what this session has seen.
    private func addConcern(
        _ after: BSONTimestamp?, _ additions: inout Document, _ command: MongoCommand, _ level: MongoReadConcern?
    ) {
        var concern = Document()
        if let level { concern.append("level", .string(level.rawValue)) }
        if let after { concern.append("afterClusterTime", .timestamp(after)) }
        if !concern.isEmpty { additions.append("readConcern", .document(concern)) }
    }

    /// Updates the session from a reply.
    func saw(_ reply: Document) {
        guard case .timestamp(let time)? = reply["operationTime"] else { return }
        state.withLock { state in
            if let known = state.operationTime, known > time { return }
            state.operationTime = time
        }
    }
}

extension MongoClient {
    /// Starts a session. It ends with `end()`, or with its last reference.
    public func startSession() -> MongoSession { MongoSession(self) }

    /// Runs commands in a transaction: commits when the closure returns, aborts when it throws, and retries on
    /// transient errors (a conflict with another transaction, a change of the primary).
    /// - Parameters:
    ///   - limit: how long it is retried. Default: 120 s.
    ///   - work: uses the session's databases; it may be called several times.
    public func transaction<Value: Sendable>(
        retryingFor limit: Duration = .seconds(120), _ work: @Sendable (MongoSession) async throws -> Value
    ) async throws -> Value {
        let session = startSession()
        defer { session.end() }
        let end = ContinuousClock.now + limit
        var attempt = 0
        while true {
            try session.startTransaction()
            do {
                let value = try await work(session)
                try await commit(session, until: end)
                return value
            } catch {
                if session.isInTransaction { try? await session.abortTransaction() }
                guard Self.labels(error).contains("TransientTransactionError"), ContinuousClock.now < end else {
                    throw error
                }
                attempt += 1
                let backoff = Backoff(first: .milliseconds(10), factor: 1.5, longest: .milliseconds(500))
                guard try await backoff.wait(after: attempt) else { throw error }
            }
        }
    }

    private func commit(_ session: MongoSession, until end: ContinuousClock.Instant) async throws {
        let backoff = Backoff(first: .milliseconds(5), factor: 1.5, longest: .milliseconds(500))
        var attempt = 0
        while true {
            do {
                return try await session.commitTransaction()
            } catch {
                let isOpen =
                    Self.labels(error).contains("UnknownTransactionCommitResult")
                    || (error as? SkeinError).map {
                        [.connectionClosed, .socketError, .connectionFailed].contains($0.code)
                    }
                        == true
                guard isOpen, ContinuousClock.now < end else { throw error }
                attempt += 1
                guard try await backoff.wait(after: attempt) else { throw error }
            }
        }
    }

    /// The error labels of an error. A lost connection in a transaction counts as a transient error.
    private static func labels(_ error: any Error) -> Set<String> {
        guard let error = error as? SkeinError else { return (error as? MongoError)?.labels ?? [] }
        if let cause = error.cause as? MongoError { return cause.labels }
        return [.connectionClosed, .socketError, .connectionFailed].contains(error.code)
            ? ["TransientTransactionError"] : []
    }
}
