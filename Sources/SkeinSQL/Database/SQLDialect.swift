// The differences between the databases' SQL.

/// A dialect of SQL.
public enum SQLDialect: Sendable {
    case postgres
    case sqlite
}
