// The URL of a request: origin and target.

import SkeinCore
import SkeinTransport
import SkeinWire

/// The origin of a request: scheme, host and port, or a unix socket (RFC 9110, section 4.3.1).
public struct HTTPOrigin: Hashable, Sendable, CustomStringConvertible {
    // One reference, which makes copies cheap.
    private final class Storage: Sendable {
        let endpoint: Endpoint
        let authority: String
        let isSecure: Bool
        let isAlias: Bool
        let serverName: String?

        init(endpoint: Endpoint, authority: String, isSecure: Bool, isAlias: Bool, serverName: String? = nil) {
            self.endpoint = endpoint
            self.authority = authority
            self.isSecure = isSecure
            self.isAlias = isAlias
            self.serverName = serverName
        }
    }

    private let storage: Storage

    init(endpoint: Endpoint, authority: String, isSecure: Bool = false) {
        storage = Storage(endpoint: endpoint, authority: authority, isSecure: isSecure, isAlias: false)
    }

    /// The same origin at one of its addresses: requests and certificates bear the name.
    func at(_ address: Endpoint) -> HTTPOrigin {
        HTTPOrigin(
            Storage(
                endpoint: address, authority: authority, isSecure: isSecure, isAlias: false,
                serverName: endpoint.host.isEmpty ? nil : endpoint.host))
    }

    private init(_ storage: Storage) { self.storage = storage }

    /// The members of an alias.
    init(alias: String) {
        storage = Storage(endpoint: .host(alias, port: 0), authority: alias, isSecure: false, isAlias: true)
    }

    /// The address or host to connect to.
    public var endpoint: Endpoint { storage.endpoint }
    /// The value of the Host field: the host, with the port unless it is the scheme's own.
    public var authority: String { storage.authority }

    /// Whether TLS is used.
    public var isSecure: Bool { storage.isSecure }
    /// Whether it is an alias, whose members get the requests.
    public var isAlias: Bool { storage.isAlias }
    /// The name in the server's certificate, when it is not the endpoint's.
    var serverName: String? { storage.serverName }

    static func isAliasByte(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "."), UInt8(ascii: "-"), UInt8(ascii: "_"):
            true
        default: false
        }
    }
    /// The scheme: `https` or `http`, also for unix sockets.
    public var scheme: String { isSecure ? "https" : "http" }

    /// The origin as a URL without a path.
    public var description: String {
        if isAlias { return authority }
        if case .unix(let path) = endpoint { return "http+unix://\(path)" }
        return "\(scheme)://\(authority)"
    }

    /// Equal when the endpoint is.
    public static func == (left: HTTPOrigin, right: HTTPOrigin) -> Bool {
        left.storage === right.storage
            || (left.endpoint == right.endpoint && left.isSecure == right.isSecure
                && left.serverName == right.serverName)
    }

    /// Hashes the endpoint and whether TLS is used.
    public func hash(into hasher: inout Hasher) {
        hasher.combine(endpoint)
        hasher.combine(isSecure)
    }
}

/// A parsed `http://`, `https://` or `http+unix://` URL (RFC 3986, RFC 9110 section 4.2).
///
/// Spaces and non-ASCII characters of path and query are percent-encoded, the fragment is dropped.
public struct HTTPURL: Hashable, Sendable, CustomStringConvertible {
    /// The origin.
    public let origin: HTTPOrigin
    /// Path and query as they are sent, starting with a slash.
    public let target: String

    /// The whole URL, without fragment.
    public var description: String { "\(origin)\(target)" }

