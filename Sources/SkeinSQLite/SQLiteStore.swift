// SQLite by way of GRDB: one writer and several readers, each on a queue of its own.

import Foundation
import GRDB
import SkeinCore
import SkeinSQL
import Synchronization

/// An open database.
final class SQLiteStore: SQLiteWorker {
    private let writer: any DatabaseWriter
    private let hasReaders: Bool
    /// What is known of statements: whether they only read.
    private let readOnly = Mutex<[String: Bool]>([:])

    /// - Throws: code 714 when it cannot be opened.
    init(_ options: SQLiteOptions) throws(SkeinError) {
        var configuration = GRDB.Configuration()
        configuration.maximumReaderCount = max(1, options.readers)
        configuration.busyMode = .timeout(options.busyTimeout / .seconds(1))
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
        guard hasReaders, readOnly.withLock({ $0[text] }) ?? Self.looksReadOnly(text) else {
            return write { done(Self.carryOut(text, values, on: $0, isWanted)) }
        }
        writer.asyncRead { result in
            do {
                let database = try result.get()
                let statement = try database.cachedStatement(sql: text)
                self.remember(text, statement.isReadonly)
                if statement.isReadonly { return done(Self.carryOut(text, values, on: database, isWanted)) }
            } catch {
                // Several statements, or none that can be prepared: the writer says what is wrong with them.
            }
            self.write { done(Self.carryOut(text, values, on: $0, isWanted)) }
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
        let word = text.drop(while: \.isWhitespace).prefix(while: \.isLetter).uppercased()
        return ["SELECT", "WITH", "VALUES", "EXPLAIN"].contains(word)
    }

    /// Carries statements out, one behind the other; the answer is the last one's.
    static func carryOut(
        _ text: String, _ values: [SQLValue], on database: Database, _ isWanted: () -> Bool
    ) -> Result<SQLiteAnswer, any Error> {
        guard isWanted() else {
            return .failure(SkeinError(.controlledShutdown, because: "the statement was given up before it began"))
        }
        do {
            var answer = SQLiteAnswer()
            let before = database.totalChangesCount
            if let statement = try? database.cachedStatement(sql: text) {
                try statement.setArguments(StatementArguments(values.map(\.databaseValue)))
                try collect(statement, into: &answer)
            } else {
                let statements = try database.allStatements(
                    sql: text, arguments: StatementArguments(values.map(\.databaseValue)))
                while let statement = try statements.next() { try collect(statement, into: &answer) }
            }
            answer.affected = answer.rows.isEmpty ? database.totalChangesCount - before : answer.rows.count
            answer.command = text.drop(while: \.isWhitespace).prefix(while: \.isLetter).uppercased()
            answer.lastInsertID = database.lastInsertedRowID
            return .success(answer)
        } catch let error as DatabaseError {
            return .failure(SQLError(error))
        } catch {
            return .failure(error)
        }
    }

    private static func collect(_ statement: Statement, into answer: inout SQLiteAnswer) throws {
        let names = statement.columnNames
        guard !names.isEmpty else {
            try statement.execute()
            answer.rows = .none
            return
        }
        var cells: [SQLValue] = []
        let rows = try GRDB.Row.fetchCursor(statement)
        while let row = try rows.next() {
            for column in names.indices {
                let value = SQLValue(row[column] as DatabaseValue)
                answer.bytes += 8
                cells.append(value)
            }
        }
        answer.rows = Rows(ValueRowSet(RowColumns(names), cells: cells))
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
