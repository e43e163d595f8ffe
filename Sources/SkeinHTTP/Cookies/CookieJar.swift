// The cookies of a session (RFC 6265bis): storage, matching and eviction.

import SkeinCore
import SkeinWire
import Synchronization

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// Cookies, shared by all requests of the sessions that use the jar: at most 180 of a domain and 3000 in all; the least
/// recently used are evicted first. Thread-safe.
public final class CookieJar: Sendable {
    /// For parsing the cookies that a server sets; it stays empty.
    static let anybodys = CookieJar(publicSuffixes: .builtIn)

    private let suffixes: PublicSuffixes
    private let now: @Sendable () -> Date
    private let shelves: Mutex<Shelves>

    /// A jar.
    /// - Parameters:
    ///   - cookies: the initial cookies.
    ///   - publicSuffixes: the domains that no cookie may be set for, since anybody can register names below them.
    public convenience init(_ cookies: [Cookie] = [], publicSuffixes: PublicSuffixes = .system) {
        self.init(cookies, publicSuffixes: publicSuffixes, now: { Date() })
    }

    package init(_ cookies: [Cookie], publicSuffixes: PublicSuffixes, now: @escaping @Sendable () -> Date) {
        suffixes = publicSuffixes
        self.now = now
        shelves = Mutex(Shelves(cookies))
    }

    /// All cookies that have not expired.
    public var cookies: [Cookie] {
        let now = now()
        return shelves.withLock { $0.all.filter { !$0.isOver(now) } }
            .sorted { ($0.domain, $0.path, $0.name) < ($1.domain, $1.path, $1.name) }
    }

    /// Adds a cookie, or replaces the one with its name, domain and path.
    public func set(_ cookie: Cookie) {
        let now = now()
        shelves.withLock { $0.put(cookie, now) }
    }

    /// Removes the cookies of a name; with a domain, only those of that domain.
    public func remove(_ name: String, domain: String? = nil) {
        shelves.withLock {
            $0.remove { $0.name.equalsBytes(name) && (domain == nil || $0.domain == domain?.lowercased()) }
        }
    }

    /// Removes all.
    public func clear() { shelves.withLock { $0 = Shelves([]) } }

    /// The cookies that a request for a URL is sent with, in order.
    public func cookies(for url: HTTPURL) -> [Cookie] {
        let now = now()
        let host = Self.host(of: url)
        let path = Self.path(of: url)
        var found: [Cookie] = []
        shelves.withLock { shelves in
            guard !shelves.isEmpty else { return }
            for domain in Self.domains(above: host) {
                found += shelves.use(domain, now) { cookie in
                    (!cookie.isHostOnly || domain == host) && (!cookie.isSecure || url.origin.isSecure)
                        && Self.matches(path, cookie.path) && !cookie.isOver(now)
                }
            }
        }
        // Longer paths first, then the older ones (RFC 6265bis, section 5.8.3).
        return found.sorted {
            ($1.path.utf8.count, $0.created) < ($0.path.utf8.count, $1.created)
        }
    }

    /// The value of the Cookie field for a URL; nil when there is none.
    func field(for url: HTTPURL) -> String? {
        let cookies = cookies(for: url)
        return cookies.isEmpty
            ? nil : cookies.map { $0.name.isEmpty ? $0.value : "\($0.name)=\($0.value)" }.joined(separator: "; ")
    }

