// The response of a database, and its call.

import Logging
import SkeinCore

/// The result of a statement. It changes on the shard's loop only, and not after it was published.
package final class SQLOutcome: @unchecked Sendable {
    package let sql: SQL
    fileprivate let meta: RequestMetadata
    fileprivate let database: String
    fileprivate let logger: Logger
    private var corequest: Corequest<SQLResponse>?
    private let callback: SQLResponse.Callback?

    @exclusivity(unchecked) package var rows = Rows.none
    @exclusivity(unchecked) package var command = ""
    @exclusivity(unchecked) package var affected = 0
    package var lastInsertID: Int64?
    @exclusivity(unchecked) package var results: [SQLResult] = []
    @exclusivity(unchecked) package var notices: [SQLNotice] = []
    @exclusivity(unchecked) fileprivate var refusal: SQLError?
    @exclusivity(unchecked) fileprivate var failure: SkeinError?

    package init(
        _ sql: SQL, on core: CallCore, database: String, meta: RequestMetadata, callback: SQLResponse.Callback?
    ) {
        self.sql = sql
        self.meta = meta
        self.database = database
        self.callback = callback
        logger = core.session.logger
        corequest = Corequest(shard: core.shard)
    }

    fileprivate var handle: Corequest<SQLResponse> {
        guard let corequest else { preconditionFailure("a call is asked for its corequest after its end") }
        return corequest
    }

    fileprivate func respond() {
        guard let corequest else { return }
        self.corequest = nil
        let response = SQLResponse(outcome: self)
        corequest.finish(response)
        callback?(response)
    }
}

/// A statement in flight.
package protocol SQLCall: PipelinedCall {
    var outcome: SQLOutcome { get }
}

extension SQLCall {
    package var peer: String { outcome.database }
    package var sql: SQL { outcome.sql }

    /// The corequest for callers; before submission.
    package var handle: Corequest<SQLResponse> {
        let handle = outcome.handle
        handle.setDriver(self)
        return handle
    }

    /// The statement succeeded.
    package func succeed(bytes: Int) { if !isOver { end(bytes: bytes, failed: false, publish: outcome.respond) } }

    /// The database returned an error.
    package func refuse(_ error: SQLError, bytes: Int = 0) {
        guard !isOver else { return }
        outcome.refusal = error
        outcome.rows = .none
        end(bytes: bytes, failed: false, publish: outcome.respond)
    }

    package func publish(_ failure: SkeinError) {
        outcome.failure = failure
        outcome.rows = .none
        outcome.respond()
    }
}

/// The response of a database, or a failure.
public struct SQLResponse: Response {
    /// A handler for responses.
    public typealias Callback = @Sendable (SQLResponse) -> Void

    fileprivate let outcome: SQLOutcome

    /// The caller's metadata.
    public var meta: RequestMetadata { outcome.meta }
    /// 200, or 409 for a uniqueness conflict, 500 for any other error of the database, 700 to 722 for a failure.
    public var statusCode: Int { outcome.failure?.code.rawValue ?? outcome.refusal?.statusCode ?? 200 }
    /// The database's error message, or the name of the failure.
    public var reason: String { outcome.failure?.code.name ?? outcome.refusal?.description ?? "OK" }
    /// `execute`.
    public var method: String { "execute" }
    /// The rows.
    public var content: Rows { outcome.rows }
    /// The rows, under the name that responses of all protocols have.
    public var data: Rows { outcome.rows }
    /// The session's logger.
    public var logger: Logger { outcome.logger }
    /// The failure, if there was one.
    public var failure: SkeinError? { outcome.failure }
    /// The database's error.
    public var refusal: (any Error)? { outcome.refusal }
    /// The database's error.
    public var sqlError: SQLError? { outcome.refusal }
    /// The database.
    public var peer: String { outcome.database }
    /// The kind of the executed statement, as reported by the database: `INSERT`, `SELECT`, `CREATE TABLE`.
    public var command: String { outcome.command }
    /// The number of rows changed, or read.
    public var affected: Int { outcome.affected }
    /// The row ID of the last row that SQLite has inserted.
    public var lastInsertID: Int64? { outcome.lastInsertID }
    /// The results of a script's statements, in order; for one statement, its result.
    public var results: [SQLResult] {
        guard outcome.results.isEmpty, outcome.failure == nil, outcome.refusal == nil else { return outcome.results }
        return [SQLResult(command: command, affected: affected, rows: content)]
    }
    /// Notices of the database.
    public var notices: [SQLNotice] { outcome.notices }
    /// The bytes of the cells.
    public var contentSize: Int { 1024 + content.cells.size }
    /// 299.
    public static var highestSuccess: Int { 299 }

    /// The rows as one value: for an array type, all of them; for another type, the only row.
    /// - Throws: code 709 when they cannot be decoded.
    public func decode<T: Decodable>(_ type: T.Type) throws -> T {
        if let list = type as? any RowList.Type, let all = try list.decode(content) as? T { return all }
        guard content.count == 1 else {
            throw SkeinError(
                .invalidContent, peer: peer,
                because: "\(content.count) rows cannot be decoded as one \(type); decode an array of it")
        }
        return try content[0].decode(type)
    }

    /// The rows as values of a type.
    /// - Throws: code 709 with row and column.
    public func decodeRecords<T: Decodable>(_ type: T.Type) throws -> [T] { try content.decode(type) }
}

/// The result of one of several statements.
public struct SQLResult: Sendable {
    /// The kind of statement, as reported by the database.
    public let command: String
    /// The number of rows changed, or read.
    public let affected: Int
    /// The rows.
    public let rows: Rows

    package init(command: String, affected: Int, rows: Rows) {
        self.command = command
        self.affected = affected
        self.rows = rows
    }
}

/// A list type that rows are decoded to.
private protocol RowList {
    static func decode(_ rows: Rows) throws -> Self
}

extension Array: RowList where Element: Decodable {
    static func decode(_ rows: Rows) throws -> [Element] { try rows.decode(Element.self) }
}

extension SQLResponse: ElementResponse {
    /// The rows, in order.
    public func elements() -> ReadyElements<Rows> { ReadyElements(content) }
}

extension Corequest where Result == SQLResponse {
    /// Waits and returns the single row of the result.
    /// - Throws: `SkeinError` with code 410 unless there is exactly one, 409 on a uniqueness conflict, 500 for another
    ///   error of the database.
    public func one(timeout: Duration? = nil) async throws -> Row {
        let response = await dispatch(timeout: timeout)
        try response.raiseForStatus()
        guard response.content.count == 1 else {
            throw SkeinError.status(
                410, peer: response.peer,
                because:
                    "expected exactly one row, got \(response.content.count == 0 ? "none" : "\(response.content.count)")"
            )
        }
        return response.content[0]
    }

    /// Waits and returns the rows, decoded as a type.
    /// - Throws: `SkeinError` when the database returned an error or the exchange failed; code 709 when a row cannot be
    ///   decoded.
    public func rows<T: Decodable>(_ type: T.Type, timeout: Duration? = nil) async throws -> [T] {
        try await fetch(timeout: timeout).decode(type)
    }

    /// Waits and returns the rows, as a type that reads them itself.
    /// - Throws: `SkeinError` when the database returned an error or the exchange failed; code 709 when a row cannot be
    ///   decoded.
    @inlinable public func rows<T: RowDecodable>(_ type: T.Type, timeout: Duration? = nil) async throws -> [T] {
        try await fetch(timeout: timeout).decode(type)
    }
}
