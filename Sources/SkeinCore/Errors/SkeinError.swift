// The one error type: a code, who was on the other side, and a sentence that says what to do.

/// A failure below the protocol, or a wrong use of the API.
public struct SkeinError: Error, Sendable {
    /// Codes of failures below HTTP, as aquests named them, in the range that no server's status uses.
    public struct Code: RawRepresentable, Hashable, Sendable, CustomStringConvertible {
        /// The number, 700 to 722 for the ones named here.
        public let rawValue: Int

        /// A code of any number.
        public init(rawValue: Int) { self.rawValue = rawValue }

        private init(_ rawValue: Int) { self.rawValue = rawValue }

        /// The socket failed, for example by a reset.
        public static let socketError = Code(700)
        /// Something threw: a request that cannot be made, a body that failed, a wrong order of calls.
        public static let exception = Code(701)
        /// The time was up.
        public static let timeout = Code(702)
        /// No socket could be had, or a queue is full.
        public static let overloaded = Code(703)
        /// The name was not found.
        public static let dnsNotFound = Code(704)
        /// The session or server is shutting down.
        public static let shuttingDown = Code(705)
        /// The peer wants an authentication that is not known.
        public static let unknownAuthentication = Code(706)
        /// A body or the frame around it is malformed or incomplete.
        public static let bodyError = Code(707)
        /// The connection ended before any byte of the answer.
        public static let noResponse = Code(708)
        /// The content does not decode.
        public static let invalidContent = Code(709)
        /// The connection was closed under the request.
        public static let connectionClosed = Code(710)
        /// Redirects went in circles or too far.
        public static let redirectError = Code(711)
        /// The corequest was cancelled.
        public static let cancelled = Code(712)
        /// The TLS handshake failed.
        public static let tlsHandshakeFailed = Code(713)
        /// No connection could be made.
        public static let connectionFailed = Code(714)
        /// The head of the answer is malformed.
        public static let responseHeaderError = Code(715)
        /// The peer switched protocols wrongly.
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

    /// What kind of failure it is.
    public let code: Code
    /// The other side: an origin, an address, a file.
    public let peer: String?
    /// What happened and what to do about it.
    public let message: String
    /// The error underneath, when there is one.
    public let cause: (any Error)?

    /// An error with its sentence.
    /// - Parameters:
    ///   - code: the kind.
    ///   - peer: who was on the other side.
    ///   - message: what happened and what to do, without the peer's name.
    ///   - cause: the error underneath.
    public init(_ code: Code, peer: String? = nil, because message: String, cause: (any Error)? = nil) {
        self.code = code
        self.peer = peer
        self.message = message
        self.cause = cause
    }

    /// An answer that arrived but is not the one asked for: a status of 300 and above, `one` without exactly one.
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

/// An error by which a working back end refuses a request that is wrong, such as a statement with a mistake in it.
package protocol RefusedRequest: Error {}
