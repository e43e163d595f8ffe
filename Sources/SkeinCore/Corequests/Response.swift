// The one shape that every answer has, whatever protocol brought it.

import Logging

/// The answer of a corequest: from a server, or, with a code of 700 and above, from the failure that prevented one.
public protocol Response: Sendable {
    /// What the answer carries: bytes for HTTP, rows for a database.
    associatedtype Content: Sendable

    /// What the caller attached to the request, with its number and method.
    var meta: RequestMetadata { get }
    /// The status: HTTP's own, 200 or 500 for a database, 700 to 722 for a failure below the protocol.
    var statusCode: Int { get }
    /// The status in words.
    var reason: String { get }
    /// What was asked for: `GET`, `execute`, `lrange`.
    var method: String { get }
    /// What the answer carries.
    var content: Content { get }
    /// The session's logger.
    var logger: Logger { get }
    /// The failure below the protocol, if there was one.
    var failure: SkeinError? { get }
    /// What the peer said when it answered that it failed, where its protocol has a form for that.
    var refusal: (any Error)? { get }
    /// The other side, for messages.
    var peer: String { get }
    /// The memory that the content takes, in bytes, more or less; for bounds on what is kept. Default: 1 KiB.
    var contentSize: Int { get }
    /// The highest status that counts as success; `fetch`, `one` and `commit` throw above it.
    static var highestSuccess: Int { get }

    /// Decodes what the answer carries as one value.
    func decode<T: Decodable>(_ type: T.Type) throws -> T
    /// Decodes what the answer carries as a list of records.
    func decodeRecords<T: Decodable>(_ type: T.Type) throws -> [T]
}

extension Response {
    /// Throws when the exchange failed or the status says that it did not succeed (300 and above for HTTP).
    /// - Throws: `SkeinError` with the code or status.
    public func raiseForStatus() throws(SkeinError) {
        if let failure { throw failure }
        guard statusCode <= Self.highestSuccess else {
            // A status that no server should send counts as 500 (RFC 9110, section 15); from 700 on it would pass for a failure.
            throw SkeinError(
                SkeinError.Code(rawValue: statusCode < 600 ? statusCode : 500), peer: peer,
                because: refusal.map { "\($0)" } ?? "the answer was \(statusCode) \(reason)", cause: refusal)
        }
    }

    /// 1 KiB.
    public var contentSize: Int { 1024 }

    /// Nothing but the status.
    public var refusal: (any Error)? { nil }

    /// Shortcut for ``raiseForStatus()``.
    public func reraise() throws(SkeinError) { try raiseForStatus() }

    /// Whether `fetch` would not throw because of it.
    package var isSuccess: Bool { failure == nil && statusCode <= Self.highestSuccess }

    /// How the exchange ended, in a word.
    public var outcome: Outcome {
        guard let failure else { return statusCode <= Self.highestSuccess ? .normal : .requestFailed }
        switch failure.code {
        case .timeout, .objectTimeout: return .timeout
        case .exception, .cancelled, .shuttingDown: return .unsent
        default: return .networkError
        }
    }
}

/// How a corequest ended.
public enum Outcome: String, Sendable {
    /// It was never sent, or was cancelled.
    case unsent
    /// The peer answered that it failed.
    case requestFailed = "request failed"
    /// The time was up.
    case timeout
    /// The network or the peer's bytes failed.
    case networkError = "network error"
    /// It succeeded.
    case normal
}
