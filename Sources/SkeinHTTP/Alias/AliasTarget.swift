// Where a member of an alias is, and what a request to it looks like.

import SkeinCore
import SkeinTransport

/// Where a member is.
package final class AliasTarget: Sendable {
    /// The member's URL, credentials included.
    package let url: String
    /// Its share of the requests, relative to the other members.
    let weight: Double
    /// The origin of an HTTP member.
    package let origin: HTTPOrigin?
    /// What stands before each path, without a slash at its end.
    package let prefix: String
    package let auth: HTTPAuth?
    /// The name in the certificate of a member at an address that DNS has named; nil when the URL has it.
    package let serverName: String?

    /// - Parameter instance: what DNS has found for the member; nil for the member as it is written.
    init(
        _ member: Alias.Member, _ scheme: Alias.Scheme, at instance: MemberDiscovery.Instance? = nil
    ) throws(SkeinError) {
        let plain = String(Alias.Member.withoutDiscovery(member.url))
        url = instance.map { member.url(of: $0) } ?? plain
        weight = member.weight * (instance?.weight ?? 1)
        serverName = instance != nil && member.discovery == .addresses ? member.discoveredName?.host : nil
        guard scheme.isHTTP else {
            (origin, prefix, auth) = (nil, "", nil)
            return
        }
        // At one of its addresses, a host is asked by its name.
        let isAddress = instance != nil && member.discovery == .addresses
        var text = isAddress ? plain : url
        var auth: HTTPAuth?
        if let start = text.rangeOfBytes("://")?.upperBound, let at = text[start...].prefix(before: "/").lastByte("@") {
            let userInfo = text[start..<at]
            let user = userInfo.prefix(before: ":")
            let password = userInfo[user.endIndex...].dropFirst()
            guard let user = Percent.decode(user), let password = Percent.decode(password) else {
                throw SkeinError(.exception, because: "the credentials of a member are not percent-encoded text")
            }
            auth = .basic(user, password)
            text.removeSubrange(start...at)
        }
        if text.hasBytePrefix("ws://") || text.hasBytePrefix("wss://") { text = "http" + text.dropFirst(2) }
        guard let parsed = try? HTTPURL(text), !parsed.origin.isAlias else {
            throw SkeinError(
                .exception,
                because:
                    "the member \(Alias.Member.redacted(member.url)) has no valid address; write HOST:PORT or a URL, with user and password percent-encoded"
            )
        }
        if isAddress, let instance, case .host(_, let port) = parsed.origin.endpoint {
            origin = parsed.origin.at(.host(instance.host, port: port))
        } else {
            origin = parsed.origin
        }
        self.auth = auth
        prefix = parsed.target.hasByteSuffix("/") ? String(parsed.target.dropLast()) : parsed.target
    }

    /// A request to the alias, as the member gets it.
    package func request(_ request: consuming HTTPRequest) -> HTTPRequest {
        guard let origin else { return request }
        let target = request.url.target
        request.url = HTTPURL(origin: origin, target: prefix.isEmpty ? target : prefix + target)
        if let auth, request.auth == nil, !request.headers.contains("Authorization") { request.auth = auth }
        return request
    }
}

extension Alias.Member {
    /// The parts of a URL around its host and port.
    private var parts: (before: Substring, host: Substring, after: Substring)? {
        let url = Self.withoutDiscovery(url)
        guard let start = url.rangeOfBytes("://")?.upperBound else { return nil }
        let end = url[start...].prefix(before: "/", "?", "#").endIndex
        let hostStart = url[start..<end].lastByte("@").map { url.index(after: $0) } ?? start
        return (url[..<hostStart], url[hostStart..<end], url[end...])
    }

    /// The name that DNS is asked for, and the port behind it; 0 when there is none.
    var discoveredName: (host: String, port: Int)? {
        guard discovery != nil, let host = parts?.host, !host.isEmpty, host.first != "[" else { return nil }
        let name = host.prefix(before: ":")
        return (String(name), Int(host[name.endIndex...].dropFirst()) ?? 0)
    }

    /// The URL of an instance.
    func url(of instance: MemberDiscovery.Instance) -> String {
        guard let parts else { return url }
        let host = instance.host.containsBytes(":") ? "[\(instance.host)]" : instance.host
        return "\(parts.before)\(host)\(instance.port > 0 ? ":\(instance.port)" : "")\(parts.after)"
    }
}
