// Errors of HTTP/2: the code, and the reason as text.

/// An error code of HTTP/2 (RFC 9113, section 7).
public struct HTTP2ErrorCode: RawRepresentable, Hashable, Sendable, CustomStringConvertible {
    /// The number in the frame.
    public let rawValue: UInt32

    /// A code with any number.
    public init(rawValue: UInt32) { self.rawValue = rawValue }

    /// No error: a graceful end.
    public static let noError = HTTP2ErrorCode(rawValue: 0)
    /// A protocol violation without a more specific code.
    public static let protocolError = HTTP2ErrorCode(rawValue: 1)
    /// An internal error of the endpoint.
    public static let internalError = HTTP2ErrorCode(rawValue: 2)
    /// The peer exceeded its window, or a window grew too large.
    public static let flowControlError = HTTP2ErrorCode(rawValue: 3)
    /// SETTINGS were not acknowledged in time.
    public static let settingsTimeout = HTTP2ErrorCode(rawValue: 4)
    /// A frame for a closed stream.
    public static let streamClosed = HTTP2ErrorCode(rawValue: 5)
    /// A frame with an invalid size.
    public static let frameSizeError = HTTP2ErrorCode(rawValue: 6)
    /// The stream was not processed; the request may be sent again.
    public static let refusedStream = HTTP2ErrorCode(rawValue: 7)
    /// The stream is not needed any more.
    public static let cancel = HTTP2ErrorCode(rawValue: 8)
    /// The state of header compression is invalid.
    public static let compressionError = HTTP2ErrorCode(rawValue: 9)
    /// A tunnel's connection failed.
    public static let connectError = HTTP2ErrorCode(rawValue: 10)
    /// The peer causes excessive load.
    public static let enhanceYourCalm = HTTP2ErrorCode(rawValue: 11)
    /// The TLS parameters of the connection are insufficient.
    public static let inadequateSecurity = HTTP2ErrorCode(rawValue: 12)
    /// The request must be sent over HTTP/1.1.
    public static let http11Required = HTTP2ErrorCode(rawValue: 13)

    private static let names = [
        "NO_ERROR", "PROTOCOL_ERROR", "INTERNAL_ERROR", "FLOW_CONTROL_ERROR", "SETTINGS_TIMEOUT", "STREAM_CLOSED",
        "FRAME_SIZE_ERROR", "REFUSED_STREAM", "CANCEL", "COMPRESSION_ERROR", "CONNECT_ERROR", "ENHANCE_YOUR_CALM",
        "INADEQUATE_SECURITY", "HTTP_1_1_REQUIRED",
    ]

    /// The name of the code as the RFC writes it.
    public var description: String {
        rawValue < Self.names.count ? Self.names[Int(rawValue)] : "error code \(rawValue)"
    }
}

/// A violation of RFC 9113 by the peer, or an exceeded limit, that ends the connection.
public struct HTTP2Error: Error, Hashable, Sendable, CustomStringConvertible {
    /// The code of the GOAWAY frame.
    public let code: HTTP2ErrorCode
    /// The violation.
    public let reason: String

    package init(_ code: HTTP2ErrorCode, _ reason: String) {
        self.code = code
        self.reason = reason
    }

    /// The code and the violation.
    public var description: String { "\(code): \(reason)" }
}
