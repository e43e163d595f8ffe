// The endpoint, region and credentials of a client.

import SkeinCore
import SkeinHTTP

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// Settings of a client of Amazon Web Services, with the defaults of Amazon's own tools.
public struct AWSConfiguration: Sendable {
    /// The region. Default: `AWS_REGION` or `AWS_DEFAULT_REGION`, else that of the profile.
    public var region: String?
    /// The endpoint, for compatible services: `http://localhost:4566`. Default: `AWS_ENDPOINT_URL_SQS`,
    /// `AWS_ENDPOINT_URL_DYNAMODB` or `AWS_ENDPOINT_URL`, else Amazon's of the region.
    public var endpoint: String?
    /// Sources of credentials, tried in order. Default: environment, files, container, instance.
    public var credentials: [any AWSCredentialSource]
    /// The timeout of one attempt. Default: the session's.
    public var timeout: Duration?
    /// Retries after transient failures: the network, a server's error, throttling. Default: 4.
    public var maximumRetries = 4
    /// The wait before the second attempt; it doubles each time, multiplied by a random factor below 1. Default: 50 ms.
    public var firstWait: Duration = .milliseconds(50)
    /// The longest wait. Default: 20 s.
    public var longestWait: Duration = .seconds(20)
    let environment: [String: String]

    /// Settings.
    /// - Parameters:
    ///   - region: the region. Default: from the environment.
    ///   - endpoint: the endpoint. Default: Amazon's of the region.
    ///   - credentials: the sources of credentials. Default: those of the environment.
    ///   - environment: the environment variables. Default: the process's.
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

    /// The region, from the first available source.
    /// - Parameter host: a host name that may contain it.
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
        // Compatible services seldom check it.
        if endpoint != nil || environment["AWS_ENDPOINT_URL"] != nil { return "us-east-1" }
        throw SkeinError(
            .exception,
            because: "no AWS region is known: set it in the options or in AWS_REGION, for example eu-central-1")
    }

    /// The endpoint of a service.
    func endpoint(of service: String) throws(SkeinError) -> HTTPURL {
        let named =
            endpoint ?? environment["AWS_ENDPOINT_URL_\(service.uppercased())"] ?? environment["AWS_ENDPOINT_URL"]
        if let named { return try HTTPURL(named) }
        let region = try region(nil)
        return try HTTPURL("https://\(service).\(region).amazonaws.com\(region.hasBytePrefix("cn-") ? ".cn" : "")/")
    }
}
