// The entry point of MongoDB on the client.

@_exported import SkeinHTTP

extension SkeinClient {
    /// A MongoDB database: `try client.mongo("mongodb://host/blog").findone("posts", ["author": "Ada"])`.
    ///
    /// Calls with one address return the same client, with one set of connections.
    ///
    /// With the name of an alias, it is the client of the member that the balancer picks.
    /// - Parameter uri: `mongodb://user:password@host1,host2/database?replicaSet=rs0`, or `host/database`; without a database, `test`.
    /// - Throws: code 701 with the error in it.
    public func mongo(_ uri: String) throws(SkeinError) -> MongoDatabase {
        let client: MongoClient = try backEnd(uri)
        return client.database
    }

    /// A deployment of MongoDB by its settings; a client with connections of its own.
    public func mongo(_ configuration: MongoConfiguration) -> MongoClient {
        backEnds.keep(MongoClient(configuration, session: session, dialer: http.dialer))
    }
}

extension EveryMember {
    /// Does the same with every member of an alias of MongoDB: `try client.all("@stores").mongo { $0["posts"].findOne() }`.
    /// - Parameter start: starts a corequest on a member.
    /// - Returns: the corequests in the order of the members.
    /// - Throws: code 701 when the alias is not one of MongoDB.
    public func mongo<Result: Response>(
        _ start: (MongoDatabase) -> Corequest<Result>
    ) throws(SkeinError) -> CorequestGroup<Result> {
        try each { (client: MongoClient) in start(client.database) }
    }
}
