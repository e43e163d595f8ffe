// Whose pages may make browsers ask: what the field Origin says, and who is to believe it.

import SkeinHTTP

extension ServerRequest {
    /// The origin of the page that made the browser ask (RFC 6454, section 7); nil when the request names none.
    public var origin: String? { headers["Origin"] }

    /// Whether the page that made the browser ask is of the host that was asked.
    var isSameOrigin: Bool {
        guard let origin else { return true }
        guard let scheme = origin.rangeOfBytes("://"), let host = headers["Host"] else { return false }
        return origin[scheme.upperBound...].lowercased().equalsBytes(host.lowercased())
    }

    /// Refuses what pages of other sites make browsers ask for.
    /// - Parameter allowed: whose pages may ask, such as `https://example.org`; `*` for any. Those of the same host may always.
    /// - Throws: ``ServerError`` 403.
    public func requireOrigin(_ allowed: [String]) throws(ServerError) {
        guard let origin, !isSameOrigin, !allowed.contains("*") else { return }
        guard allowed.contains(where: { $0.lowercased().equalsBytes(origin.lowercased()) }) else {
            throw ServerError(403, "pages of \(origin) are not allowed to use this resource")
        }
    }
}
