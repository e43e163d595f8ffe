// SQLite through GRDB: one writer and several readers, each on a queue of its own.

import Foundation
import GRDB
import SkeinCore
import SkeinSQL
import Synchronization

/// An open database.
///
/// A file is opened for reading only until the first write: switching it to the write-ahead log changes the file, which
/// a SELECT must not do. A file without write permission stays readable.
final class SQLiteStore: SQLiteWorker {
    private enum Access {
        /// A file that has not been written to yet.
        case reading(any DatabaseReader)
        /// A file with a write-ahead log: readers and a writer.
        case writing(any DatabaseWriter)
        /// A database in memory, with a single connection.
        case alone(any DatabaseWriter)
    }

    private typealias Work = @Sendable (Result<Database, any Error>) -> Void

    private struct State {
        var access: Access
        /// Whether the writer is being opened; writes are queued in order.
        var isOpening = false
        var waiting: [Work] = []
    }

    private let state: Mutex<State>
    /// The queue on which the writer is opened, outside of the event loops.
    private let opening = DispatchQueue(label: "skein.sqlite.opening")
    private let options: SQLiteConfiguration
    private let configuration: GRDB.Configuration
    /// Known statements, and whether they are read-only.
    private let readOnly = Mutex<ByteDictionary<Bool>>([:])
    private let maximumAnswerSize: Int

    /// - Throws: code 714 when it cannot be opened.
    init(_ options: SQLiteConfiguration) throws(SkeinError) {
        var configuration = GRDB.Configuration()
        configuration.maximumReaderCount = max(1, options.readers)
        configuration.busyMode = .timeout(min(86400, max(0, options.busyTimeout / .seconds(1))))
        // A transaction left open by a statement is rolled back here, and must not crash the process.
        configuration.allowsUnsafeTransactions = true
        configuration.prepareDatabase { database in
            // SQL that calls it can make SQLite dereference any address (SQLite's documentation of FTS3, section 8.1).
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

    private static func open(_ options: SQLiteConfiguration, _ configuration: GRDB.Configuration) throws -> Access {
        guard let path = options.path else { return .alone(try DatabaseQueue(configuration: configuration)) }
        guard FileState(path: path) != nil else {
            return .writing(try DatabasePool(path: path, configuration: configuration))
        }
        var reading = configuration
        reading.readonly = true
        do {
            return .reading(try DatabasePool(path: path, configuration: reading))
        } catch {
            // A program that was killed inside of a transaction has left a journal, and rolling it back needs a write.
            guard FileManager.default.isWritableFile(atPath: path) else { throw error }
            return .writing(try DatabasePool(path: path, configuration: configuration))
        }
    }

    private static func unusable(_ options: SQLiteConfiguration, _ error: any Error) -> SkeinError {
        SkeinError(
            .connectionFailed, peer: options.description, because: "the database cannot be opened: \(error)",
            cause: error)
    }

    /// The reader, and whether there is a writer; nil for a database in memory.
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
                // A table unknown to a reader may belong to the writer, such as a temporary one.
                if hasWriter { return write() }
            }
            done(result.flatMap { Self.carryOut(text, values, on: $0, maximum, isWanted) })
        }
    }

    /// Runs work on the writer's queue; without write permission, on a reader, where SQLite reports the error.
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

    /// Opens the writer, and executes the queued writes. On the queue for that.
    private func open() {
        let result = Result { try openWriter() }
        while true {
            let work = state.withLock { state in
                if case .success(let writer?) = result { state.access = .writing(writer) }
                defer { state.waiting = [] }
                // Further writes go to the writer directly once the queue is empty.
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

    /// The writer of a file that was only read until now; nil without write permission.
    private func openWriter() throws -> (any DatabaseWriter)? {
        guard let path = options.path, FileManager.default.isWritableFile(atPath: path) else { return nil }
        // The switch to a write-ahead log needs exclusive access, also within this process.
        for attempt in 1... {
            do {
                return try DatabasePool(path: path, configuration: configuration)
            } catch let error as DatabaseError where error.resultCode == .SQLITE_BUSY && attempt < 6 {}
        }
        return nil
    }

    /// Waits for queued writes; a file that was only read does not change.
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
        // A pragma runs on the writer or a reader, depending on whether there is a writer.
        guard SQLKeyword.first(of: text, nestsComments: false) != "PRAGMA" else { return }
        readOnly.withLock { known in
            if known.count > 1000 { known = [:] }
            known[text] = isReadOnly
        }
    }
}
