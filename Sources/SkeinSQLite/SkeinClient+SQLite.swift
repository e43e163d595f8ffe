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
        let path = address.hasBytePrefix("@") ? address : "sqlite:\(SQLiteConfiguration(address).path ?? ":memory:")"
        return try backEnd(path)
    }

    /// An SQLite database by its settings, with a client of its own; one in memory is a separate database.
    /// - Throws: code 714 when it cannot be opened.
    public func sqlite(_ configuration: SQLiteConfiguration) throws(SkeinError) -> SQLiteClient {
        backEnds.keep(try SQLiteClient(configuration, session: session))
    }
}

extension EveryMember {
    /// Does the same with every member of an alias of SQLite: `try client.all("@files").sqlite { $0.execute("SELECT count(*) FROM post") }`.
    /// - Parameter start: starts a corequest on a member.
    /// - Returns: the corequests in the order of the members.
    /// - Throws: code 701 when the alias is not one of SQLite.
    public func sqlite<Result: Response>(
        _ start: (SQLiteClient) -> Corequest<Result>
    ) throws(SkeinError) -> CorequestGroup<Result> {
        try each(start)
    }
}
