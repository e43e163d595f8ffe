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
        try backEnd(uri, .mongo) { (uri, dialer) throws(SkeinError) in
            MongoClient(try MongoOptions(uri), session: session, dialer: dialer)
        }.database
    }

    /// A MongoDB client by its settings, with connections of its own.
    public func mongo(_ options: MongoOptions) -> MongoClient {
        backEnds.keep(MongoClient(options, session: session, dialer: http.dialer))
    }
}
