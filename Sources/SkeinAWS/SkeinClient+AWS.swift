// The entry points of Amazon Web Services on the client.

@_exported import SkeinHTTP

extension SkeinClient {
    /// The Simple Queue Service: `try await client.sqs().queue(named: "jobs").send("abc").commit()`.
    /// - Parameter configuration: region, endpoint, credentials. Default: those of the environment.
    public func sqs(_ configuration: AWSConfiguration = AWSConfiguration()) -> SQS {
        SQS(configuration, session: session, http: http)
    }

    /// DynamoDB: `try await client.dynamodb()["users"].get(["id": "x"]).one(User.self)`.
    /// - Parameter configuration: region, endpoint, credentials. Default: those of the environment.
    public func dynamodb(_ configuration: AWSConfiguration = AWSConfiguration()) -> DynamoDB {
        DynamoDB(configuration, session: session, http: http)
    }
}
