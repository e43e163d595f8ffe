// The answer of a database, and the call that it ends.

import Logging
import SkeinCore

/// What has come of a statement. It changes on the shard's loop only, and not any more when it is published.
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

/// A statement on its way.
package protocol SQLCall: PipelinedCall {
    var outcome: SQLOutcome { get }
}

extension SQLCall {
    package var peer: String { outcome.database }
    package var sql: SQL { outcome.sql }

    /// What callers wait on; before it is submitted.
    package var handle: Corequest<SQLResponse> {
        let handle = outcome.handle
        handle.setDriver(self)
        return handle
    }

    /// The database has done what it was asked.
    package func succeed(bytes: Int) { if !isOver { end(bytes: bytes, failed: false, publish: outcome.respond) } }

    /// The database has refused.
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

/// The answer of a database, or the failure that prevented one.
public struct SQLResponse: Response {
    /// What is called with a response.
    public typealias Callback = @Sendable (SQLResponse) -> Void

    fileprivate let outcome: SQLOutcome

    /// What the caller attached.
    public var meta: RequestMetadata { outcome.meta }
    /// 200, or 409 for a uniqueness conflict, 500 for any other refusal of the database, 700 to 722 for a failure.
    public var statusCode: Int { outcome.failure?.code.rawValue ?? outcome.refusal?.statusCode ?? 200 }
    /// The status in words; the database's.
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
    /// What the database said when it refused.
    public var refusal: (any Error)? { outcome.refusal }
    /// What the database said when it refused.
    public var sqlError: SQLError? { outcome.refusal }
    /// The database that was asked.
    public var peer: String { outcome.database }
    /// The kind of statement that was executed, as the database says it: `INSERT`, `SELECT`, `CREATE TABLE`.
    public var command: String { outcome.command }
    /// The rows that were changed, or read.
    public var affected: Int { outcome.affected }
    /// The row id of the last row that SQLite has inserted.
    public var lastInsertID: Int64? { outcome.lastInsertID }
    /// What each statement of a script has come to, in order; of one statement, the one result.
    public var results: [SQLResult] {
        guard outcome.results.isEmpty, outcome.failure == nil, outcome.refusal == nil else { return outcome.results }
        return [SQLResult(command: command, affected: affected, rows: content)]
    }
    /// What the database said beside the answer.
    public var notices: [SQLNotice] { outcome.notices }
    /// 299.
    public static var highestSuccess: Int { 299 }

    /// The rows as one value: of an array type, all of them; of another, the only one.
    /// - Throws: code 709 when it is none.
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

extension SQLResponse: ElementResponse {
    /// The rows, in order.
    public func elements() -> ReadyElements<Rows> { ReadyElements(content) }
}

extension Corequest where Result == SQLResponse {
    /// Waits and returns the one row that the answer must have.
    /// - Throws: `SkeinError` with code 410 unless there is exactly one, 409 on a uniqueness conflict, 500 when the database refuses.
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
