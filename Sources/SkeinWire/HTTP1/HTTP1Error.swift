// The errors of HTTP/1.1 messages.

/// A violation of RFC 9112 by the peer, or an exceeded limit. The connection must be closed after any of them.
public enum HTTP1Error: String, Error, Hashable, Sendable, CaseIterable {
    // Lines
    /// A CR without LF.
    case bareCarriageReturn = "a CR without LF"
    /// An LF without CR.
    case bareLineFeed = "an LF without CR"
    /// A NUL or another control byte in a line.
    case controlByte = "a NUL or another control byte in a line"
    /// A line is longer than the limit.
    case lineTooLong = "a line is longer than the limit"
    /// The header block is larger than the limit.
    case headerBlockTooLarge = "the header block is larger than the limit"
    /// There are more header fields than the limit.
    case tooManyFields = "there are more header fields than the limit"

    // Start lines
    /// The request line is malformed.
    case malformedRequestLine = "the request line is malformed"
    /// The request target holds a space.
    case spaceInTarget = "the request target holds a space"
    /// The method is not a token.
    case invalidMethod = "the method is not a token"
    /// The request target is invalid.
    case invalidTarget = "the request target is invalid"
    /// The status line is malformed.
    case malformedStatusLine = "the status line is malformed"
    /// The version is malformed.
    case malformedVersion = "the version is malformed"
    /// The version is not HTTP/1.x.
    case unsupportedVersion = "the version is not HTTP/1.x"

    // Fields
    /// A field line has no colon.
    case missingColon = "a field line has no colon"
    /// There is whitespace between a field name and its colon.
    case whitespaceBeforeColon = "there is whitespace between a field name and its colon"
    /// A field name is not a token.
    case invalidFieldName = "a field name is not a token"
    /// A field line is folded.
    case obsoleteFolding = "a field line is folded"
    /// An HTTP/1.1 request has no Host.
    case missingHost = "an HTTP/1.1 request has no Host"
    /// A request has more than one Host.
    case multipleHosts = "a request has more than one Host"
    /// The Host is invalid.
    case invalidHost = "the Host is invalid"

    // Framing
    /// The Content-Length is not a number.
    case invalidContentLength = "the Content-Length is not a number"
    /// Two Content-Lengths differ.
    case conflictingContentLengths = "two Content-Lengths differ"
    /// Both Content-Length and Transfer-Encoding.
    case contentLengthWithTransferEncoding = "both Content-Length and Transfer-Encoding"
    /// A Transfer-Encoding in an HTTP/1.0 message.
    case transferEncodingInHTTP10 = "a Transfer-Encoding in an HTTP/1.0 message"
    /// The transfer coding is unknown.
    case unknownTransferCoding = "the transfer coding is unknown"

    // Chunks
    /// A chunk size is not a hexadecimal number.
    case invalidChunkSize = "a chunk size is not a hexadecimal number"
    /// A chunk size has more than 16 digits or is too large.
    case chunkSizeTooLarge = "a chunk size has more than 16 digits or is too large"
    /// A chunk does not end where it should.
    case malformedChunk = "a chunk does not end where it should"
    /// The chunk extensions are larger than the limit.
    case chunkExtensionsTooLarge = "the chunk extensions are larger than the limit"
    /// The trailers are larger than the limit.
    case trailersTooLarge = "the trailers are larger than the limit"
    /// A field that is not allowed in trailers.
    case forbiddenTrailer = "a field that is not allowed in trailers"

    // Sequence
    /// The connection ended in the middle of a message.
    case truncated = "the connection ended in the middle of a message"
    /// Bytes arrived without a request.
    case unsolicitedResponse = "bytes arrived without a request"
    /// An unsolicited 101.
    case unexpectedUpgrade = "an unsolicited 101"

    /// The status of a server's response before it closes the connection.
    public var status: HTTPStatus {
        switch self {
        case .unknownTransferCoding: 501
        case .unsupportedVersion: 505
        case .headerBlockTooLarge, .tooManyFields, .trailersTooLarge: 431
        default: 400
        }
    }
}

extension HTTP1Error: CustomStringConvertible {
    /// The error as text.
    public var description: String { rawValue }
}
