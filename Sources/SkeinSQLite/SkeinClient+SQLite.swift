// The entry point of SQLite on the client.

@_exported import SkeinHTTP

extension SkeinClient {
    /// An SQLite database: `try client.sqlite("blog.db").execute("SELECT …")`.
    ///
    /// Calls with one address return the same client; `:memory:` is one database in memory for the session.
    ///
    /// With the name of an alias, it is the client of the member that the balancer picks.
    /// - Parameter address: a path, `sqlite:FILE` or `sqlite::memory:`.
    /// - Throws: code 714 when it cannot be opened.
    public func sqlite(_ address: String) throws(SkeinError) -> SQLiteClient {
        // One client per file, whatever the spelling of its path.
        let path = address.hasBytePrefix("@") ? address : "sqlite:\(SQLiteOptions(address).path ?? ":memory:")"
        return try backEnd(path, .sqlite) { (address, _) throws(SkeinError) in
            try SQLiteClient(SQLiteOptions(address), session: session)
        }
    }

    /// An SQLite database by its settings, with a client of its own; one in memory is a separate database.
    /// - Throws: code 714 when it cannot be opened.
    public func sqlite(_ options: SQLiteOptions) throws(SkeinError) -> SQLiteClient {
        backEnds.keep(try SQLiteClient(options, session: session))
    }
}
