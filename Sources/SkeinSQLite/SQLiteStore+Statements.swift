// Executes statements on a GRDB connection: which are read-only, which are refused, how they are interrupted, and their
// results.

import GRDB
import GRDBSQLite
import SkeinCore
import SkeinSQL
import Synchronization

extension SQLiteStore {
    /// Whether a text may be sent to a reader, judged by its first word.
    static func looksReadOnly(_ text: String, hasWriter: Bool) -> Bool {
        let word = SQLKeyword.first(of: text, nestsComments: false)
        // A pragma that queries a value does not need the writer; one that sets a value sets it for the writer.
        if word == "PRAGMA" { return !hasWriter && asks(text) }
        return ["SELECT", "WITH", "VALUES", "EXPLAIN", ""].contains(word)
    }

    /// Whether a pragma has no value, or one that names the object of the query.
    private static func asks(_ pragma: String) -> Bool {
        guard !pragma.containsByte("="), let open = pragma.firstByte("(") else { return !pragma.containsByte("=") }
        let asking = [
            "table_info", "table_xinfo", "table_list", "index_list", "index_info", "index_xinfo", "foreign_key_list",
            "foreign_key_check",
            "integrity_check", "quick_check",
        ]
        let name = pragma[..<open].splitAtBlanks().last?.splitBytes(separator: ".").last ?? ""
        return asking.contains { name.equalsIgnoringCase($0) }
    }

    /// Whether no statement of a text changes the database or the connection.
    static func onlyReads(_ text: String, on database: Database) throws -> Bool {
        // The allowed ones only return information.
        if ["PRAGMA", "EXPLAIN"].contains(SQLKeyword.first(of: text, nestsComments: false)) {
            return (try? statement(text, on: database)) != nil
        }
        if let statement = try? statement(text, on: database) { return statement.isReadonly }
        let statements = try database.allStatements(sql: text)
        while let statement = try statements.next() {
            let word = SQLKeyword.first(of: statement.sql, nestsComments: false)
            guard statement.isReadonly, looksReadOnly(word, hasWriter: true) else { return false }
        }
        return true
    }

    /// Executes statements outside of a transaction: one that they leave open would be shared by all callers.
    static func carryOutAlone(
        _ text: String, _ values: [SQLValue], on database: Database, _ maximum: Int, _ isWanted: () -> Bool
    ) -> Result<SQLiteAnswer, any Error> {
        let result = carryOut(text, values, on: database, maximum, isWanted)
        guard database.sqliteConnection != nil, database.isInsideTransaction else { return result }
        try? database.rollback()
        database.clearSchemaCache()
        if case .failure = result { return result }
        return .failure(
            SkeinError(
                .exception,
                because: "a transaction was begun and not ended, and was rolled back; \(SQLKeyword.transactionAdvice)"))
    }

    /// Executes statements one after the other; the result is that of the last one.
    static func carryOut(
        _ text: String, _ values: [SQLValue], on database: Database, _ maximum: Int, _ isWanted: () -> Bool
    ) -> Result<SQLiteAnswer, any Error> {
        guard isWanted() else {
            return .failure(SkeinError(.cancelled, because: "the statement was cancelled before it began"))
        }
        guard database.sqliteConnection != nil else {
            return .failure(SkeinError(.shuttingDown, because: "the database is closed"))
        }
        if let problem = problem(text, values) { return .failure(problem) }
        do {
            var answer = SQLiteAnswer()
            var binding = SQLiteBinding(values)
            try interrupted(database, unless: isWanted) {
                if let statement = try? Self.statement(text, on: database) {
                    try binding.bind(to: statement)
                    try binding.checkAllWereBound()
                    try collect(statement, on: database, into: &answer, maximum)
                } else {
                    let statements = try database.allStatements(sql: text)
                    while let statement = try statements.next() {
                        try binding.bind(to: statement)
                        try collect(statement, on: database, into: &answer, maximum)
                    }
                    try binding.checkAllWereBound()
                }
            }
            answer.lastInsertID = database.lastInsertedRowID
            return .success(answer)
        } catch let error as DatabaseError {
            return .failure(SQLError(error))
        } catch {
            return .failure(error)
        }
    }

