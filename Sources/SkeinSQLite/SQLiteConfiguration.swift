// Settings of an SQLite database.

import SkeinCore

/// Settings of an SQLite client, each with a safe default.
public struct SQLiteConfiguration: Hashable, Sendable {
    /// The file; nil for a database in memory, which ends with its client.
    public var path: String?
    /// Concurrent reading statements, beside the writer. Default: 4.
    public var readers = 4
    /// How long a statement waits for a writer in another process. Default: 5 s.
    public var busyTimeout: Duration = .seconds(5)
    /// Whether foreign keys are enforced. Default: true.
    public var checksForeignKeys = true
    /// The timeout of a statement, from the moment it gets a slot to the last row. Default: 30 s.
    public var timeout: Duration = .seconds(30)
    /// The size limit of a result's rows. Default: 256 MiB.
    public var maximumAnswerSize = 256 << 20
    /// The idle timeout of a transaction, after which it is rolled back, since it blocks all writers. Default: 30 s.
    public var idleTransaction: Duration = .seconds(30)

    /// A database in a file, or, without one, in memory.
    public init(path: String? = nil) { self.path = path }

    /// Parses an address: `sqlite:FILE`, `sqlite:///absolute/path`, `sqlite::memory:`, or a path.
    public init(_ address: String) {
        var text = address[...]
        if text.hasBytePrefix("sqlite3:") { text = text.droppingBytes(first: 8) }
        if text.hasBytePrefix("sqlite:") { text = text.droppingBytes(first: 7) }
        if text.hasBytePrefix("//") { text = text.droppingBytes(first: 2) }
        self.init(path: text.isEmpty || text == ":memory:" ? nil : String(text))
    }

    /// The name in messages.
    var description: String { "sqlite:\(path ?? ":memory:")" }
}
