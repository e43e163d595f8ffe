// The entry points of Amazon Web Services on the client.

@_exported import SkeinHTTP

extension SkeinClient {
    /// The Simple Queue Service: `try await client.sqs().queue(named: "jobs").send("abc").commit()`.
    /// - Parameter options: region, endpoint, credentials. Default: those of the environment.
    public func sqs(_ options: AWSOptions = AWSOptions()) -> SQS { SQS(options, session: session, http: http) }

    /// DynamoDB: `try await client.dynamodb()["users"].get(["id": "x"]).one(User.self)`.
    /// - Parameter options: region, endpoint, credentials. Default: those of the environment.
    public func dynamodb(_ options: AWSOptions = AWSOptions()) -> DynamoDB {
        DynamoDB(options, session: session, http: http)
    }
}
