// The header sections of forwarded messages: hop-by-hop fields are removed (RFC 9110, section 7.6.1), and client fields
// are accepted from trusted proxies only.

import SkeinCore
import SkeinHTTP
import SkeinWire

/// Translates header sections between a client and a back end.
struct ForwardedFields: Sendable {
    /// The name of this process in `Via`.
    static let pseudonym = "skein-" + String(UInt32.random(in: 0 ... .max), radix: 36)

    private let host: UpstreamConfiguration.HostRule
    private let allowsUnderscores: Bool
    private let requestRules: HeaderRules
    private let responseRules: HeaderRules
    private let namesClient: Bool
    private let identity: IdentityFields?
    private let forwardsCredentials: Bool

    /// The fields of a forward proxy, which does not disclose its clients.
    init() {
        self.init(UpstreamConfiguration(), namesClient: false)
    }

    init(_ configuration: UpstreamConfiguration, namesClient: Bool = true) {
        self.namesClient = namesClient
        identity = configuration.identity
        forwardsCredentials = configuration.forwardsCredentials
        host = configuration.host
        allowsUnderscores = configuration.allowsUnderscores
        requestRules = configuration.requestHeaders
        responseRules = configuration.responseHeaders
    }

    // MARK: Requests

    /// The fields for the back end.
    /// - Parameter upgrade: the protocol that the connection is to be upgraded to; nil for none.
    /// - Throws: ``ServerError`` 508 for a request that has passed through this process before.
    func request(_ request: ServerRequest, upgrade: String? = nil) throws(ServerError) -> Headers {
        let headers = request.headers
        if headers.contains("Via"), headers.values("Via").contains(where: Self.namesUs) {
            throw ServerError(508, "request loop: the back end forwards to this server")
        }
        let listed = Self.listed(headers)
        let isTrusted = !namesClient || request.isFromTrustedProxy
        let allowsUnderscores = self.allowsUnderscores
        var sent = headers.passing(reserving: 256) { name, known in
            if !known.isDisjoint(with: Self.ofRequestHop) { return false }
            if known.isEmpty {
                if !allowsUnderscores, name.contains(UInt8(ascii: "_")) { return false }
                if Self.isOfHop(name) || !isTrusted && Self.isOfClient(name) { return false }
                // CGI programs would take it for their own proxy setting.
                if Bytes.equal(name, 0, name.count, lowercase: "proxy") { return false }
            }
            return listed.isEmpty || !listed.contains { Self.isEqual(name, $0) }
        }
        switch host {
        case .kept: if let host = request.targetAuthority ?? headers["Host"] { sent.add("Host", host) }
        case .replaced: break
        case .fixed(let name): sent.add("Host", name)
        }
        // TE has to be generated again by a proxy (RFC 9110, section 10.1.4).
        if headers.known.contains(.te), headers.listContains("TE", token: "trailers") { sent.add("TE", "trailers") }
        if request.method == .options, let rest = headers["Max-Forwards"].flatMap({ UInt32($0) }), rest > 0 {
            sent["Max-Forwards"] = "\(rest - 1)"
        }
        if namesClient { addClient(request, isTrusted: isTrusted, to: &sent) }
        sent.add("Via", "\(request.version.major).\(request.version.minor) \(Self.pseudonym)")
        if let upgrade {
            sent.add("Connection", "Upgrade")
            sent.add("Upgrade", upgrade)
        }
        identity?.apply(request.identity, to: &sent)
        if !forwardsCredentials {
            sent.remove("Authorization")
            if let field = request[APIKeyAuthentication.Field.self] { sent.remove(field) }
        }
        requestRules.apply(to: &sent)
        return sent
    }

    /// Adds the fields about the client.
    private func addClient(_ request: ServerRequest, isTrusted: Bool, to sent: inout Headers) {
        let address = request.scope.peer.host
        let scheme = request.isSecure ? "https" : "http"
        let host = request.targetAuthority ?? request.headers["Host"]
        switch request.forwarding {
        case .xForwarded:
            let before = isTrusted ? sent.values("X-Forwarded-For") : []
            if let address {
                if !before.isEmpty { sent.remove("X-Forwarded-For") }
                sent.add("X-Forwarded-For", (before + [address]).joined(separator: ", "))
            }
            if !isTrusted || !sent.contains("X-Forwarded-Proto") { sent["X-Forwarded-Proto"] = scheme }
            if let host, !isTrusted || !sent.contains("X-Forwarded-Host") { sent["X-Forwarded-Host"] = host }
        case .forwarded:
            let node = address.map { $0.containsBytes(":") ? "\"[\($0)]\"" : $0 } ?? "unknown"
            let said = host.map { ";host=\"\($0)\"" } ?? ""
            sent.add("Forwarded", "for=\(node)\(said);proto=\(scheme)")
        }
    }

