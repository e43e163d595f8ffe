// The error type: a code, the peer, and a sentence with the cause and the remedy.

/// A failure below the protocol, or a wrong use of the API.
public struct SkeinError: Error, Sendable {
    /// Codes of failures below HTTP, named as in aquests, outside of the range of HTTP statuses.
    public struct Code: RawRepresentable, Hashable, Sendable, CustomStringConvertible {
        /// The number, 700 to 722 for the ones named here.
        public let rawValue: Int

        /// A code with any number.
        public init(rawValue: Int) { self.rawValue = rawValue }

        private init(_ rawValue: Int) { self.rawValue = rawValue }

        /// The socket failed, for example by a reset.
        public static let socketError = Code(700)
        /// An error was thrown: an invalid request, a body that failed, a wrong order of calls.
        public static let exception = Code(701)
        /// The time limit passed.
        public static let timeout = Code(702)
        /// No socket was available, or a queue is full.
        public static let overloaded = Code(703)
        /// The name was not found.
        public static let dnsNotFound = Code(704)
        /// The session or server is shutting down.
        public static let shuttingDown = Code(705)
        /// The peer requires an unknown authentication scheme.
        public static let unknownAuthentication = Code(706)
        /// A body or its framing is malformed or incomplete.
        public static let bodyError = Code(707)
        /// The connection ended before any byte of the response.
        public static let noResponse = Code(708)
        /// The content cannot be decoded.
        public static let invalidContent = Code(709)
        /// The connection was closed during the request.
        public static let connectionClosed = Code(710)
        /// A redirect loop, or too many redirects.
        public static let redirectError = Code(711)
        /// The corequest was cancelled.
        public static let cancelled = Code(712)
        /// The TLS handshake failed.
        public static let tlsHandshakeFailed = Code(713)
        /// No connection could be established.
        public static let connectionFailed = Code(714)
        /// The head of the response is malformed.
        public static let responseHeaderError = Code(715)
        /// The switch of protocols failed.
        public static let protocolSwitchingFailed = Code(716)
        /// The content type is malformed.
        public static let invalidContentType = Code(717)
        /// The content type is not among the accepted ones.
        public static let unacceptableContentType = Code(718)
        /// The content is larger than the limit.
        public static let contentTooLarge = Code(719)
        /// The HTTP/2 connection was closed.
        public static let http2ConnectionClosed = Code(720)
        /// The HTTP/2 stream was reset.
        public static let http2StreamReset = Code(721)
        /// An object took too long.
        public static let objectTimeout = Code(722)

        /// The code's short name, used as the reason of a failed response.
        public var name: String { Self.names[rawValue] ?? "error" }

        /// The number and the name: `702 timeout`.
        public var description: String { "\(rawValue) \(name)" }

        private static let names: [Int: String] = [
            700: "socket error", 701: "exception", 702: "timeout", 703: "socket panic", 704: "DNS not found",
            705: "shutting down", 706: "unknown authentication method", 707: "header/body error",
            708: "no data received", 709: "invalid content", 710: "channel closed", 711: "redirect error",
            712: "controlled shutdown", 713: "TLS handshake failure", 714: "connection failure",
            715: "response header error", 716: "protocol switching failure", 717: "invalid content type",
            718: "unacceptable content type", 719: "too large content", 720: "HTTP/2 connection closed",
            721: "HTTP/2 stream reset", 722: "object timeout",
        ]
    }

    /// The kind of failure.
    public let code: Code
    /// The peer: an origin, an address, a file.
    public let peer: String?
    /// The cause and the remedy.
    public let message: String
    /// The underlying error, if any.
    public let cause: (any Error)?

    /// An error with its message.
    /// - Parameters:
    ///   - code: the kind of failure.
    ///   - peer: the peer.
    ///   - message: the cause and the remedy, without the peer's name.
    ///   - cause: the underlying error.
    public init(_ code: Code, peer: String? = nil, because message: String, cause: (any Error)? = nil) {
        self.code = code
        self.peer = peer
        self.message = message
        self.cause = cause
    }

    /// A response that is not the expected one: a status of 300 and above, or `one` without exactly one record.
    public static func status(_ code: Int, peer: String?, because message: String) -> SkeinError {
        SkeinError(Code(rawValue: code), peer: peer, because: message)
    }
}

extension SkeinError: CustomStringConvertible {
    /// One sentence: `702 timeout (http://example.org): no answer within 10 s`.
    public var description: String {
        "\(code.rawValue)\(code.name == "error" ? "" : " \(code.name)")\(peer.map { " (\($0))" } ?? ""): \(message)"
    }
}

/// An error of a healthy back end that refuses an invalid request, such as a syntax error in a statement.
package protocol RefusedRequest: Error {}
