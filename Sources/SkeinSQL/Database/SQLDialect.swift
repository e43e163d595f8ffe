// The differences between the databases' SQL.

/// A dialect of SQL.
public enum SQLDialect: Sendable {
    /// PostgreSQL.
    case postgres
    /// SQLite.
    case sqlite
}
