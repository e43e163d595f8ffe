// A mail server, given by a URL.

import SkeinCore
import SkeinTransport

/// A server that relays mail, or a folder.
///
/// `smtp://host`, `smtp://user:password@host:587`, `smtps://host` (TLS from the first byte), `lmtp://host:24`, `smtp+unix:///path`,
/// `lmtp+unix:///path`, `file:///folder`. Behind a `?`: `tls=none|opportunistic|required`, `verify=none|full`, `ca=FILE`,
/// `auth=PLAIN|LOGIN|CRAM-MD5|SCRAM-SHA-256|XOAUTH2` (with XOAUTH2 the password is the token), `name=HELLO`, `chunking=no`.
///
/// With credentials, TLS is required and the server's certificate is verified, unless the server is on this machine;
/// without credentials, TLS is used if the server offers it, and its certificate is not verified, as is common between
/// mail servers.
public struct MailRelay: Sendable, Hashable, CustomStringConvertible {
    enum Target: Sendable, Hashable {
        case server(Endpoint, isLMTP: Bool)
        /// Each message is written to a file, for tests.
        case folder(String)

        var isLocal: Bool {
            switch self {
            case .server(.host(let host, _), _):
                host.equalsBytes("localhost") || IPAddress.bytes(host).map(IPAddress.isLoopback) == true
            case .server(.unix, _), .folder: true
            }
        }
    }

    let target: Target
    let usesTLSAtOnce: Bool
    let tls: SMTPClientMachine.TLSUse
    let tlsConfiguration: ClientTLSConfiguration
    let credentials: MailCredentials?
    let mechanism: SMTPMechanism?
    /// The name in EHLO; nil for the host name.
    let name: String?
    let usesChunking: Bool
    /// Whether it was found in the DNS of a recipient's domain, and not configured.
    var isFoundInDNS = false
    /// The address without the password.
    public let description: String

    /// Parses a URL.
    /// - Throws: code 701 with the error in it.
    public init(_ url: String) throws(SkeinError) {
        func fail(_ message: String) -> SkeinError {
            SkeinError(.exception, because: "\(Self.shown(url).debugDescription) is not a mail server URL: \(message)")
        }
        guard let colon = url.rangeOfBytes("://") else {
            throw fail("smtp://host, smtps://host, lmtp://host or file:///folder is expected")
        }
        let scheme = url[..<colon.lowerBound].asciiLowercased
        let parts = url[colon.upperBound...].splitBytes(separator: "?", maxSplits: 1, omittingEmptySubsequences: false)
        let options = parts.count == 2 ? Percent.decodeForm(parts[1]) : []
        let place = parts[0]
        let at = place.lastByte("@")
        let (user, secret) =
            try at.map { (at) throws(SkeinError) in try Self.credentials(place[..<at], fail) } ?? (nil, nil)
        let isUnix = scheme.hasByteSuffix("+unix")
        let isLMTP = scheme.hasBytePrefix("lmtp")
        usesTLSAtOnce = scheme.equalsBytes("smtps")
        let server = at.map { place.text(after: $0) } ?? place
        switch scheme {
        case "file":
            guard server.hasBytePrefix("/") else { throw fail("the folder must begin with /: file:///folder") }
            target = .folder(Percent.decode(server) ?? String(server))
        case "smtp+unix", "lmtp+unix":
            guard server.hasBytePrefix("/") else { throw fail("the path must begin with /: \(scheme):///path") }
            target = .server(.unix(path: Percent.decode(server) ?? String(server)), isLMTP: isLMTP)
        case "smtp", "smtps", "lmtp":
            let standard = usesTLSAtOnce ? 465 : isLMTP ? 24 : user == nil ? 25 : 587
            let (host, port) = try Self.host(server.prefix(before: "/"), standard, fail)
            target = .server(.host(host, port: port), isLMTP: isLMTP)
        default:
            throw fail("the scheme \(scheme) is not supported; use smtp, smtps, lmtp, smtp+unix, lmtp+unix or file")
        }
        let isLocal = target.isLocal
        var tls: SMTPClientMachine.TLSUse = user != nil && !isLocal ? .required : .opportunistic
        var verifies: Bool?
        var (roots, mechanism, name, usesChunking) = (
            ClientTLSConfiguration.Roots.system, SMTPMechanism?.none, String?.none, true
        )
        for (key, value) in options {
            switch (key, value) {
            case ("tls", "none"): tls = .asItIs
            case ("tls", "opportunistic"): tls = .opportunistic
            case ("tls", "required"): tls = .required
            case ("verify", "none"): verifies = false
            case ("verify", "full"): verifies = true
            case ("ca", _): roots = .file(value)
            case ("auth", _):
                mechanism = SMTPMechanism(rawValue: value.asciiUppercased)
                if mechanism == nil { throw fail("the value of auth is unknown") }
            case ("name", _):
                guard MailAddress("a@\(value)").problem == nil else { throw fail("name=\(value) is not a host name") }
                name = value
            case ("chunking", "no"): usesChunking = false
            default: throw fail("the option \(key) or its value is unknown")
            }
        }
        // A setting that requires verification also requires TLS.
        if verifies == true || verifies == nil && roots != .system, tls == .opportunistic { tls = .required }
        self.tls = isUnix || usesTLSAtOnce ? .asItIs : tls
        let checks = verifies ?? (!isLocal && (usesTLSAtOnce || user != nil) || tls == .required)
        tlsConfiguration = ClientTLSConfiguration(verify: checks ? .full : .none, roots: roots)
        (self.mechanism, self.name, self.usesChunking) = (mechanism, name, usesChunking)
        switch (user, secret) {
        case (let user?, let secret?):
            credentials =
                mechanism == .xoauth2 ? .token(user: user, token: secret) : .password(user: user, password: secret)
        case (nil, nil): credentials = nil
        default: throw fail("a user needs a password: user:password@host")
        }
        description = Self.shown(url)
    }

