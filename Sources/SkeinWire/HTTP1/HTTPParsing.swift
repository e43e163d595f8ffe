// Which malformed responses a client reads. What a server sends is not always what RFC 9112 lets it send, and user agents have
// always read more; a server never does, because two readers of one request must agree (request smuggling).

/// How exactly a response must follow RFC 9112.
///
/// Neither mode accepts what would leave the end of a message or the meaning of a field unknown: two different lengths,
/// an unknown transfer coding, a NUL, a line without a colon.
public enum HTTPParsing: String, Sendable, Hashable, CaseIterable {
    /// What curl and browsers read: folded fields (joined by spaces, RFC 9112, section 5.2), LF as the end of a line
    /// (section 2.2), CR alone (read as a space), other control characters in values, blanks before a colon
    /// (section 5.1), names that are no token, one length several times in a list (RFC 9110, section 8.6), `chunked` beside a
    /// length or in HTTP/1.0 (the connection is closed after it, RFC 9112, section 6.1), and `Transfer-Encoding: identity`.
    case tolerant
    /// What RFC 9112 lets a server send, and nothing else.
    case strict
}
