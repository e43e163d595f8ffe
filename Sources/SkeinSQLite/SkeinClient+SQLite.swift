// The entry point of SQLite on the client.

@_exported import SkeinHTTP

extension SkeinClient {
    /// A database of SQLite: `try client.sqlite("blog.db").execute("SELECT …")`.
    ///
    /// For one address there is one client, however often it is asked for; `:memory:` is one database in memory for the session.
    ///
    /// With the name of an alias, it is the client of the member whose turn it is.
    /// - Parameter address: a path, `sqlite:FILE` or `sqlite::memory:`.
    /// - Throws: code 714 when it cannot be opened.
    public func sqlite(_ address: String) throws(SkeinError) -> SQLiteClient {
        // One client for a file, whichever way it is written.
        let path = address.hasBytePrefix("@") ? address : "sqlite:\(SQLiteConfiguration(address).path ?? ":memory:")"
        return try backEnd(path, .sqlite) { (address, _, session) throws(SkeinError) in
            try SQLiteClient(SQLiteConfiguration(address), session: session)
        }
    }

    /// A database of SQLite by its settings; another client than all others, so that one in memory is another database.
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
        CorequestGroup(
            try client.everyBackEnd(alias.name, .sqlite) { (url, dialer, session) throws(SkeinError) in
                try SQLiteClient(SQLiteConfiguration(url), session: session)
            }.map(start))
    }
}
