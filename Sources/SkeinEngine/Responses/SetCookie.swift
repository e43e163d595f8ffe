// The Set-Cookie field.

import SkeinCore
import SkeinHTTP
import SkeinWire

/// The attributes of a cookie, with safe defaults.
public struct CookieOptions: Sendable, Hashable {
    /// The path it is for. Default: `/`.
    public var path = "/"
    /// The domain it is for, with all subdomains. Default: the host alone.
    public var domain: String?
    /// Its lifetime. Default: a session cookie.
    public var maximumAge: Duration?
    /// Whether it is sent over TLS only. Default: true when the request came over TLS.
    public var isSecure: Bool?
    /// Whether it is hidden from scripts. Default: true.
    public var isHTTPOnly = true
    /// The SameSite attribute. Default: `Lax`.
    public var sameSite = Cookie.SameSite.lax

    /// The defaults.
    public init() {}
}

extension ServerResponse {
    /// Sets a cookie (RFC 6265, section 4.1).
    /// - Parameters:
    ///   - name: a token.
    ///   - value: visible ASCII without `"`, `,`, `;` and `\`; any other value fails the response with a logged error.
    ///   - request: the current request; it tells whether the connection is encrypted.
    public mutating func setCookie(
        _ name: String, _ value: String, _ options: CookieOptions = CookieOptions(), for request: ServerRequest
    ) {
        var field = "\(name)=\(value); Path=\(options.path)"
        if let domain = options.domain { field += "; Domain=\(domain)" }
        if let age = options.maximumAge { field += "; Max-Age=\(age.components.seconds)" }
        if options.isSecure ?? request.isSecure { field += "; Secure" }
        if options.isHTTPOnly { field += "; HttpOnly" }
        switch options.sameSite {
        case .strict: field += "; SameSite=Strict"
        case .lax: field += "; SameSite=Lax"
        case .none: field += "; SameSite=None"
        }
        let isSound =
            !name.isEmpty && name.utf8.allSatisfy(Bytes.isToken)
            && value.utf8.allSatisfy { $0 > 0x20 && $0 < 0x7F && ![0x22, 0x2C, 0x3B, 0x5C].contains($0) }
        // A value that could inject attributes becomes an invalid field, so that the response fails.
        headers.add("Set-Cookie", isSound ? field : "\n")
    }

    /// Removes a cookie.
    public mutating func removeCookie(
        _ name: String, _ options: CookieOptions = CookieOptions(), for request: ServerRequest
    ) {
        var options = options
        options.maximumAge = .zero
        setCookie(name, "", options, for: request)
    }
}
