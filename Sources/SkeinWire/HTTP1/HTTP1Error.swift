// The errors of HTTP/1.1 messages.

/// A violation of RFC 9112 by the peer, or an exceeded limit. The connection must be closed after any of them.
public enum HTTP1Error: String, Error, Hashable, Sendable, CaseIterable {
    // Lines
    case bareCarriageReturn = "a CR without LF"
    case bareLineFeed = "an LF without CR"
    case controlByte = "a NUL or another control byte in a line"
    case lineTooLong = "a line is longer than the limit"
    case headerBlockTooLarge = "the header block is larger than the limit"
    case tooManyFields = "there are more header fields than the limit"

    // Start lines
    case malformedRequestLine = "the request line is malformed"
    case spaceInTarget = "the request target holds a space"
    case invalidMethod = "the method is not a token"
    case invalidTarget = "the request target is invalid"
    case malformedStatusLine = "the status line is malformed"
    case malformedVersion = "the version is malformed"
    case unsupportedVersion = "the version is not HTTP/1.x"

    // Fields
    case missingColon = "a field line has no colon"
    case whitespaceBeforeColon = "there is whitespace between a field name and its colon"
    case invalidFieldName = "a field name is not a token"
    case obsoleteFolding = "a field line is folded"
    case missingHost = "an HTTP/1.1 request has no Host"
    case multipleHosts = "a request has more than one Host"
    case invalidHost = "the Host is invalid"

    // Framing
    case invalidContentLength = "the Content-Length is not a number"
    case conflictingContentLengths = "two Content-Lengths differ"
    case contentLengthWithTransferEncoding = "both Content-Length and Transfer-Encoding"
    case transferEncodingInHTTP10 = "a Transfer-Encoding in an HTTP/1.0 message"
    case unknownTransferCoding = "the transfer coding is unknown"

    // Chunks
    case invalidChunkSize = "a chunk size is not a hexadecimal number"
    case chunkSizeTooLarge = "a chunk size has more than 16 digits or is too large"
    case malformedChunk = "a chunk does not end where it should"
    case chunkExtensionsTooLarge = "the chunk extensions are larger than the limit"
    case trailersTooLarge = "the trailers are larger than the limit"
    case forbiddenTrailer = "a field that is not allowed in trailers"

    // Sequence
    case truncated = "the connection ended in the middle of a message"
    case unsolicitedResponse = "bytes arrived without a request"
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
