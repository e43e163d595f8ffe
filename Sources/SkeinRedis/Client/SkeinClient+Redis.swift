// The entry point of Redis on the client.

@_exported import SkeinHTTP

extension SkeinClient {
    /// A Redis client: `try client.redis("redis://host/0").get("hits")`.
    ///
    /// Calls with one address return the same client, with one set of connections.
    ///
    /// With the name of an alias, it is the client of the member that the balancer picks.
    /// - Parameter url: `redis://user:password@host:6379/0`, `rediss://…` for TLS, `redis+unix:///path`,
    ///   `redis+sentinel://host1,host2/0?master=name`, `redis+cluster://host1,host2`.
    /// - Throws: code 701 with the error in it.
    public func redis(_ url: String) throws(SkeinError) -> RedisClient {
        try backEnd(url, .redis) { (url, dialer) throws(SkeinError) in
            RedisClient(try RedisOptions(url), session: session, dialer: dialer)
        }
    }

    /// A Redis client by its settings, with connections of its own.
    public func redis(_ options: RedisOptions) -> RedisClient {
        backEnds.keep(RedisClient(options, session: session, dialer: http.dialer))
    }
}