    /// Parses a URL.
    /// - Parameters:
    ///   - text: the URL; `http+unix://%2Frun%2Fapp.sock/path` names a unix socket, its path percent-encoded.
    ///   - parameters: query parameters to append, in order, percent-encoded.
    /// - Throws: `SkeinError` with code 701 and a sentence that names the invalid part.
    public init(_ text: String, parameters: Parameters = [:]) throws(SkeinError) {
        if text.utf8.first == UInt8(ascii: "@") {
            let name = text.prefix(before: "/", "?", "#")
            guard name.utf8.count > 1, name.utf8.dropFirst().allSatisfy({ HTTPOrigin.isAliasByte($0) }) else {
                throw Self.malformed(text, "the alias has no name; write @name/path")
            }
            origin = HTTPOrigin(alias: String(name))
            target = try Self.target(text[name.endIndex...], parameters, in: text)
            return
        }
        guard let schemeEnd = text.utf8.firstIndex(of: UInt8(ascii: ":")), text[schemeEnd...].hasBytePrefix("://")
        else {
            throw Self.malformed(text, "it has no scheme; write http://host/path")
        }
        let scheme = text[..<schemeEnd].lowercased()
        guard scheme == "http" || scheme == "https" || scheme == "http+unix" else {
            throw Self.malformed(text, "the scheme \(scheme) is not supported; http, https and http+unix are")
        }
        let rest = text[text.utf8.index(schemeEnd, offsetBy: 3)...]
        let authorityEnd = rest.utf8.firstIndex {
            $0 == UInt8(ascii: "/") || $0 == UInt8(ascii: "?") || $0 == UInt8(ascii: "#")
        }
        let authority = rest[..<(authorityEnd ?? rest.endIndex)]
        origin =
            try scheme == "http+unix"
            ? Self.unix(authority, in: text) : Self.tcp(authority, isSecure: scheme == "https", in: text)
        target = try Self.target(authorityEnd.map { rest[$0...] } ?? "", parameters, in: text)
    }

    /// Parses a `ws://` or `wss://` URL (RFC 6455, section 3); the schemes `http` and `https` are accepted as well.
    public init(webSocket text: String) throws(SkeinError) {
        if text.utf8.first == UInt8(ascii: "@") {
            try self.init(text)
            return
        }
        let scheme = text.prefix(before: ":").lowercased()
        let plain = scheme == "ws" ? "http" : scheme == "wss" ? "https" : scheme
        try self.init(plain + text.dropFirst(scheme.count))
    }

    /// A URL of a known origin.
    package init(origin: HTTPOrigin, target: String) {
        self.origin = origin
        self.target = target
    }

    /// A placeholder for a malformed URL, in the response that reports it.
    package static func unusable(_ text: String) -> HTTPURL {
        HTTPURL(origin: HTTPOrigin(endpoint: .host("", port: 0), authority: ""), target: text)
    }

    private static func tcp(_ authority: Substring, isSecure: Bool, in text: String) throws(SkeinError) -> HTTPOrigin {
        guard !authority.utf8.contains(UInt8(ascii: "@")) else {
            throw malformed(text, "it holds credentials; send them in an Authorization header instead")
        }
        var host: Substring
        var portText: Substring?
        if authority.first == "[" {
            guard let end = authority.firstByte("]") else { throw malformed(text, "the IPv6 address has no ]") }
            host = authority[authority.index(after: authority.startIndex)..<end]
            let behind = authority[authority.index(after: end)...]
            guard behind.isEmpty || behind.first == ":" else { throw malformed(text, "only a port may follow the ]") }
            portText = behind.isEmpty ? nil : behind.dropFirst()
        } else if let colon = authority.utf8.firstIndex(of: Bytes.colon) {
            host = authority[..<colon]
            portText = authority[authority.utf8.index(after: colon)...]
        } else {
            host = authority
        }
        guard !host.isEmpty else { throw malformed(text, "it has no host") }
        let name = try authority.first == "[" ? version6(host, in: text) : hostName(host, in: text)
        let usualPort = isSecure ? 443 : 80
        var port = usualPort
        if let portText, !portText.isEmpty {
            guard portText.utf8.allSatisfy(Bytes.isDigit), let number = Int(portText), (1...65535).contains(number)
            else {
                throw malformed(text, "the port is not a number from 1 to 65535")
            }
            port = number
        }
        // A zone is local to this machine, and is not sent (RFC 6874, section 1).
        let shown = authority.first == "[" ? "[\(IPAddress.withoutZone(name))]" : name
        return HTTPOrigin(
            endpoint: .host(name, port: port), authority: port == usualPort ? shown : "\(shown):\(port)",
            isSecure: isSecure)
    }

