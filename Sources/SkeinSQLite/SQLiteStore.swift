// SQLite by way of GRDB: one writer and several readers, each on a queue of its own.

import Foundation
import GRDB
import GRDBSQLite
import SkeinCore
import SkeinSQL
import Synchronization

/// An open database.
final class SQLiteStore: SQLiteWorker {
    private let writer: any DatabaseWriter
    private let hasReaders: Bool
    /// What is known of statements: whether they only read.
    private let readOnly = Mutex<ByteDictionary<Bool>>([:])
    private let maximumAnswerSize: Int

    /// - Throws: code 714 when it cannot be opened.
    init(_ options: SQLiteOptions) throws(SkeinError) {
        var configuration = GRDB.Configuration()
        configuration.maximumReaderCount = max(1, options.readers)
        configuration.busyMode = .timeout(min(86400, max(0, options.busyTimeout / .seconds(1))))
        // What a statement leaves open is undone by us, and must not end the process.
        configuration.allowsUnsafeTransactions = true
        configuration.prepareDatabase { database in
            // SQL that calls it can make SQLite follow any address (SQLite's documentation of FTS3, section 8.1).
            for count in [1, 2] {
                database.add(
                    function: DatabaseFunction("fts3_tokenizer", argumentCount: count) { _ in
                        throw DatabaseError(
                            resultCode: .SQLITE_AUTH, message: "fts3_tokenizer() may not be called here")
                    })
            }
        }
        maximumAnswerSize = options.maximumAnswerSize
        configuration.foreignKeysEnabled = options.checksForeignKeys
        configuration.label = "skein.sqlite"
        do {
            if let path = options.path {
                writer = try DatabasePool(path: path, configuration: configuration)
                hasReaders = true
            } else {
                writer = try DatabaseQueue(configuration: configuration)
                hasReaders = false
            }
        } catch {
            throw SkeinError(
                .connectionFailed, peer: options.description, because: "the database cannot be opened: \(error)",
                cause: error)
        }
    }

    func run(
        _ sql: SkeinSQL.SQL, _ isWanted: @escaping @Sendable () -> Bool,
        _ done: @escaping @Sendable (Result<SQLiteAnswer, any Error>) -> Void
    ) {
        let text = sql.text
        let values = sql.parameters
        let maximum = maximumAnswerSize
        guard hasReaders, readOnly.withLock({ $0[text] }) ?? Self.looksReadOnly(text) else {
            return write { done(Self.carryOutAlone(text, values, on: $0, maximum, isWanted)) }
        }
        writer.asyncRead { result in
            do {
                let database = try result.get()
                let statement = try Self.statement(text, on: database)
                self.remember(text, statement.isReadonly)
                if statement.isReadonly { return done(Self.carryOut(text, values, on: database, maximum, isWanted)) }
            } catch {
                // Several statements, or none that can be prepared: the writer says what is wrong with them.
            }
            self.write { done(Self.carryOutAlone(text, values, on: $0, maximum, isWanted)) }
        }
    }

    /// Does something on the writer's queue.
    func write(_ work: @escaping @Sendable (Database) -> Void) {
        writer.asyncWriteWithoutTransaction(work)
    }

    func close() { try? writer.close() }

    private func remember(_ text: String, _ isReadOnly: Bool) {
        readOnly.withLock { known in
            if known.count > 1000 { known = [:] }
            known[text] = isReadOnly
        }
    }

    private static func looksReadOnly(_ text: String) -> Bool {
        ["SELECT", "WITH", "VALUES", "EXPLAIN"].contains(SQLKeyword.first(of: text, nestsComments: false))
    }

