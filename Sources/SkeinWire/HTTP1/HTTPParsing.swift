// Which malformed responses a client accepts. Servers do not always follow RFC 9112, and user agents have always been
// tolerant; a server's parser never is, since all parsers of one request must agree (request smuggling).

/// How strictly a response must follow RFC 9112.
///
/// Neither mode accepts errors that would leave the end of a message or the meaning of a field unknown: two different
/// lengths, an unknown transfer coding, a NUL, a line without a colon.
public enum HTTPParsing: String, Sendable, Hashable, CaseIterable {
    /// As curl and browsers: folded fields (joined by spaces, RFC 9112, section 5.2), LF as the end of a line (section
    /// 2.2), lone CR (read as a space), other control characters in values, whitespace before a colon (section 5.1),
    /// names that are not tokens, one length several times in a list (RFC 9110, section 8.6), `chunked` beside a length
    /// or in HTTP/1.0 (the connection is closed after it, RFC 9112, section 6.1), and `Transfer-Encoding: identity`.
    case tolerant
    /// Only responses that conform to RFC 9112.
    case strict
}
