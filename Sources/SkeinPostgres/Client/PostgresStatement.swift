// A statement that a connection has prepared, or is preparing.

import NIOCore
import SkeinCore
import SkeinSQL

/// Something that stands in a connection's pipeline and is answered in its turn, up to ReadyForQuery.
protocol PostgresOperation: AnyObject {
    /// Whether nobody waits for it any more.
    var isAbandoned: Bool { get }
    /// Takes a message of its answer.
    /// - Throws: when it cannot be one.
    func receive(_ message: PostgresMessage, on connection: PostgresConnection) throws(PostgresProtocolError)
    /// The call, if it is one.
    var call: PostgresCall? { get }
    /// Where rows go that come behind others.
    var openRows: PostgresRowSet? { get }
    /// Takes note of rows that went there.
    func received(bytes: Int)
    /// The answer is complete.
    /// - Throws: when something is missing.
    func ready(_ status: PostgresTransactionStatus, on connection: PostgresConnection) throws(PostgresProtocolError)
    /// The connection has ended before that.
    /// - Parameters:
    ///   - fatal: what the server said at its end.
    ///   - mayHaveBegun: whether the server may have looked at it before.
    func lost(_ reason: SkeinError, fatal: SQLError?, mayHaveBegun: Bool)
}

extension PostgresOperation {
    var call: PostgresCall? { nil }
    var openRows: PostgresRowSet? { nil }
    func received(bytes: Int) {}
}

/// A prepared statement and those that wait until it is one.
final class PostgresStatement: PostgresOperation {
    /// Empty for one that is prepared for each execution.
    let name: String
    let text: String
    private(set) var parameterTypes: [UInt32] = []
    private(set) var layout = PostgresLayout.none
    private(set) var columns: [PostgresColumn] = []
    /// The last part of each Bind: in which format each column is wanted.
    private(set) var resultFormats = ByteBuffer()
    var isPrepared = false
    private var isDescribed = false
    private var error: SQLError?
    /// Those that are executed as soon as it is prepared.
    var waiting: [PostgresCall] = []
    /// Others that need to know of it.
    var whenPrepared: [(Result<PostgresStatement, SkeinError>) -> Void] = []
    /// When it was used last, as a count.
    var lastUse = 0
    /// Why it is not executed on a connection that many share.
    let sharedProblem: SkeinError?
    /// Whether its session has to be made what it was behind it.
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
            // One that was given up stood before, and its cancellation came too late for it: nothing is wrong with the statement.
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
        // None of them was sent: only the statement was.
        for call in calls { call.wasNotSent(reason) }
        for other in whenPrepared { other(.failure(reason)) }
        whenPrepared = []
    }
}

/// A word of the connection's own, whose answer only has to be a good one.
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
