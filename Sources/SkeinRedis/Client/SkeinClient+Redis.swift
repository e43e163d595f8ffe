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
        try backEnd(url)
    }

    /// A store of Redis by its settings; a client with connections of its own.
    public func redis(_ configuration: RedisConfiguration) -> RedisClient {
        backEnds.keep(RedisClient(configuration, session: session, dialer: http.dialer))
    }
}

extension EveryMember {
    /// Does the same with every member of an alias of Redis: `try client.all("@stores").redis { $0.get("hits") }`.
    /// - Parameter start: starts a corequest on a member.
    /// - Returns: the corequests in the order of the members.
    /// - Throws: code 701 when the alias is not one of Redis.
    public func redis<Result: Response>(
        _ start: (RedisClient) -> Corequest<Result>
    ) throws(SkeinError) -> CorequestGroup<Result> {
        try each(start)
    }
}
