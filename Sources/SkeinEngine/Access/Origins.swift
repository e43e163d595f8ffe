// The Origin field of requests, and its check.

import SkeinHTTP

extension ServerRequest {
    /// The origin of the page that made the browser send the request (RFC 6454, section 7); nil when the request has no
    /// such field.
    public var origin: String? { headers["Origin"] }

    /// Whether that page has the host of the request.
    var isSameOrigin: Bool {
        guard let origin else { return true }
        guard let scheme = origin.rangeOfBytes("://"), let host = headers["Host"] else { return false }
        return origin[scheme.upperBound...].lowercased().equalsBytes(host.lowercased())
    }

    /// Refuses requests from pages of other sites.
    /// - Parameter allowed: the allowed origins, such as `https://example.org`; `*` for any. The host's own origin is
    ///   always allowed.
    /// - Throws: ``ServerError`` 403.
    public func requireOrigin(_ allowed: [String]) throws(ServerError) {
        guard let origin, !isSameOrigin, !allowed.contains("*") else { return }
        guard allowed.contains(where: { $0.lowercased().equalsBytes(origin.lowercased()) }) else {
            throw ServerError(403, "pages of \(origin) are not allowed to use this resource")
        }
    }
}
