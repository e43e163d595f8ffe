// SQLite by way of GRDB: one writer and several readers, each on a queue of its own.

import Foundation
import GRDB
import GRDBSQLite
import SkeinCore
import SkeinSQL
import Synchronization

/// An open database.
///
/// A file is only read until something is written: what asks for the write-ahead log changes the file, and a SELECT must not. One that
/// cannot be written to stays readable.
final class SQLiteStore: SQLiteWorker {
    private enum Access {
        /// A file that nobody has written to here.
        case reading(any DatabaseReader)
        /// A file with its write-ahead log: readers beside a writer.
        case writing(any DatabaseWriter)
        /// A database in memory, whose one connection does everything.
        case alone(any DatabaseWriter)
    }

    private typealias Work = @Sendable (Result<Database, any Error>) -> Void

    private struct State {
        var access: Access
        /// Whether the writer is being opened; what is to be written waits, in its order.
        var isOpening = false
        var waiting: [Work] = []
    }

    private let state: Mutex<State>
    /// Where the writer is opened, away from the event loops.
    private let opening = DispatchQueue(label: "skein.sqlite.opening")
    private let options: SQLiteOptions
    private let configuration: GRDB.Configuration
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
        self.options = options
        self.configuration = configuration
        do {
            state = Mutex(State(access: try Self.open(options, configuration)))
        } catch {
            throw Self.unusable(options, error)
        }
    }

    private static func open(_ options: SQLiteOptions, _ configuration: GRDB.Configuration) throws -> Access {
        guard let path = options.path else { return .alone(try DatabaseQueue(configuration: configuration)) }
        guard FileManager.default.fileExists(atPath: path) else {
            return .writing(try DatabasePool(path: path, configuration: configuration))
        }
        var reading = configuration
        reading.readonly = true
        do {
            return .reading(try DatabasePool(path: path, configuration: reading))
        } catch {
            // What another program has left behind when it ended has to be undone first, which is writing.
            guard FileManager.default.isWritableFile(atPath: path) else { throw error }
            return .writing(try DatabasePool(path: path, configuration: configuration))
        }
    }

    private static func unusable(_ options: SQLiteOptions, _ error: any Error) -> SkeinError {
        SkeinError(
            .connectionFailed, peer: options.description, because: "the database cannot be opened: \(error)",
            cause: error)
    }

    /// What reads beside the writer, and whether there is a writer; nil for a database in memory.
    private var reader: (any DatabaseReader, hasWriter: Bool)? {
        state.withLock { state in
            switch state.access {
            case .reading(let reader): (reader, false)
            case .writing(let writer): (writer, true)
            case .alone: nil
            }
        }
    }

    private static func writer(_ access: Access) -> (any DatabaseWriter)? {
        switch access {
        case .writing(let writer), .alone(let writer): writer
        case .reading: nil
        }
    }

    func run(
        _ sql: SkeinSQL.SQL, _ isWanted: @escaping @Sendable () -> Bool,
        _ done: @escaping @Sendable (Result<SQLiteAnswer, any Error>) -> Void
    ) {
        let text = sql.text
        let values = sql.parameters
        let maximum = maximumAnswerSize
        let write: @Sendable () -> Void = {
            self.write { database in
                done(database.flatMap { Self.carryOutAlone(text, values, on: $0, maximum, isWanted) })
            }
        }
        guard let (reader, hasWriter) = reader,
            readOnly.withLock({ $0[text] }) ?? Self.looksReadOnly(text, hasWriter: hasWriter)
        else { return write() }
        reader.asyncRead { result in
            do {
                let database = try result.get()
                let isReadOnly = try Self.onlyReads(text, on: database)
                self.remember(text, isReadOnly)
                guard isReadOnly else { return write() }
            } catch {
                // What a reader does not know may be the writer's own, such as a temporary table.
                if hasWriter { return write() }
            }
            done(result.flatMap { Self.carryOut(text, values, on: $0, maximum, isWanted) })
        }
    }

    /// Does something on the writer's queue; where nothing can be written, with a reader, whose SQLite says so.
    func write(_ work: @escaping @Sendable (Result<Database, any Error>) -> Void) {
        let (writer, mustOpen) = state.withLock { state -> ((any DatabaseWriter)?, Bool) in
            if !state.isOpening, let writer = Self.writer(state.access) { return (writer, false) }
            state.waiting.append(work)
            defer { state.isOpening = true }
            return (nil, !state.isOpening)
        }
        if let writer { return writer.asyncWriteWithoutTransaction { work(.success($0)) } }
        if mustOpen { opening.async { self.open() } }
    }

    /// Opens the writer, and carries out what has waited for it. On the queue for that.
    private func open() {
        let result = Result { try openWriter() }
        while true {
            let work = state.withLock { state in
                if case .success(let writer?) = result { state.access = .writing(writer) }
                defer { state.waiting = [] }
                // Only when nothing waits any more, what comes next goes to the writer by itself.
                if state.waiting.isEmpty { state.isOpening = false }
                return state.waiting
            }
            if work.isEmpty { return }
            for piece in work { carryOut(piece, result) }
        }
    }

    private func carryOut(_ work: @escaping Work, _ writer: Result<(any DatabaseWriter)?, any Error>) {
        do {
            if let writer = try writer.get() {
                writer.asyncWriteWithoutTransaction { work(.success($0)) }
            } else {
                try reader?.0.unsafeRead { work(.success($0)) }
            }
        } catch let error as DatabaseError where error.resultCode == .SQLITE_BUSY {
            work(.failure(SQLError(error)))
        } catch {
            work(.failure(Self.unusable(options, error)))
        }
    }

    /// The writer of a file that was only read until now; nil when it cannot be written to.
    private func openWriter() throws -> (any DatabaseWriter)? {
        guard let path = options.path, FileManager.default.isWritableFile(atPath: path) else { return nil }
        // The change to a write-ahead log waits until nobody reads, this process included.
        for attempt in 1... {
            do {
                return try DatabasePool(path: path, configuration: configuration)
            } catch let error as DatabaseError where error.resultCode == .SQLITE_BUSY && attempt < 6 {}
        }
        return nil
    }

    /// Waits until what was to be written is; a file that was only read stays as it is.
    func untilWritten() async {
        await withCheckedContinuation { continuation in
            opening.async {
                guard let writer = self.state.withLock({ Self.writer($0.access) }) else { return continuation.resume() }
                writer.asyncWriteWithoutTransaction { _ in continuation.resume() }
            }
        }
    }

    func close() {
        switch state.withLock({ $0.access }) {
        case .reading(let reader): try? reader.close()
        case .writing(let writer), .alone(let writer): try? writer.close()
        }
    }

    private func remember(_ text: String, _ isReadOnly: Bool) {
        // Where a pragma is carried out depends on whether there is a writer.
        guard SQLKeyword.first(of: text, nestsComments: false) != "PRAGMA" else { return }
        readOnly.withLock { known in
            if known.count > 1000 { known = [:] }
            known[text] = isReadOnly
        }
    }

    private static func looksReadOnly(_ text: String, hasWriter: Bool) -> Bool {
        let word = SQLKeyword.first(of: text, nestsComments: false)
        // A pragma that only asks does not make a file be opened for writing; one that sets something sets it for the writer.
        if word == "PRAGMA" { return !hasWriter && asks(text) }
        return ["SELECT", "WITH", "VALUES", "EXPLAIN", ""].contains(word)
    }

    /// Whether a pragma has no value, or one that says what is asked about.
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

    /// Whether no statement of a text changes anything, its connection included.
    private static func onlyReads(_ text: String, on database: Database) throws -> Bool {
        // Those that were let through only tell something.
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

    /// What would end the process inside of SQLite or GRDB.
    private static func problem(_ text: String, _ values: [SQLValue]) -> SkeinError? {
        if SQLKeyword.mentions(["heap_limit"], in: text), SQLKeyword.mentions(["pragma"], in: text) {
            return SkeinError(
                .exception, because: "a limit of SQLite's memory is the whole process's, and not set here")
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
                .exception, because: "SQLite has no NaN, and would store nothing for it; bind a text, or nil")
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
            // SQLite prepares a statement anew when its tables have changed, and GRDB does not hear of it.
            guard row.count == names.count else {
                database.clearSchemaCache()
                throw SkeinError(.exception, because: "the columns have changed meanwhile; execute the statement again")
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