    /// An IPv6 address, with the zone of a link-local one: `fe80::1%25eth0` (RFC 6874).
    private static func version6(_ host: Substring, in text: String) throws(SkeinError) -> String {
        guard let percent = host.firstByte("%") else {
            guard IPAddress.bytes(String(host))?.count == 16 else {
                throw malformed(text, "the IPv6 address is malformed")
            }
            return host.asciiLowercased
        }
        var zone = host.text(after: percent)
        if zone.hasBytePrefix("25") { zone = zone.dropFirst(2) }
        guard IPAddress.bytes(String(host[..<percent]))?.count == 16, let zone = Percent.decode(zone), !zone.isEmpty,
            zone.utf8.allSatisfy({ Bytes.isTarget($0) && !"[]/%".utf8.contains($0) })
        else {
            throw malformed(text, "the IPv6 address is malformed; write [fe80::1%25eth0] to name an interface")
        }
        return host[..<percent].asciiLowercased + "%" + zone
    }

    /// A host name or IPv4 address in the canonical form that DNS and certificates use.
    private static func hostName(_ text: Substring, in url: String) throws(SkeinError) -> String {
        guard let decoded = Percent.decode(text) else {
            throw malformed(url, "the host's percent-encoding is malformed")
        }
        var name = decoded
        if !name.utf8.allSatisfy({ $0 < 0x80 }) {
            guard let ascii = DNSName(name) else { throw malformed(url, "the host is not an internationalised name") }
            name = ascii.text + (name.hasByteSuffix(".") ? "." : "")
        }
        guard name.utf8.allSatisfy(isHostByte) else {
            throw malformed(url, "the host holds a character that is not allowed in host names")
        }
        if name.utf8.contains(where: { $0 &- 0x41 < 26 }) { name = name.asciiLowercased }
        // 127.1, 0x7f.0.0.1 and 2130706433 are addresses for every program that parses them as the C library does.
        guard let last = name.splitBytes(separator: ".").last,
            last.utf8.allSatisfy(Bytes.isDigit) || last.hasBytePrefix("0x")
        else { return name }
        guard let address = IPAddress.anyNotation(name) else {
            throw malformed(url, "the host ends in a number and is not an IPv4 address")
        }
        return address
    }

    private static func unix(_ authority: Substring, in text: String) throws(SkeinError) -> HTTPOrigin {
        guard let path = Percent.decode(authority), !path.isEmpty, !path.utf8.contains(0) else {
            throw malformed(text, "the socket's path is not percent-encoded; write http+unix://%2Frun%2Fapp.sock/")
        }
        guard path.utf8.count < 104 else { throw malformed(text, "the socket's path is longer than 103 bytes") }
        return HTTPOrigin(endpoint: .unix(path: path), authority: "localhost")
    }

    private static func target(
        _ rest: Substring, _ parameters: Parameters, in text: String
    ) throws(SkeinError) -> String {
        var target = String(rest.prefix(before: "#"))
        if target.utf8.contains(where: { !Bytes.isTarget($0) }) {
            guard !target.utf8.contains(where: { $0 < 0x20 || $0 == 0x7F }) else {
                throw malformed(text, "it holds a control character")
            }
            target = Percent.encodeUnsafe(target)
        }
        if target.utf8.first != UInt8(ascii: "/") { target = "/" + target }
        guard !parameters.isEmpty else { return target }
        return target + (target.utf8.contains(UInt8(ascii: "?")) ? "&" : "?") + parameters.encoded
    }

    private static func isHostByte(_ byte: UInt8) -> Bool {
        Bytes.isDigit(byte) || Bytes.lowercased(byte) &- 0x61 < 26 || byte == UInt8(ascii: "-")
            || byte == UInt8(ascii: ".") || byte == UInt8(ascii: "_")
    }

    private static func malformed(_ text: String, _ why: String) -> SkeinError {
        let shown = Alias.Member.redacted(text).prefix(200).debugDescription
        return SkeinError(.exception, because: "the URL \(shown) cannot be used: \(why)")
    }
}
