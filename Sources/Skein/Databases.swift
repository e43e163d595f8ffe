// Databases over the session.

extension Skein {
    /// A database of PostgreSQL: `try skein.postgres("postgres://user:password@host/blog").execute("SELECT …")`.
    ///
    /// For one address there is one client with one set of connections, however often it is asked for.
    /// - Parameter url: a connection string as libpq reads them, with several hosts if there are, or `user:password@host/database`.
    /// - Throws: code 701 that says what is wrong with it.
    public func postgres(_ url: String) throws(SkeinError) -> PostgresClient {
        try backEnds.client("postgres \(url)") { () throws(SkeinError) in postgres(try PostgresOptions(url)) }
    }

    /// A database of PostgreSQL by its settings; a client with connections of its own.
    public func postgres(_ options: PostgresOptions) -> PostgresClient {
        backEnds.keep(PostgresClient(options, session: session, dialer: http.dialer))
    }

    /// A store of Redis: `try skein.redis("redis://host/0").get("hits")`.
    ///
    /// For one address there is one client with one set of connections, however often it is asked for.
    /// - Parameter url: `redis://user:password@host:6379/0`, `rediss://…` for TLS, `redis+unix:///path`,
    ///   `redis+sentinel://host1,host2/0?master=name`, `redis+cluster://host1,host2`.
    /// - Throws: code 701 that says what is wrong with it.
    public func redis(_ url: String) throws(SkeinError) -> RedisClient {
        try backEnds.client("redis \(url)") { () throws(SkeinError) in redis(try RedisOptions(url)) }
    }

    /// A store of Redis by its settings; a client with connections of its own.
    public func redis(_ options: RedisOptions) -> RedisClient {
        backEnds.keep(RedisClient(options, session: session, dialer: http.dialer))
    }

    /// A database of MongoDB: `try skein.mongo("mongodb://host/blog").findone("posts", ["author": "Ada"])`.
    ///
    /// For one address there is one client with one set of connections, however often it is asked for.
    /// - Parameter uri: `mongodb://user:password@host1,host2/database?replicaSet=rs0`, or `host/database`; without a database, `test`.
    /// - Throws: code 701 that says what is wrong with it.
    public func mongo(_ uri: String) throws(SkeinError) -> MongoDatabase {
        try backEnds.client("mongo \(uri)") { () throws(SkeinError) in mongo(try MongoOptions(uri)) }.database
    }

    /// A deployment of MongoDB by its settings; a client with connections of its own.
    public func mongo(_ options: MongoOptions) -> MongoClient {
        backEnds.keep(MongoClient(options, session: session, dialer: http.dialer))
    }

    /// A database of SQLite: `try skein.sqlite("blog.db").execute("SELECT …")`.
    ///
    /// For one address there is one client, however often it is asked for; `:memory:` is one database in memory for the session.
    /// - Parameter address: a path, `sqlite:FILE` or `sqlite::memory:`.
    /// - Throws: code 714 when it cannot be opened.
    public func sqlite(_ address: String) throws(SkeinError) -> SQLiteClient {
        let options = SQLiteOptions(address)
        return try backEnds.client("sqlite \(options.path ?? "")") { () throws(SkeinError) in
            try SQLiteClient(options, session: session)
        }
    }

    /// A database of SQLite by its settings; another client than all others, so that one in memory is another database.
    /// - Throws: code 714 when it cannot be opened.
    public func sqlite(_ options: SQLiteOptions) throws(SkeinError) -> SQLiteClient {
        backEnds.keep(try SQLiteClient(options, session: session))
    }
}

// MARK: Amazon's

extension Skein {
    /// The Simple Queue Service: `try await skein.sqs().queue(named: "jobs").send("abc").commit()`.
    /// - Parameter options: region, endpoint, credentials. Default: those of the environment.
    public func sqs(_ options: AWSOptions = AWSOptions()) -> SQS { SQS(options, session: session, http: http) }

    /// DynamoDB: `try await skein.dynamodb()["users"].get(["id": "x"]).one(User.self)`.
    /// - Parameter options: region, endpoint, credentials. Default: those of the environment.
    public func dynamodb(_ options: AWSOptions = AWSOptions()) -> DynamoDB {
        DynamoDB(options, session: session, http: http)
    }
}
