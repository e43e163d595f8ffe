// Messages as they come and as they are sent.

import SkeinCore

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// A value that stands beside a message's text.
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

/// A message that was received. Until it is deleted or its time is over, nobody else receives it.
public struct SQSMessage: Sendable, Decodable {
    /// Its identifier.
    public let id: String
    /// What names this one delivery of it: it is deleted by that.
    public let receipt: String
    /// Its text.
    public let body: String
    /// What the service says of it: `ApproximateReceiveCount`, `SentTimestamp`, `MessageGroupId`.
    public let systemAttributes: [String: String]
    /// What its sender has put beside it.
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

    /// How often it has been received, this time included.
    public var receiveCount: Int { systemAttributes["ApproximateReceiveCount"].flatMap { Int($0) } ?? 1 }

    /// The text as JSON.
    /// - Throws: `DecodingError`.
    public func decode<T: Decodable>(_ type: T.Type) throws -> T {
        try JSON.decode(type, from: body.utf8)
    }
}

/// A message that is to be sent.
public struct SQSOutgoing: Sendable, ExpressibleByStringLiteral {
    /// Its text, at most 1 MiB with its attributes.
    public var body: String
    /// How long nobody receives it, at most 15 minutes. Default: the queue's.
    public var delay: Duration?
    /// Values beside it, at most ten.
    public var attributes: [String: SQSAttribute]
    /// Of a FIFO queue: those of one group are received in their order.
    public var groupID: String?
    /// Of a FIFO queue: what is sent twice with the same within five minutes is one message. Default: of its content, where the queue
    /// is set so.
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

    /// A message of text alone.
    public init(stringLiteral value: String) { self.init(value) }

    /// A message of a value as JSON.
    /// - Throws: `EncodingError`.
    public init(json value: some Encodable) throws {
        self.init(String(decoding: try JSON.encode(value), as: UTF8.self))
    }

    var input: AWSInput {
        AWSInput().adding("MessageBody", body).adding("DelaySeconds", delay.map { Int($0 / .seconds(1)) })
            .adding("MessageAttributes", attributes.isEmpty ? nil : attributes).adding("MessageGroupId", groupID)
            .adding("MessageDeduplicationId", deduplicationID)
    }

    /// Bytes that count for the limits of a batch.
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
