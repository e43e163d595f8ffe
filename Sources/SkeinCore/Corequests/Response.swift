// The common interface of responses of all protocols.

import Logging

/// The response of a corequest: from a server, or, with a code of 700 and above, a failure.
public protocol Response: Sendable {
    /// The content: bytes for HTTP, rows for a database.
    associatedtype Content: Sendable

    /// The caller's metadata, with the request's number and method.
    var meta: RequestMetadata { get }
    /// The status: HTTP's own, 200 or 500 for a database, 700 to 722 for a failure below the protocol.
    var statusCode: Int { get }
    /// The name of the status.
    var reason: String { get }
    /// The operation: `GET`, `execute`, `lrange`.
    var method: String { get }
    /// The content.
    var content: Content { get }
    /// The session's logger.
    var logger: Logger { get }
    /// The failure below the protocol, if there was one.
    var failure: SkeinError? { get }
    /// The peer's error, where its protocol has a format for errors.
    var refusal: (any Error)? { get }
    /// The peer, for messages.
    var peer: String { get }
    /// The memory that the content takes, in bytes, more or less; for bounds on what is kept. Default: 1 KiB.
    var contentSize: Int { get }
    /// The highest status that counts as success; `fetch`, `one` and `commit` throw above it.
    static var highestSuccess: Int { get }

    /// Decodes the content as one value.
    func decode<T: Decodable>(_ type: T.Type) throws -> T
    /// Decodes the content as a list of records.
    func decodeRecords<T: Decodable>(_ type: T.Type) throws -> [T]
}

extension Response {
    /// Throws when the exchange failed or the status is not a success (300 and above for HTTP).
    /// - Throws: `SkeinError` with the code or status.
    public func raiseForStatus() throws(SkeinError) {
        if let failure { throw failure }
        guard statusCode <= Self.highestSuccess else {
            // An invalid status counts as 500 (RFC 9110, section 15); from 700 on it would be mistaken for a failure.
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
    /// It was not sent, or was cancelled.
    case unsent
    /// The peer responded with an error.
    case requestFailed = "request failed"
    /// The time limit passed.
    case timeout
    /// The network failed, or the peer's bytes were malformed.
    case networkError = "network error"
    /// It succeeded.
    case normal
}
