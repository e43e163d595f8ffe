// The Simple Queue Service (https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/).

import SkeinCore
import SkeinHTTP

/// Queues of messages. Every call starts at once and returns a corequest.
public final class SQS: Sendable {
    let client: AWSClient

    /// The settings of the client.
    public var configuration: AWSConfiguration { client.configuration }

    package init(_ configuration: AWSConfiguration, session: Session, http: HTTPClient) {
        client = AWSClient(configuration, service: "sqs", target: "AmazonSQS", session: session, http: http)
    }

    /// A queue by its URL.
    public func queue(_ url: String) -> SQSQueue { SQSQueue(service: self, url: url) }

    /// A queue by its name.
    /// - Parameter owner: the account of the queue, if it is another one.
    /// - Throws: `QueueDoesNotExist` as the error's cause.
    public func queue(named name: String, owner: String? = nil) async throws -> SQSQueue {
        let input = AWSInput().adding("QueueName", name).adding("QueueOwnerAWSAccountId", owner)
        return queue(try await url(of: client.call("GetQueueUrl", input)))
    }

    /// Creates a queue, or finds an existing one with the same attributes; the name of a FIFO queue ends with `.fifo`.
    /// - Parameter attributes: for example `["VisibilityTimeout": "60"]`; if the name ends with `.fifo`, `FifoQueue` is
    ///   added.
    public func createQueue(
        _ name: String, attributes: [String: String] = [:], tags: [String: String] = [:]
    ) async throws -> SQSQueue {
        var attributes = attributes
        if name.hasByteSuffix(".fifo") { attributes["FifoQueue"] = "true" }
        let input = AWSInput().adding("QueueName", name).adding("Attributes", attributes.isEmpty ? nil : attributes)
            .adding("tags", tags.isEmpty ? nil : tags)
        return queue(try await url(of: client.call("CreateQueue", input)))
    }

    private func url(of corequest: Corequest<AWSResponse>) async throws -> String {
        struct Found: Decodable { let QueueUrl: String }
        return try await corequest.fetch(Found.self).QueueUrl
    }

    /// All queues.
    /// - Parameter prefix: the prefix of their names. Default: none.
    public func queues(prefix: String? = nil) async throws -> [SQSQueue] {
        struct Page: Decodable {
            let QueueUrls: [String]?
            let NextToken: String?
        }
        var urls: [String] = []
        var token: String?
        repeat {
            let input = AWSInput().adding("QueueNamePrefix", prefix).adding("MaxResults", 1000).adding(
                "NextToken", token)
            let page = try await client.call("ListQueues", input).fetch(Page.self)
            urls += page.QueueUrls ?? []
            token = page.NextToken
        } while token != nil
        return urls.map(queue)
    }

    /// Starts any call: `call("ListQueueTags", ["QueueUrl": .string(url)])`.
    @discardableResult
    public func call(_ operation: String, _ input: [String: JSONValue]) -> Corequest<AWSResponse> {
        client.call(operation, input)
    }
}
