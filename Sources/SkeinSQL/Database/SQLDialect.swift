// Where the databases' languages differ.

/// A database's kind of SQL.
public enum SQLDialect: Sendable {
    case postgres
    case sqlite
}
