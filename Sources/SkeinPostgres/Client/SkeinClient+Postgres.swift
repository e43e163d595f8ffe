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
        try backEnd(url, .postgres) { (url, dialer) throws(SkeinError) in
            PostgresClient(try PostgresOptions(url), session: session, dialer: dialer)
        }
    }

    /// A PostgreSQL client by its settings, with connections of its own.
    public func postgres(_ options: PostgresOptions) -> PostgresClient {
        backEnds.keep(PostgresClient(options, session: session, dialer: http.dialer))
    }
}
