// A statement that is prepared, or is being prepared, on a connection.

import NIOCore
import SkeinCore
import SkeinSQL

/// An entry of a connection's pipeline, answered up to ReadyForQuery.
protocol PostgresOperation: AnyObject {
    /// Whether no caller waits for it any more.
    var isAbandoned: Bool { get }
    /// Receives a message of its response.
    /// - Throws: when the message is not allowed.
    func receive(_ message: PostgresMessage, on connection: PostgresConnection) throws(PostgresProtocolError)
    /// The call, if it is one.
    var call: PostgresCall? { get }
    /// The rows to which further rows can be appended directly.
    var openRows: PostgresRowSet? { get }
    /// Counts rows that were appended directly.
    func received(bytes: Int)
    /// The response is complete.
    /// - Throws: when a message is missing.
    func ready(_ status: PostgresTransactionStatus, on connection: PostgresConnection) throws(PostgresProtocolError)
    /// The connection ended before the response.
    /// - Parameters:
    ///   - fatal: the server's error at its end.
    ///   - mayHaveBegun: whether the server may have started it before.
    func lost(_ reason: SkeinError, fatal: SQLError?, mayHaveBegun: Bool)
}

extension PostgresOperation {
    var call: PostgresCall? { nil }
    var openRows: PostgresRowSet? { nil }
    func received(bytes: Int) {}
}

/// A prepared statement and the calls that wait for it.
final class PostgresStatement: PostgresOperation {
    /// Empty for a statement that is prepared for each execution.
    let name: String
    let text: String
    private(set) var parameterTypes: [UInt32] = []
    private(set) var layout = PostgresLayout.none
    private(set) var columns: [PostgresColumn] = []
    /// The last part of each Bind: the result format of each column.
    private(set) var resultFormats = ByteBuffer()
    var isPrepared = false
    private var isDescribed = false
    private var error: SQLError?
    /// Calls that are executed once it is prepared.
    var waiting: [PostgresCall] = []
    /// Other observers of the preparation.
    var whenPrepared: [(Result<PostgresStatement, SkeinError>) -> Void] = []
    /// A counter for the time of last use.
    var lastUse = 0
    /// The reason why it is not allowed on a shared connection.
    let sharedProblem: SkeinError?
    /// Whether the session has to be reset after it.
    let mayChangeSession: Bool

    init(name: String, text: String) {
        self.name = name
        self.text = text
        sharedProblem = PostgresKeyword.problem(text)
        mayChangeSession = PostgresKeyword.mayChangeSession(text)
    }

    var isAbandoned: Bool { whenPrepared.isEmpty && waiting.allSatisfy(\.isOver) }

    func receive(_ message: PostgresMessage, on connection: PostgresConnection) throws(PostgresProtocolError) {
        switch message {
        case .parseComplete, .closeComplete: break
        case .parameterDescription(let types): parameterTypes = types
        case .rowDescription(let columns):
            self.columns = columns
            layout = PostgresLayout(columns, isBinary: true)
            isDescribed = true
        case .noData: isDescribed = true
        case .error(let error): self.error = error
        default: throw .unexpected("the server answered a Parse with \(message)")
        }
    }

    func ready(_ status: PostgresTransactionStatus, on connection: PostgresConnection) throws(PostgresProtocolError) {
        guard isDescribed || error != nil else { throw .unexpected("the server did not describe a statement") }
        let calls = waiting
        let others = whenPrepared
        waiting = []
        whenPrepared = []
        if let error {
            connection.forget(self)
            let failure = error.failure(peer: connection.peer)
            // An abandoned statement preceded it, whose late cancellation hit this one: the statement itself is valid.
            let isStray = error.sqlState == "57014" && !connection.isUsable
            for call in calls { if isStray { call.wasNotSent(failure) } else { call.refused(error, on: connection) } }
            for other in others { other(.failure(failure)) }
            if !calls.isEmpty { connection.wasPrepared() }
            return
        }
        resultFormats.writeInteger(UInt16(layout.formats.count))
        for format in layout.formats { resultFormats.writeInteger(UInt16(format == nil ? 0 : 1)) }
        isPrepared = true
        for call in calls where !call.isOver { connection.execute(call, self) }
        connection.link.flushSoon()
        for other in others { other(.success(self)) }
        if !calls.isEmpty { connection.wasPrepared() }
    }

    func lost(_ reason: SkeinError, fatal: SQLError?, mayHaveBegun: Bool) {
        let calls = waiting
        waiting = []
        // No call was sent, only the statement.
        for call in calls { call.wasNotSent(reason) }
        for other in whenPrepared { other(.failure(reason)) }
        whenPrepared = []
    }
}

/// A command of the connection itself, which only has to succeed.
final class PostgresChore: PostgresOperation {
    private let done: (SQLError?) -> Void
    private var error: SQLError?

    init(_ done: @escaping (SQLError?) -> Void = { _ in }) { self.done = done }

    var isAbandoned: Bool { true }

    func receive(_ message: PostgresMessage, on connection: PostgresConnection) throws(PostgresProtocolError) {
        if case .error(let error) = message { self.error = error }
    }

    func ready(_ status: PostgresTransactionStatus, on connection: PostgresConnection) { done(error) }
    func lost(_ reason: SkeinError, fatal: SQLError?, mayHaveBegun: Bool) {}
}