    /// The server for a domain, found in the DNS: TLS may be required, but its certificate is not verified.
    init(exchange host: String, port: Int, requiresTLS: Bool, roots: ClientTLSConfiguration.Roots) {
        target = .server(.host(host, port: port), isLMTP: false)
        usesTLSAtOnce = false
        tls = requiresTLS ? .required : .opportunistic
        tlsConfiguration = ClientTLSConfiguration(
            verify: requiresTLS ? .full : .none, roots: requiresTLS ? roots : .system)
        (credentials, mechanism, name, usesChunking) = (nil, nil, nil, true)
        description = "\(host):\(port)"
        isFoundInDNS = true
    }

    /// Whether the server is on this machine.
    var isLocal: Bool { target.isLocal }

    private static func credentials(
        _ text: Substring, _ fail: (String) -> SkeinError
    ) throws(SkeinError) -> (String?, String?) {
        let parts = text.splitBytes(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
        let decoded = parts.compactMap { Percent.decode($0) }
        guard decoded.count == parts.count, !decoded[0].isEmpty else {
            throw fail("the user or the password is malformed")
        }
        return (decoded[0], decoded.count == 2 ? decoded[1] : nil)
    }

    private static func host(
        _ text: Substring, _ standard: Int, _ fail: (String) -> SkeinError
    ) throws(SkeinError) -> (String, Int) {
        var host = text
        var port = standard
        if let colon = text.lastByte(":"), text.lastByte("]").map({ $0 < colon }) ?? true {
            guard let number = Int(text.text(after: colon)), (1...65535).contains(number) else {
                throw fail("the port must be from 1 to 65535")
            }
            (host, port) = (text[..<colon], number)
        }
        if host.hasBytePrefix("["), host.hasByteSuffix("]") { host = host.droppingBytes(first: 1, last: 1) }
        guard !host.isEmpty, IPAddress.bytes(String(host)) != nil || DNSName(String(host)) != nil else {
            throw fail("\(host.debugDescription) is not a host")
        }
        return (String(host), port)
    }

    /// The URL without the password, for logs.
    private static func shown(_ url: String) -> String {
        // The last @ separates the credentials: a password may contain any character. Options may be secrets, too.
        guard let scheme = url.rangeOfBytes("://"), let at = url.lastByte("@"), scheme.upperBound <= at else {
            return String(url.prefix(before: "?"))
        }
        let user = url[scheme.upperBound..<at].prefix(before: ":", "?")
        return "\(url[..<scheme.upperBound])\(user)\(url[at...].prefix(before: "?"))"
    }
}
