// Service errors.

import SkeinCore
import SkeinHTTP

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// An error of a service.
public struct AWSError: Error, Sendable, Hashable, CustomStringConvertible {
    /// The error code, such as `ResourceNotFoundException`.
    public let code: String
    /// The error message.
    public let message: String
    /// The status of the response.
    public let status: Int
    /// The request ID for Amazon's support.
    public let requestID: String?
    /// For a cancelled transaction, the reason of each part; `None` for parts without an error.
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
        // `com.amazonaws.sqs#QueueDoesNotExist`, and the code from before JSON:
        // `AWS.SimpleQueueService.NonExistentQueue;Sender`.
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

    /// Whether the request was throttled.
    public var isThrottling: Bool { Self.throttling.contains(code) || status == 429 }
    /// Whether the credentials have expired.
    public var isExpired: Bool { Self.expired.contains(code) }
    /// Whether the machine's clock seems to be wrong.
    var isSkewed: Bool {
        Self.skewed.contains(code)
            || ["InvalidSignatureException", "SignatureDoesNotMatch"].contains(code)
                && (message.containsBytes("Signature expired") || message.containsBytes("not yet current"))
    }
    /// Whether a retry may succeed.
    public var isTransient: Bool { isThrottling || status >= 500 || code == "TransactionInProgressException" }
    /// Whether the request conflicts with the current state.
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
