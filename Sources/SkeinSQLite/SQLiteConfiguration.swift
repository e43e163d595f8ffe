// Where a database is and how it is opened.

import SkeinCore

/// Settings of an SQLite client, each with a safe default.
public struct SQLiteConfiguration: Hashable, Sendable {
    /// The file; nil for a database in memory, which ends with its client.
    public var path: String?
    /// Reading statements that are carried out at one time, beside the one that writes. Default: 4.
    public var readers = 4
    /// How long a statement waits for another process that writes. Default: 5 s.
    public var busyTimeout: Duration = .seconds(5)
    /// Whether references between tables are checked. Default: true.
    public var checksForeignKeys = true
    /// For a statement, from the moment it gets its place to the last row. Default: 30 s.
    public var timeout: Duration = .seconds(30)
    /// Bytes of the rows of an answer at most. Default: 256 MiB.
    public var maximumAnswerSize = 256 << 20
    /// How long a transaction may do nothing before it is undone, since all who write wait for it. Default: 30 s.
    public var idleTransaction: Duration = .seconds(30)

    /// A database in a file, or, without one, in memory.
    public init(path: String? = nil) { self.path = path }

    /// Reads an address: `sqlite:FILE`, `sqlite:///absolute/path`, `sqlite::memory:`, or a path.
    public init(_ address: String) {
        var text = address[...]
        if text.hasBytePrefix("sqlite3:") { text = text.droppingBytes(first: 8) }
        if text.hasBytePrefix("sqlite:") { text = text.droppingBytes(first: 7) }
        if text.hasBytePrefix("//") { text = text.droppingBytes(first: 2) }
        self.init(path: text.isEmpty || text == ":memory:" ? nil : String(text))
    }

    /// What is named in messages.
    var description: String { "sqlite:\(path ?? ":memory:")" }
}