    /// The value of a Cookie field for names and values; nil when there is none.
    static func field(_ cookies: [String: String]) -> String? {
        cookies.isEmpty
            ? nil : cookies.sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value)" }.joined(separator: "; ")
    }

    /// The Set-Cookie fields; bytes that are not UTF-8 are sent back unchanged.
    static func fields(_ headers: Headers) -> [String] { headers.rawValues("Set-Cookie").map(EscapedBytes.text) }

    /// Stores the cookies that a response sets.
    func store(_ headers: Headers, from url: HTTPURL) {
        guard headers.contains("Set-Cookie") else { return }
        let now = now()
        for field in Self.fields(headers) {
            guard let cookie = accept(field, from: url, now) else { continue }
            shelves.withLock { shelves in
                // A cookie set over TLS is not overwritten without TLS.
                let isCover =
                    !url.origin.isSecure
                    && Self.domains(above: Self.host(of: url)).contains { domain in
                        shelves[domain].contains {
                            $0.isSecure && $0.name.equalsBytes(cookie.name) && Self.matches(cookie.path, $0.path)
                        }
                    }
                if !isCover { shelves.put(cookie, now) }
            }
        }
    }

    /// A cookie, if its origin may set it (RFC 6265bis, section 5.7).
    func accept(_ field: String, from url: HTTPURL, _ now: Date) -> Cookie? {
        guard let set = SetCookie(field, now: now) else { return nil }
        let host = Self.host(of: url)
        var domain = set.domain
        if let wanted = domain {
            if suffixes.contains(wanted) {
                guard wanted == host else { return nil }
                domain = nil
            } else if wanted != host {
                guard !Self.isAddress(host), host.hasByteSuffix(".\(wanted)") else { return nil }
            } else if Self.isAddress(host) {
                domain = nil
            }
        }
        if set.isSecure, !url.origin.isSecure { return nil }
        if set.sameSite == Cookie.SameSite.none, !set.isSecure { return nil }
        let path = set.path ?? Self.defaultPath(Self.path(of: url))
        let name = set.name.lowercased()
        if name.hasBytePrefix("__secure-"), !set.isSecure { return nil }
        if name.hasBytePrefix("__host-"), !set.isSecure || domain != nil || set.path != "/" { return nil }
        if name.isEmpty, ["__secure-", "__host-"].contains(where: { set.value.lowercased().hasBytePrefix($0) }) {
            return nil
        }
        var cookie = Cookie(
            set.name, set.value, domain: domain ?? host, isHostOnly: domain == nil, path: path, expires: set.expires,
            isSecure: set.isSecure, isHTTPOnly: set.isHTTPOnly, sameSite: set.sameSite)
        cookie.created = now
        cookie.lastUse = now
        return cookie
    }

    /// A cookie of a file, if a server could have set it: files can come from elsewhere.
    static func admit(_ cookie: Cookie, _ suffixes: PublicSuffixes) -> Cookie? {
        let name = cookie.name.lowercased()
        let isBound = cookie.isHostOnly && cookie.path.equalsBytes("/")
        if name.hasBytePrefix("__secure-") || name.hasBytePrefix("__host-"), !cookie.isSecure { return nil }
        if name.hasBytePrefix("__host-"), !isBound { return nil }
        let domain = SetCookie.domain(cookie.domain)
        guard !domain.isEmpty, cookie.isHostOnly || !suffixes.contains(domain) && !isAddress(domain) else { return nil }
        var admitted = cookie
        admitted.domain = domain
        return admitted
    }

    // MARK: Matching

    private static func host(of url: HTTPURL) -> String {
        let host = url.origin.endpoint.host
        if host.isEmpty { return "localhost" }
        return host.hasByteSuffix(".") ? String(host.dropLast()) : host  // the trailing dot is not part of the name
    }

    private static func path(of url: HTTPURL) -> String { String(url.target.prefix(before: "?")) }

    /// The host and every domain above it.
    private static func domains(above host: String) -> [String] {
        if isAddress(host) { return [host] }
        var domains = [host]
        var rest = host[...]
        while let dot = rest.firstByte(".") {
            rest = rest[rest.index(after: dot)...]
            domains.append(String(rest))
        }
        return domains
    }

    private static func isAddress(_ host: String) -> Bool {
        host.containsBytes(":") || host.utf8.allSatisfy { Bytes.isDigit($0) || $0 == UInt8(ascii: ".") }
    }

    /// The directory of a path (RFC 6265bis, section 5.1.4).
    private static func defaultPath(_ path: String) -> String {
        guard let slash = path.lastByte("/"), slash > path.startIndex else { return "/" }
        return String(path[..<slash])
    }

    private static func matches(_ path: String, _ cookiePath: String) -> Bool {
        guard path.hasBytePrefix(cookiePath) else { return false }
        let rest = path.utf8.dropFirst(cookiePath.utf8.count)
        return rest.isEmpty || rest.first == UInt8(ascii: "/") || cookiePath.hasByteSuffix("/")
    }
}

/// The cookies by their domains, limited for each domain and in all (RFC 6265bis, section 6.1).
private struct Shelves {
    private static let maximumPerDomain = 180
    private static let maximum = 3000

    private var domains: [String: [Cookie]]
    private var count: Int

    init(_ cookies: [Cookie]) {
        domains = Dictionary(grouping: cookies, by: \.domain)
        count = cookies.count
    }

    var isEmpty: Bool { count == 0 }
    var all: [Cookie] { domains.values.flatMap(\.self) }

    subscript(domain: String) -> [Cookie] { domains[domain] ?? [] }

    /// Adds a cookie, replacing the one with its name, domain and path.
    mutating func put(_ cookie: Cookie, _ now: Date) {
        var cookie = cookie
        var others = self[cookie.domain]
        count -= others.count
        let same = others.firstIndex { other in
            other.name.equalsBytes(cookie.name) && other.path.equalsBytes(cookie.path)
                && other.isHostOnly == cookie.isHostOnly
        }
        if let same { cookie.created = others.remove(at: same).created }
        if !cookie.isOver(now) { others.append(cookie) }
        if others.count > Self.maximumPerDomain { others.removeAll { $0.isOver(now) } }
        if others.count > Self.maximumPerDomain,
            let oldest = others.indices.min(by: { others[$0].goesBefore(others[$1]) })
        {
            others.remove(at: oldest)
        }
        count += others.count
        domains[cookie.domain] = others.isEmpty ? nil : others
        guard count > Self.maximum else { return }
        // A tenth is evicted at once, so that this does not run for each further cookie.
        self = Shelves(
            Array(all.filter { !$0.isOver(now) }.sorted { $1.lastUse < $0.lastUse }.prefix(Self.maximum * 9 / 10)))
    }

    /// The matching cookies of a domain, marked as used.
    mutating func use(_ domain: String, _ now: Date, where fits: (Cookie) -> Bool) -> [Cookie] {
        guard let cookies = domains[domain] else { return [] }
        return cookies.indices.filter { fits(cookies[$0]) }.map { index in
            domains[domain]?[index].lastUse = now
            return cookies[index]
        }
    }

    mutating func remove(where isUnwanted: (Cookie) -> Bool) { self = Shelves(all.filter { !isUnwanted($0) }) }
}

extension Cookie {
    fileprivate func isOver(_ now: Date) -> Bool { expires.map { $0 <= now } ?? false }

    /// Whether it is evicted before another one of its domain: first those without `Secure`, then the least recently
    /// used.
    fileprivate func goesBefore(_ other: Cookie) -> Bool {
        isSecure == other.isSecure ? lastUse < other.lastUse : !isSecure
    }
}