    private static func namesUs(_ via: String) -> Bool {
        via.splitBytes(separator: ",").contains { hop in
            hop.splitBytes(separator: " ").dropFirst().first.map { $0.equalsBytes(pseudonym) } ?? false
        }
    }

    // MARK: Responses

    /// The fields for the client.
    func response(_ headers: Headers) -> Headers {
        let listed = Self.listed(headers)
        var sent = headers.passing(reserving: 64) { name, known in
            if !known.isDisjoint(with: Self.ofResponseHop) { return false }
            if known.isEmpty, Self.isOfHop(name) { return false }
            return listed.isEmpty || !listed.contains { Self.isEqual(name, $0) }
        }
        responseRules.apply(to: &sent)
        return sent
    }

    /// The fields of a trailer section that are forwarded: none for routing or authentication (RFC 9110, section
    /// 6.5.1).
    static func trailers(_ trailers: Headers?, ofRequest: Bool) -> Headers? {
        trailers?.passing(reserving: 0) { name, known in
            guard known.isDisjoint(with: ofRequestHop) else { return false }
            if known.isEmpty, isOfHop(name) || isOfClient(name) { return false }
            if ofRequest, name.contains(UInt8(ascii: "_")) { return false }
            return !["authorization", "cookie", "set-cookie", "proxy", "via"].contains { isEqual(name, $0) }
        }
    }

    // MARK: Names

    private static let ofResponseHop: KnownFields = [
        .connection, .keepAlive, .proxyConnection, .transferEncoding, .contentLength, .upgrade,
    ]
    private static let ofRequestHop: KnownFields = ofResponseHop.union([.te, .expect, .host])

    private static func isOfHop(_ name: UnsafeRawBufferPointer) -> Bool {
        switch name.count {
        case 14: Bytes.equal(name, 0, 14, lowercase: "http2-settings")
        case 18: Bytes.equal(name, 0, 18, lowercase: "proxy-authenticate")
        case 19: Bytes.equal(name, 0, 19, lowercase: "proxy-authorization")
        case 25: Bytes.equal(name, 0, 25, lowercase: "proxy-authentication-info")
        default: false
        }
    }

    /// Whether a field is a forwarding field of proxies.
    private static func isOfClient(_ name: UnsafeRawBufferPointer) -> Bool {
        guard name.count > 8 else { return false }
        if name.count == 9 {
            return Bytes.equal(name, 0, 9, lowercase: "forwarded") || Bytes.equal(name, 0, 9, lowercase: "x-real-ip")
        }
        return name.count > 12 && Bytes.equal(name, 0, 12, lowercase: "x-forwarded-")
    }

    /// The fields listed in Connection, in lower case.
    private static func listed(_ headers: Headers) -> [String] {
        guard headers.known.contains(.connection) else { return [] }
        if let value = headers.bytes("connection")?.readableBytesView, value.count <= 10,
            headers.values("Connection").count == 1,
            Self.common.contains(where: { $0.elementsEqual(value.lazy.map(Bytes.lowercased)) })
        {
            return []
        }
        return headers.values("Connection").flatMap { $0.splitBytes(separator: ",") }
            .map { $0.trimmingBlanks().lowercased() }
            .filter { !["", "close", "keep-alive", "upgrade", "te"].contains($0) }
    }

    /// The most frequent values of Connection.
    private static let common = ["keep-alive", "close", "upgrade"].map { Array($0.utf8) }

    private static func isEqual(_ name: UnsafeRawBufferPointer, _ lowercase: String) -> Bool {
        name.count == lowercase.utf8.count && zip(name, lowercase.utf8).allSatisfy { Bytes.lowercased($0) == $1 }
    }
}