    /// Values and texts that would crash SQLite or GRDB.
    private static func problem(_ text: String, _ values: [SQLValue]) -> SkeinError? {
        if SQLKeyword.mentions(["heap_limit"], in: text), SQLKeyword.mentions(["pragma"], in: text) {
            return SkeinError(
                .exception,
                because: "SQLite's memory limits apply to the whole process and cannot be set by a statement")
        }
        let isTooLong = values.contains { value in
            switch value {
            case .text(let text), .json(let text), .numeric(let text), .literal(let text):
                text.utf8.count > 1_000_000_000
            case .bytes(let bytes): bytes.count > 1_000_000_000
            default: false
            }
        }
        if values.contains(where: { if case .double(let value) = $0 { value.isNaN } else { false } }) {
            return SkeinError(
                .exception, because: "SQLite would store NaN as NULL; bind a string, or nil")
        }
        return isTooLong ? SkeinError(.contentTooLarge, because: "SQLite takes values of at most 10^9 bytes") : nil
    }

    /// The statement of a text, cached by GRDB if its key, which is compared by characters, cannot be confused with
    /// another text.
    private static func statement(_ text: String, on database: Database) throws -> Statement {
        guard text.utf8.allSatisfy({ $0 < 0x80 }) else { return try database.makeStatement(sql: text) }
        if kept.wantsClearing(database, text) { database.clearSchemaCache() }
        return try database.cachedStatement(sql: text)
    }

    private static let kept = KeptStatements()

    /// Interrupts the work when no caller waits for it any more: SQLite calls a progress handler periodically.
    private static func interrupted(_ database: Database, unless isWanted: () -> Bool, _ work: () throws -> Void) throws
    {
        try withoutActuallyEscaping(isWanted) { isWanted in
            let check = Unmanaged.passRetained(InterruptCheck(isWanted))
            defer { check.release() }
            sqlite3_progress_handler(
                database.sqliteConnection, 20_000,
                { check in
                    guard let check else { return 0 }
                    return Unmanaged<InterruptCheck>.fromOpaque(check).takeUnretainedValue().isWanted() ? 0 : 1
                }, check.toOpaque())
            defer { sqlite3_progress_handler(database.sqliteConnection, 0, nil, nil) }
            try work()
        }
    }

    private final class InterruptCheck {
        let isWanted: () -> Bool

        init(_ isWanted: @escaping () -> Bool) { self.isWanted = isWanted }
    }

    private static func collect(
        _ statement: Statement, on database: Database, into answer: inout SQLiteAnswer, _ maximum: Int
    ) throws {
        let names = statement.columnNames
        let before = database.totalChangesCount
        let command = SQLKeyword.first(of: statement.sql, nestsComments: false)
        guard !names.isEmpty else {
            try statement.execute()
            answer.add(SQLResult(command: command, affected: database.totalChangesCount - before, rows: .none))
            return
        }
        var cells: [SQLValue] = []
        let rows = try GRDB.Row.fetchCursor(statement)
        while let row = try rows.next() {
            // SQLite prepares a statement again when its tables have changed, which GRDB does not notice.
            guard row.count == names.count else {
                database.clearSchemaCache()
                throw SkeinError(
                    .exception, because: "the columns have changed in the meantime; execute the statement again")
            }
            for column in names.indices {
                let value = SQLValue(statement.sqliteStatement, CInt(column))
                answer.bytes += value.size
                cells.append(value)
            }
            guard answer.bytes <= maximum else {
                throw SkeinError(
                    .contentTooLarge,
                    because: "the rows are more than \(maximum) bytes; raise maximumAnswerSize, or use LIMIT")
            }
        }
        let found = Rows(ValueRowSet(RowColumns(names), cells: cells))
        let changes = database.totalChangesCount - before
        answer.add(SQLResult(command: command, affected: found.isEmpty ? changes : found.count, rows: found))
    }
}

/// The number of statements that GRDB caches for each connection; it never evicts any by itself.
private final class KeptStatements: Sendable {
    private static let maximum = 500
    private let texts = Mutex<[ObjectIdentifier: Set<String>]>([:])

    /// Notes a text. Returns whether the connection's cache should be cleared first.
    func wantsClearing(_ database: Database, _ text: String) -> Bool {
        texts.withLock { texts in
            let id = ObjectIdentifier(database)
            guard texts[id]?.contains(text) != true else { return false }
            if texts.count > 1000 { texts = [:] }  // entries of closed connections
            let isFull = texts[id, default: []].count >= Self.maximum
            if isFull { texts[id] = [] }
            texts[id, default: []].insert(text)
            return isFull
        }
    }
}

extension SQLValue {
    /// Its approximate size in bytes.
    fileprivate var size: Int {
        switch self {
        case .text(let text): 24 + text.utf8.count
        case .bytes(let bytes): 24 + bytes.count
        default: 24
        }
    }
}

extension SQLError {
    init(_ error: DatabaseError) {
        self.init(
            sqlState: "", code: Int(error.extendedResultCode.rawValue), message: error.message ?? "\(error.resultCode)")
    }
}
