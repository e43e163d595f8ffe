// Received and outgoing messages.

import SkeinCore

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// An attribute of a message.
public enum SQSAttribute: Sendable, Hashable, Codable, ExpressibleByStringLiteral, ExpressibleByIntegerLiteral {
    case string(String)
    case number(String)
    case binary(Data)

    public init(stringLiteral value: String) { self = .string(value) }
    public init(integerLiteral value: Int) { self = .number("\(value)") }

    private enum Member: String, CodingKey { case DataType, StringValue, BinaryValue }

    public init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: Member.self)
        if let text = try container.decodeIfPresent(String.self, forKey: .StringValue) {
            let type = try container.decode(String.self, forKey: .DataType)
            self = type.hasBytePrefix("Number") ? .number(text) : .string(text)
        } else {
            self = .binary(try container.decode(Data.self, forKey: .BinaryValue))
        }
    }

    public func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: Member.self)
        switch self {
        case .string(let text):
            try container.encode("String", forKey: .DataType)
            try container.encode(text, forKey: .StringValue)
        case .number(let digits):
            try container.encode("Number", forKey: .DataType)
            try container.encode(digits, forKey: .StringValue)
        case .binary(let data):
            try container.encode("Binary", forKey: .DataType)
            try container.encode(data, forKey: .BinaryValue)
        }
    }
}

/// A received message. Until it is deleted or its visibility timeout ends, no other consumer receives it.
public struct SQSMessage: Sendable, Decodable {
    /// The message ID.
    public let id: String
    /// The receipt handle of this delivery, which deletes the message.
    public let receipt: String
    /// The body.
    public let body: String
    /// System attributes: `ApproximateReceiveCount`, `SentTimestamp`, `MessageGroupId`.
    public let systemAttributes: [String: String]
    /// The attributes set by its sender.
    public let attributes: [String: SQSAttribute]
    let digest: String?

    private enum CodingKeys: String, CodingKey {
        case id = "MessageId"
        case receipt = "ReceiptHandle"
        case body = "Body"
        case systemAttributes = "Attributes"
        case attributes = "MessageAttributes"
        case digest = "MD5OfBody"
    }

    public init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: CodingKeys.self)
        id = try container.decode(String.self, forKey: .id)
        receipt = try container.decode(String.self, forKey: .receipt)
        body = try container.decode(String.self, forKey: .body)
        systemAttributes = try container.decodeIfPresent([String: String].self, forKey: .systemAttributes) ?? [:]
        attributes = try container.decodeIfPresent([String: SQSAttribute].self, forKey: .attributes) ?? [:]
        digest = try container.decodeIfPresent(String.self, forKey: .digest)
        guard digest.map({ $0 == SQSDigest.of(body) }) ?? true else {
            throw DecodingError.dataCorruptedError(
                forKey: .body, in: container,
                debugDescription: "the text of message \(id) differs from what was sent: the MD5 does not match")
        }
    }

    /// How often it has been received, including this time.
    public var receiveCount: Int { systemAttributes["ApproximateReceiveCount"].flatMap { Int($0) } ?? 1 }

    /// The body, decoded from JSON.
    /// - Throws: `DecodingError`.
    public func decode<T: Decodable>(_ type: T.Type) throws -> T {
        try JSON.decode(type, from: body.utf8)
    }
}

/// An outgoing message.
public struct SQSOutgoing: Sendable, ExpressibleByStringLiteral {
    /// The body, at most 1 MiB including its attributes.
    public var body: String
    /// The delay before it is delivered, at most 15 minutes. Default: the queue's.
    public var delay: Duration?
    /// Its attributes, at most ten.
    public var attributes: [String: SQSAttribute]
    /// For a FIFO queue: the message group, within which the order is preserved.
    public var groupID: String?
    /// For a FIFO queue: messages with the same ID within five minutes are one message. Default: a hash of the content,
    /// if the queue is configured so.
    public var deduplicationID: String?

    /// A message.
    public init(
        _ body: String, delay: Duration? = nil, attributes: [String: SQSAttribute] = [:], groupID: String? = nil,
        deduplicationID: String? = nil
    ) {
        self.body = body
        self.delay = delay
        self.attributes = attributes
        self.groupID = groupID
        self.deduplicationID = deduplicationID
    }

    /// A message with a body only.
    public init(stringLiteral value: String) { self.init(value) }

    /// A message with a value as JSON.
    /// - Throws: `EncodingError`.
    public init(json value: some Encodable) throws {
        self.init(String(decoding: try JSON.encode(value), as: UTF8.self))
    }

    var input: AWSInput {
        AWSInput().adding("MessageBody", body).adding("DelaySeconds", delay.map { Int($0 / .seconds(1)) })
            .adding("MessageAttributes", attributes.isEmpty ? nil : attributes).adding("MessageGroupId", groupID)
            .adding("MessageDeduplicationId", deduplicationID)
    }

    /// The size that counts for the limits of a batch.
    var size: Int {
        attributes.reduce(body.utf8.count) { sum, attribute in
            let length =
                switch attribute.value {
                case .string(let text), .number(let text): text.utf8.count
                case .binary(let data): data.count
                }
            return sum + attribute.key.utf8.count + length + 6
        }
    }
}
