// Where a service is and who asks it.

import SkeinCore
import SkeinHTTP

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// Settings of a client of Amazon Web Services, each with the default that Amazon's own tools have.
public struct AWSConfiguration: Sendable {
    /// The region. Default: `AWS_REGION` or `AWS_DEFAULT_REGION`, else that of the profile.
    public var region: String?
    /// Where the service is, for one's own: `http://localhost:4566`. Default: `AWS_ENDPOINT_URL_SQS`, `AWS_ENDPOINT_URL_DYNAMODB` or
    /// `AWS_ENDPOINT_URL`, else Amazon's of the region.
    public var endpoint: String?
    /// Places that are asked for credentials, one after the other. Default: environment, files, container, instance.
    public var credentials: [any AWSCredentialSource]
    /// For one attempt. Default: the session's.
    public var timeout: Duration?
    /// Attempts after the first, for what fails in passing: the network, a server's error, too many requests. Default: 4.
    public var maximumRetries = 4
    /// The wait before the second attempt; it doubles each time, and a random share of it is waited. Default: 50 ms.
    public var firstWait: Duration = .milliseconds(50)
    /// The longest wait. Default: 20 s.
    public var longestWait: Duration = .seconds(20)
    let environment: [String: String]

    /// Settings.
    /// - Parameters:
    ///   - region: Default: the environment's.
    ///   - endpoint: Default: Amazon's of the region.
    ///   - credentials: Default: those that the environment has.
    ///   - environment: Default: the process's.
    public init(
        region: String? = nil, endpoint: String? = nil, credentials: AWSCredentials? = nil,
        environment: [String: String] = ProcessInfo.processInfo.environment
    ) {
        self.region = region
        self.endpoint = endpoint
        self.environment = environment
        self.credentials =
            credentials.map { [$0] } ?? [
                AWSEnvironmentCredentials(environment), AWSFileCredentials(environment),
                AWSContainerCredentials(environment), AWSInstanceCredentials(environment),
            ]
    }

    /// The region, from wherever it can be had.
    /// - Parameter host: a host's name that may have it.
    func region(_ host: String?) throws(SkeinError) -> String {
        if let region { return region }
        if let named = environment["AWS_REGION"] ?? environment["AWS_DEFAULT_REGION"], !named.isEmpty { return named }
        // https://sqs.eu-west-1.amazonaws.com, https://eu-west-1.queue.amazonaws.com
        let labels = host?.splitBytes(separator: ".").map(String.init) ?? []
        if labels.contains("amazonaws"),
            let region = labels.first(where: { $0.wholeMatch(of: #/[a-z]{2,}(-[a-z]+)+-\d+/#) != nil })
        {
            return region
        }
        if let region = try AWSProfiles(environment).values()["region"] { return region }
        // One's own services seldom care.
        if endpoint != nil || environment["AWS_ENDPOINT_URL"] != nil { return "us-east-1" }
        throw SkeinError(
            .exception,
            because: "no AWS region is known: set it in the options or in AWS_REGION, for example eu-central-1")
    }

    /// Where a service is.
    func endpoint(of service: String) throws(SkeinError) -> HTTPURL {
        let named =
            endpoint ?? environment["AWS_ENDPOINT_URL_\(service.uppercased())"] ?? environment["AWS_ENDPOINT_URL"]
        if let named { return try HTTPURL(named) }
        let region = try region(nil)
        return try HTTPURL("https://\(service).\(region).amazonaws.com\(region.hasBytePrefix("cn-") ? ".cn" : "")/")
    }
}
