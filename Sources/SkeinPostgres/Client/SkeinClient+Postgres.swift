// The entry point of PostgreSQL on the client.

@_exported import SkeinHTTP

extension SkeinClient {
    /// A PostgreSQL client: `try client.postgres("postgres://user:password@host/blog").execute("SELECT …")`.
    ///
    /// Calls with one address return the same client, with one set of connections.
    ///
    /// With the name of an alias, it is the client of the member that the balancer picks.
    /// - Parameter url: a connection string as in libpq, with one or several hosts, or `user:password@host/database`.
    /// - Throws: code 701 with the error in it.
    public func postgres(_ url: String) throws(SkeinError) -> PostgresClient {
        try backEnd(url)
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
        try each(start)
    }
}
