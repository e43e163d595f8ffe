// The answer of a database, and the call that it ends.

import Logging
import SkeinCore

/// A statement on its way, and, when it is over, what has come of it.
///
/// Unchecked: touched on its shard's loop only until it is over; then it does not change any more.
open class SQLCall: PipelinedCall, @unchecked Sendable {
    /// What is called with a response.
    public typealias Callback = @Sendable (SQLResponse) -> Void

    package final let sql: SQL
    package final let meta: Meta
    @exclusivity(unchecked) private var corequest: Corequest<SQLResponse>?
    private let callback: Callback?
    private let database: String

    // What has come of it
    @exclusivity(unchecked) package final var rows = Rows.none
    @exclusivity(unchecked) package final var command = ""
    @exclusivity(unchecked) package final var affected = 0
    @exclusivity(unchecked) package final var lastInsertID: Int64?
    @exclusivity(unchecked) package final var results: [SQLResult] = []
    @exclusivity(unchecked) package final var notices: [SQLNotice] = []
    @exclusivity(unchecked) fileprivate final var refusal: SQLError?
    @exclusivity(unchecked) fileprivate final var failure: SkeinError?

    @usableFromInline package init(
        _ sql: SQL, session: Session, shard: Shard, database: String, timeout: Duration?, standard: Duration?,
        meta: Meta,
        callback: Callback?
    ) {
        self.sql = sql
        self.meta = meta
        self.database = database
        self.callback = callback
        let corequest = Corequest<SQLResponse>(shard: shard)
        self.corequest = corequest
        super.init(session: session, shard: shard, timeout: timeout, standard: standard)
        corequest.setDriver(self)
    }

    public final override var peer: String { database }

    /// What callers wait on; before it is submitted.
    package final var handle: Corequest<SQLResponse> {
        guard let corequest else { preconditionFailure("a call is asked for its corequest after its end") }
        return corequest
    }

    /// The database has done what it was asked.
    package final func succeed(bytes: Int) { if !isOver { end(bytes: bytes, failed: false, publish: respond) } }

    /// The database has refused.
    package final func refuse(_ error: SQLError, bytes: Int = 0) {
        guard !isOver else { return }
        refusal = error
        rows = .none
        end(bytes: bytes, failed: false, publish: respond)
    }

    public final override func publish(_ failure: SkeinError) {
        self.failure = failure
        rows = .none
        respond()
    }

    private func respond() {
        guard let corequest else { return }
        self.corequest = nil
        let response = SQLResponse(call: self)
        corequest.finish(response)
        callback?(response)
    }
}

/// The answer of a database, or the failure that prevented one.
public struct SQLResponse: Response {
    fileprivate let call: SQLCall

    /// What the caller attached.
    public var meta: Meta { call.meta }
    /// 200, or 409 for a uniqueness conflict, 500 for any other refusal of the database, 700 to 722 for a failure.
    public var statusCode: Int { call.failure?.code.rawValue ?? call.refusal?.statusCode ?? 200 }
    /// The status in words; the database's.
    public var reason: String { call.failure?.code.name ?? call.refusal?.description ?? "OK" }
    /// `execute`.
    public var method: String { "execute" }
    /// The rows.
    public var content: Rows { call.rows }
    /// The rows; aquests' name.
    public var data: Rows { call.rows }
    /// The session's logger.
    public var logger: Logger { call.session.logger }
    /// The failure, if there was one.
    public var failure: SkeinError? { call.failure }
    /// What the database said when it refused.
    public var refusal: (any Error)? { call.refusal }
    /// What the database said when it refused.
    public var sqlError: SQLError? { call.refusal }
    /// The database that was asked.
    public var peer: String { call.peer }
    /// The kind of statement that was executed, as the database says it: `INSERT`, `SELECT`, `CREATE TABLE`.
    public var command: String { call.command }
    /// The rows that were changed, or read.
    public var affected: Int { call.affected }
    /// The row id of the last row that SQLite has inserted.
    public var lastInsertID: Int64? { call.lastInsertID }
    /// What each statement of a script has come to, in order; of one statement, the one result.
    public var results: [SQLResult] {
        guard call.results.isEmpty, call.failure == nil, call.refusal == nil else { return call.results }
        return [SQLResult(command: command, affected: affected, rows: content)]
    }
    /// What the database said beside the answer.
    public var notices: [SQLNotice] { call.notices }
    /// 299.
    public static var highestSuccess: Int { 299 }

    /// The rows as one value: of an array type, all of them; of another, the only one.
    /// - Throws: code 709 when it is none.
    public func decode<T: Decodable>(_ type: T.Type) throws -> T {
        if let list = type as? any RowList.Type, let all = try list.decode(content) as? T { return all }
        guard content.count == 1 else {
            throw SkeinError(
                .invalidContent, peer: peer, because: "\(content.count) rows are no \(type); ask for an array of it")
        }
        return try content[0].decode(type)
    }

    /// The rows as values of a type.
    /// - Throws: code 709 that names row and column.
    public func decodeRecords<T: Decodable>(_ type: T.Type) throws -> [T] { try content.decode(type) }
}

/// What one of several statements has come to.
public struct SQLResult: Sendable {
    /// The kind of statement, as the database says it.
    public let command: String
    /// The rows that were changed, or read.
    public let affected: Int
    /// The rows.
    public let rows: Rows

    package init(command: String, affected: Int, rows: Rows) {
        self.command = command
        self.affected = affected
        self.rows = rows
    }
}

/// A list of what rows are made into.
private protocol RowList {
    static func decode(_ rows: Rows) throws -> Self
}

extension Array: RowList where Element: Decodable {
    static func decode(_ rows: Rows) throws -> [Element] { try rows.decode(Element.self) }
}

extension Corequest where Result == SQLResponse {
    /// Waits and returns the one row that the answer must have.
    /// - Throws: `SkeinError` with code 410 unless there is exactly one, 409 on a uniqueness conflict, 500 when the database refuses.
    public func one(timeout: Duration? = nil) async throws -> Row {
        let response = await dispatch(timeout: timeout)
        try response.raiseForStatus()
        guard response.content.count == 1 else {
            throw SkeinError.status(
                410, peer: response.peer, because: "one row was asked for, \(response.content.count) came")
        }
        return response.content[0]
    }

    /// Waits and returns the rows, each as a value of a type.
    /// - Throws: `SkeinError` when the database refused or the exchange failed; code 709 when a row is none.
    public func rows<T: Decodable>(_ type: T.Type, timeout: Duration? = nil) async throws -> [T] {
        try await fetch(timeout: timeout).decode(type)
    }

    /// Waits and returns the rows, each as a value of a type that takes it by itself.
    /// - Throws: `SkeinError` when the database refused or the exchange failed; code 709 when a row is none.
    @inlinable public func rows<T: RowDecodable>(_ type: T.Type, timeout: Duration? = nil) async throws -> [T] {
        try await fetch(timeout: timeout).decode(type)
    }
}
