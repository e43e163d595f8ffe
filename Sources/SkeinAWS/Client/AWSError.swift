// What a service says when it refuses.

import SkeinCore
import SkeinHTTP

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// An error of a service.
public struct AWSError: Error, Sendable, Hashable, CustomStringConvertible {
    /// Its name, such as `ResourceNotFoundException`.
    public let code: String
    /// What happened.
    public let message: String
    /// The status of the answer.
    public let status: Int
    /// The number by which Amazon finds the request again.
    public let requestID: String?
    /// Of a transaction that was not carried out, why each of its parts was not; `None` for those that could have been.
    public let cancellationReasons: [String]

    private struct Said: Decodable {
        struct Reason: Decodable { let Code: String? }
        let __type: String?
        let message: String?
        let Message: String?
        let CancellationReasons: [Reason]?
    }

    init(_ response: HTTPResponse) {
        let said = try? JSON.decode(Said.self, from: response.content.readableBytesView)
        // `com.amazonaws.sqs#QueueDoesNotExist`, and the name that it had before JSON: `AWS.SimpleQueueService.NonExistentQueue;Sender`.
        let name = said?.__type ?? response.header("X-Amzn-ErrorType") ?? ""
        code =
            name.splitBytes(separator: "#").last.map { String($0.prefix(before: ":")) } ?? "HTTP\(response.statusCode)"
        message =
            said?.message ?? said?.Message
            ?? (said == nil ? String(String(buffer: response.content).prefix(200)) : "")
        status = response.statusCode
        requestID = response.header("X-Amzn-RequestId")
        cancellationReasons = said?.CancellationReasons?.map { $0.Code ?? "None" } ?? []
    }

    /// Whether too much was asked for at one time.
    public var isThrottling: Bool { Self.throttling.contains(code) || status == 429 }
    /// Whether the credentials have expired.
    public var isExpired: Bool { Self.expired.contains(code) }
    /// Whether the machine's clock seems to be wrong.
    var isSkewed: Bool {
        Self.skewed.contains(code)
            || ["InvalidSignatureException", "SignatureDoesNotMatch"].contains(code)
                && (message.containsBytes("Signature expired") || message.containsBytes("not yet current"))
    }
    /// Whether the same may succeed a moment later.
    public var isTransient: Bool { isThrottling || status >= 500 || code == "TransactionInProgressException" }
    /// Whether what was asked for contradicts what is there.
    var isConflict: Bool {
        ["ConditionalCheckFailedException", "TransactionConflictException"].contains(code)
            || cancellationReasons.contains("ConditionalCheckFailed")
    }

    private static let throttling: Set<String> = [
        "Throttling", "ThrottlingException", "ThrottledException", "RequestThrottledException", "RequestThrottled",
        "TooManyRequestsException", "ProvisionedThroughputExceededException", "RequestLimitExceeded", "SlowDown",
        "BandwidthLimitExceeded", "PriorRequestNotComplete", "EC2ThrottledException", "KmsThrottled",
    ]
    private static let expired: Set<String> = [
        "ExpiredToken", "ExpiredTokenException", "TokenRefreshRequired",
    ]
    private static let skewed: Set<String> = ["RequestTimeTooSkewed", "RequestExpired", "RequestInTheFuture"]

    /// A sentence: `The queue does not exist (QueueDoesNotExist)`.
    public var description: String {
        let reasons = cancellationReasons.isEmpty ? "" : ": \(cancellationReasons.joined(separator: ", "))"
        return message.isEmpty ? code + reasons : "\(message) (\(code)\(reasons))"
    }
}
