// One cookie, and its Set-Cookie syntax (RFC 6265bis, section 5.6).

import SkeinCore
import SkeinWire

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// A cookie with its attributes.
public struct Cookie: Sendable, Hashable, Codable {
    /// The SameSite attribute. A client makes no cross-site requests, so it only decides whether the cookie is
    /// accepted.
    public enum SameSite: String, Sendable, Codable {
        case strict
        case lax
        case none
    }

    /// Its name.
    public var name: String
    /// Its value, as received.
    public var value: String
    /// The host that set it, or the domain that it is for.
    public var domain: String
    /// Whether it is for that host alone, without subdomains.
    public var isHostOnly: Bool
    /// The path it is for, with all paths below.
    public var path: String
    /// Its expiry date; nil for the end of the session.
    public var expires: Date?
    /// Whether it is sent over TLS only.
    public var isSecure: Bool
    /// Whether it is hidden from scripts.
    public var isHTTPOnly: Bool
    /// The SameSite attribute.
    public var sameSite: SameSite?
    var created = Date.distantPast
    var lastUse = Date.distantPast

    /// A cookie for a host, or with `isHostOnly` false for a domain.
    public init(
        _ name: String, _ value: String, domain: String, isHostOnly: Bool = true, path: String = "/",
        expires: Date? = nil, isSecure: Bool = false, isHTTPOnly: Bool = false, sameSite: SameSite? = nil
    ) {
        self.name = name
        self.value = value
        self.domain = domain.lowercased()
        self.isHostOnly = isHostOnly
        self.path = path
        self.expires = expires
        self.isSecure = isSecure
        self.isHTTPOnly = isHTTPOnly
        self.sameSite = sameSite
    }
}

/// A parsed Set-Cookie field, not yet checked against its origin.
struct SetCookie {
    /// Bytes of name and value, and of an attribute (RFC 6265bis, sections 5.6 and 5.7).
    private static let maximumPair = 4096
    private static let maximumAttribute = 1024
    /// The maximum lifetime (RFC 6265bis, section 5.5).
    private static let maximumLifetime: TimeInterval = 400 * 86400

    let name: String
    let value: String
    private(set) var domain: String?
    private(set) var path: String?
    private(set) var expires: Date?
    private(set) var isSecure = false
    private(set) var isHTTPOnly = false
    private(set) var sameSite: Cookie.SameSite?
    /// Whether it has an expiry date; otherwise it ends with the session.
    private(set) var isPersistent = false

    init?(_ field: String, now: Date) {
        guard !field.utf8.contains(where: { $0 < 0x20 && $0 != Bytes.tab || $0 == 0x7F }) else { return nil }
        let parts = field.splitBytes(separator: ";", omittingEmptySubsequences: false)
        let pair = parts[0].splitBytes(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
        name = pair.count == 2 ? String(pair[0].trimmingBlanks()) : ""
        value = String((pair.last ?? "").trimmingBlanks())
        // A tab would end the field in a cookie file; curl refuses it, too.
        guard !name.utf8.contains(Bytes.tab), !value.utf8.contains(Bytes.tab) else { return nil }
        guard name.utf8.count + value.utf8.count <= Self.maximumPair, !name.isEmpty || !value.isEmpty else {
            return nil
        }
        var maximumAge: Date?
        var end: Date?
        for part in parts.dropFirst() {
            let attribute = part.splitBytes(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            let text = attribute.count == 2 ? String(attribute[1].trimmingBlanks()) : ""
            guard text.utf8.count <= Self.maximumAttribute else { continue }
            switch attribute[0].trimmingBlanks().lowercased() {
            case "expires": end = HTTPDate.parse(text) ?? end
            case "max-age": maximumAge = Self.age(text, now) ?? maximumAge
            case "domain": domain = Self.domain(text)
            case "path": path = text.hasBytePrefix("/") && !text.utf8.contains(Bytes.tab) ? text : nil
            case "secure": isSecure = true
            case "httponly": isHTTPOnly = true
            case "samesite": sameSite = Cookie.SameSite(rawValue: text.lowercased())
            default: continue
            }
        }
        expires = (maximumAge ?? end).map { min($0, now.addingTimeInterval(Self.maximumLifetime)) }
        if domain?.isEmpty == true { domain = nil }
        isPersistent = expires != nil
    }

    /// A domain in lower case, without the dots at its ends.
    static func domain(_ text: String) -> String {
        var domain = text.lowercased()[...]
        if domain.hasBytePrefix(".") { domain = domain.dropFirst() }
        if domain.hasByteSuffix(".") { domain = domain.dropLast() }
        return String(domain)
    }

    private static func age(_ text: String, _ now: Date) -> Date? {
        let digits = text.hasBytePrefix("-") ? text.dropFirst() : text[...]
        guard !digits.isEmpty, digits.utf8.allSatisfy(Bytes.isDigit) else { return nil }
        let seconds = text.hasBytePrefix("-") ? 0 : min(Double(digits) ?? 0, maximumLifetime)
        return seconds <= 0 ? .distantPast : now.addingTimeInterval(seconds)
    }
}
