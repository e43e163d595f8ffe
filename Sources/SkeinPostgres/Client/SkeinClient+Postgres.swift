// The entry point of PostgreSQL on the client.

@_exported import SkeinHTTP

extension SkeinClient {
    /// A database of PostgreSQL: `try client.postgres("postgres://user:password@host/blog").execute("SELECT …")`.
    ///
    /// For one address there is one client with one set of connections, however often it is asked for.
    ///
    /// With the name of an alias, it is the client of the member whose turn it is.
    /// - Parameter url: a connection string as libpq reads them, with several hosts if there are, or `user:password@host/database`.
    /// - Throws: code 701 that says what is wrong with it.
    public func postgres(_ url: String) throws(SkeinError) -> PostgresClient {
        try backEnd(url, .postgres) { (url, dialer, session) throws(SkeinError) in
            PostgresClient(try PostgresConfiguration(url), session: session, dialer: dialer)
        }
    }

    /// A database of PostgreSQL by its settings; a client with connections of its own.
    public func postgres(_ configuration: PostgresConfiguration) -> PostgresClient {
        backEnds.keep(PostgresClient(configuration, session: session, dialer: http.dialer))
    }
}

extension EveryMember {
    /// Does the same with every member of an alias of PostgreSQL: `try client.all("@shards").postgres { $0.execute("SELECT count(*) FROM post") }`.
    /// - Parameter start: starts a corequest on a member.
    /// - Returns: the corequests in the order of the members.
    /// - Throws: code 701 when the alias is not one of PostgreSQL.
    public func postgres<Result: Response>(
        _ start: (PostgresClient) -> Corequest<Result>
    ) throws(SkeinError) -> CorequestGroup<Result> {
        CorequestGroup(
            try client.everyBackEnd(alias.name, .postgres) { (url, dialer, session) throws(SkeinError) in
                PostgresClient(try PostgresConfiguration(url), session: session, dialer: dialer)
            }.map(start))
    }
}
