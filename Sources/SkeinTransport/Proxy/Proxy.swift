// Proxies, and their selection.

import Foundation
import SkeinCore

/// A proxy that a client connects through.
public struct Proxy: Hashable, Sendable, CustomStringConvertible {
    /// The protocol.
    public enum Kind: String, Hashable, Sendable {
        /// Requests in absolute form, and tunnels by CONNECT (RFC 9110, section 9.3.6).
        case http
        /// SOCKS version 5 (RFC 1928); names are resolved by the proxy.
        case socks5
    }

    /// The protocol.
    public let kind: Kind
    /// Its host.
    public let host: String
    /// Its port.
    public let port: Int
    /// The user for authentication. Default: none.
    public var user: String?
    /// The user's password.
    public var password: String?
    /// Whether plain requests use a tunnel, too. Default: false; SOCKS always tunnels.
    public var tunnelsAll = false

    /// A proxy from its URL: `http://proxy:3128`, `http://user:password@proxy:3128`, `socks5://proxy:1080`; without a scheme,
    /// HTTP. Credentials are percent-encoded.
    /// - Throws: `SkeinError` with code 701 and a sentence that names the invalid part.
    public init(_ text: String) throws(SkeinError) {
        func malformed(_ why: String) -> SkeinError {
            // The password must not appear in messages.
            SkeinError(
                .exception,
                because: "the proxy's URL cannot be used: \(why); write http://host:port or socks5://host:port")
        }
        guard let components = URLComponents(string: text.containsBytes("://") ? text : "http://\(text)") else {
            throw malformed("it is not a URL")
        }
        switch components.scheme?.lowercased() {
        case "http": kind = .http
        case "socks5", "socks5h": kind = .socks5
        default: throw malformed("its scheme is neither http nor socks5")
        }
        guard let host = components.host, !host.isEmpty else { throw malformed("it has no host") }
        let bare = host.hasBytePrefix("[") ? String(host.dropFirst().dropLast()) : host
        self.host = bare
        port = components.port ?? (kind == .http ? 3128 : 1080)
        guard (1...65535).contains(port) else { throw malformed("its port is not a number from 1 to 65535") }
        user = components.user
        password = components.password
        if kind == .socks5, (user?.utf8.count ?? 0) > 255 || (password?.utf8.count ?? 0) > 255 {
            throw malformed("SOCKS limits the user and the password to 255 bytes each")
        }
    }

    var endpoint: Endpoint { .host(host, port: port) }

    /// The value of Proxy-Authorization (RFC 7617), if there is a user.
    package var authorization: String? {
        user.map { "Basic " + Data("\($0):\(password ?? "")".utf8).base64EncodedString() }
    }

    /// The URL without credentials.
    public var description: String { "\(kind.rawValue)://\(endpoint)" }
}

/// The selection of a proxy.
public enum ProxyUse: Hashable, Sendable {
    /// No proxy.
    case none
    /// One proxy for all requests.
    case always(Proxy)
    /// The proxies of the environment: `HTTP_PROXY` for http, `HTTPS_PROXY` for https, `ALL_PROXY` for both, in lower
    /// or upper case, except for the hosts in `NO_PROXY` (names with their subdomains, addresses, ranges such as
    /// `10.0.0.0/8`, `*`).
    case environment

    /// The route to an endpoint.
    /// - Throws: code 701 for a variable with an invalid URL.
    package func route(to endpoint: Endpoint, isSecure: Bool) throws(SkeinError) -> ProxyRoute {
        guard case .host(let host, let port) = endpoint else { return .direct }
        switch self {
        case .none: return .direct
        case .always(let proxy): return ProxyRoute(proxy, isSecure: isSecure)
        case .environment:
            let variables = ProcessInfo.processInfo.environment
            return ProxyRoute(
                try Self.proxy(in: variables, host: host, port: port, isSecure: isSecure), isSecure: isSecure)
        }
    }

    static func proxy(
        in variables: [String: String], host: String, port: Int, isSecure: Bool
    ) throws(SkeinError) -> Proxy? {
        func value(_ name: String) -> String? {
            // CGI programs get a client's "Proxy" field as HTTP_PROXY (CVE-2016-5385).
            let upper = name == "http_proxy" && variables["REQUEST_METHOD"] != nil ? nil : variables[name.uppercased()]
            return [variables[name], upper].compactMap { $0 }.first { !$0.isEmpty }
        }
        guard let text = value(isSecure ? "https_proxy" : "http_proxy") ?? value("all_proxy"),
            !isExempt(host, port, value("no_proxy") ?? "")
        else { return nil }
        return try Proxy(text)
    }

    private static func isExempt(_ host: String, _ port: Int, _ list: String) -> Bool {
        let host = IPAddress.withoutZone(host.hasByteSuffix(".") ? String(host.droppingBytes(last: 1)) : host)
        return list.splitBytes(separator: ",").flatMap { $0.splitAtBlanks() }.contains { entry in
            if entry == "*" { return true }
            var name = entry.lowercased()[...]
            if let colon = name.lastByte(":"), let number = Int(name[name.index(after: colon)...]),
                name.utf8.count(where: { $0 == UInt8(ascii: ":") }) == 1
            {
                guard number == port else { return false }
                name = name[..<colon]
            }
            if name.first == "[", name.last == "]" { name = name.dropFirst().dropLast() }
            if let range = AddressRange(String(name)) { return range.contains(host) }
            if name.hasBytePrefix("*.") { name = name.dropFirst() }
            if name.hasBytePrefix(".") { name = name.dropFirst() }
            if name.hasByteSuffix(".") { name = name.dropLast() }
            return !name.isEmpty && (host.equalsBytes(name) || host.hasByteSuffix(".\(name)"))
        }
    }
}