    /// Carries out what is no part of a transaction: what it leaves open would be everybody's.
    private static func carryOutAlone(
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
                because: "a transaction was begun and not ended, and was undone; transactions are made by "
                    + "transaction { … } or begin()"))
    }

    /// Carries statements out, one behind the other; the answer is the last one's.
    static func carryOut(
        _ text: String, _ values: [SQLValue], on database: Database, _ maximum: Int, _ isWanted: () -> Bool
    ) -> Result<SQLiteAnswer, any Error> {
        guard isWanted() else {
            return .failure(SkeinError(.controlledShutdown, because: "the statement was given up before it began"))
        }
        guard database.sqliteConnection != nil else {
            return .failure(SkeinError(.shuttingDown, because: "the database is closed"))
        }
        if let problem = problem(text, values) { return .failure(problem) }
        do {
            var answer = SQLiteAnswer()
            let before = database.totalChangesCount
            try interrupted(database, unless: isWanted) {
                if let statement = try? Self.statement(text, on: database) {
                    try statement.setArguments(StatementArguments(values.map(\.databaseValue)))
                    try collect(statement, on: database, into: &answer, maximum)
                } else {
                    let statements = try database.allStatements(
                        sql: text, arguments: StatementArguments(values.map(\.databaseValue)))
                    while let statement = try statements.next() {
                        try collect(statement, on: database, into: &answer, maximum)
                    }
                }
            }
            answer.affected = answer.rows.isEmpty ? database.totalChangesCount - before : answer.rows.count
            answer.command = SQLKeyword.first(of: text, nestsComments: false)
            answer.lastInsertID = database.lastInsertedRowID
            return .success(answer)
        } catch let error as DatabaseError {
            return .failure(SQLError(error))
        } catch {
            return .failure(error)
        }
    }

    /// What would end the process inside of SQLite or GRDB.
    private static func problem(_ text: String, _ values: [SQLValue]) -> SkeinError? {
        if SQLKeyword.mentions(["heap_limit"], in: text), SQLKeyword.mentions(["pragma"], in: text) {
            return SkeinError(
                .exception, because: "a limit of SQLite's memory is the whole process's, and not set here")
        }
        let isTooLong = values.contains { value in
            switch value {
            case .text(let text), .json(let text), .numeric(let text): text.utf8.count > 1_000_000_000
            case .bytes(let bytes): bytes.count > 1_000_000_000
            default: false
            }
        }
        return isTooLong ? SkeinError(.contentTooLarge, because: "SQLite takes values of at most 10^9 bytes") : nil
    }

    /// The statement of a text, kept by GRDB where its texts, which it compares as characters, cannot be taken for others.
    private static func statement(_ text: String, on database: Database) throws -> Statement {
        guard text.utf8.allSatisfy({ $0 < 0x80 }) else { return try database.makeStatement(sql: text) }
        if kept.wantsClearing(database, text) { database.clearSchemaCache() }
        return try database.cachedStatement(sql: text)
    }

    private static let kept = KeptStatements()

    /// Stops the work when nobody waits for it any more: SQLite asks now and then whether it shall go on.
    private static func interrupted(_ database: Database, unless isWanted: () -> Bool, _ work: () throws -> Void) throws
    {
        try withoutActuallyEscaping(isWanted) { isWanted in
            let question = Unmanaged.passRetained(Question(isWanted))
            defer { question.release() }
            sqlite3_progress_handler(
                database.sqliteConnection, 20_000,
                { question in
                    guard let question else { return 0 }
                    return Unmanaged<Question>.fromOpaque(question).takeUnretainedValue().isWanted() ? 0 : 1
                }, question.toOpaque())
            defer { sqlite3_progress_handler(database.sqliteConnection, 0, nil, nil) }
            try work()
        }
    }

    private final class Question {
        let isWanted: () -> Bool

        init(_ isWanted: @escaping () -> Bool) { self.isWanted = isWanted }
    }

    private static func collect(
        _ statement: Statement, on database: Database, into answer: inout SQLiteAnswer, _ maximum: Int
    ) throws {
        let names = statement.columnNames
        guard !names.isEmpty else {
            try statement.execute()
            answer.rows = .none
            return
        }
        var cells: [SQLValue] = []
        let rows = try GRDB.Row.fetchCursor(statement)
        while let row = try rows.next() {
            // SQLite prepares a statement anew when its tables have changed, and GRDB does not hear of it.
            guard row.count == names.count else {
                database.clearSchemaCache()
                throw SkeinError(.exception, because: "the columns have changed meanwhile; execute the statement again")
            }
            for column in names.indices {
                let value = SQLValue(row[column] as DatabaseValue)
                answer.bytes += value.size
                cells.append(value)
            }
            guard answer.bytes <= maximum else {
                throw SkeinError(
                    .contentTooLarge,
                    because: "the rows are more than \(maximum) bytes; raise maximumAnswerSize, or use LIMIT")
            }
        }
        answer.rows = Rows(ValueRowSet(RowColumns(names), cells: cells))
    }
}

/// How many texts GRDB keeps statements of, for each connection; it never forgets one by itself.
private final class KeptStatements: Sendable {
    private static let maximum = 500
    private let texts = Mutex<[ObjectIdentifier: Set<String>]>([:])

    /// Takes note of a text. Returns whether the connection should forget all others first.
    func wantsClearing(_ database: Database, _ text: String) -> Bool {
        texts.withLock { texts in
            let id = ObjectIdentifier(database)
            guard texts[id]?.contains(text) != true else { return false }
            if texts.count > 1000 { texts = [:] }  // of connections that are closed
            let isFull = texts[id, default: []].count >= Self.maximum
            if isFull { texts[id] = [] }
            texts[id, default: []].insert(text)
            return isFull
        }
    }
}

extension SQLValue {
    /// Bytes that it takes, about.
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

extension SQLValue {
    fileprivate init(_ value: DatabaseValue) {
        switch value.storage {
        case .null: self = .null
        case .int64(let value): self = .integer(value)
        case .double(let value): self = .double(value)
        case .string(let text): self = .text(text)
        case .blob(let data): self = .bytes(Array(data))
        }
    }

    /// The value as SQLite stores it: numbers, text and bytes are themselves, all else is text that SQLite's functions read.
    fileprivate var databaseValue: DatabaseValue {
        switch self {
        case .null: .null
        case .bool(let value): (value ? 1 : 0).databaseValue
        case .integer(let value): value.databaseValue
        case .double(let value): value.databaseValue
        case .bytes(let bytes): Data(bytes).databaseValue
        case .timestamp(let value): String(value.description.prefix(before: "+")).databaseValue
        case .array(let elements): Self.json(elements).databaseValue
        default: description.databaseValue
        }
    }

    /// An array as JSON, for `json_each`.
    private static func json(_ elements: [SQLValue]) -> String {
        let parts = elements.map { element -> String in
            switch element {
            case .null: return "null"
            case .bool, .integer, .json: return element.description
            case .double(let value) where value.isFinite: return "\(value)"
            case .array(let inner): return json(inner)
            default:
                let data = try? JSONEncoder().encode(element.description)
                return data.map { String(decoding: $0, as: UTF8.self) } ?? "null"
            }
        }
        return "[" + parts.joined(separator: ",") + "]"
    }
}
