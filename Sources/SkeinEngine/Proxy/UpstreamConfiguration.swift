// Settings of a reverse proxy.

import SkeinCore
import SkeinHTTP
import SkeinWire

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// Settings of an ``UpstreamApp``, each with a safe default.
public struct UpstreamConfiguration: Sendable {
    /// How request paths are mapped. Default: the mount's path is replaced by the path of the back end's URL.
    public var path = PathRule.replaced
    /// The `Host` field sent to the back end. Default: the client's.
    public var host = HostRule.kept
    /// Changes to the request fields, applied last.
    public var requestHeaders = HeaderRules()
    /// Changes to the response fields, applied last.
    public var responseHeaders = HeaderRules()
    /// Time limit to connect to the back end, with name resolution and TLS handshake. Default: as configured for the server's client, 10 s.
    public var connectTimeout: Duration?
    /// The longest time between two reads while a response, or the rest of one, is due; exceeded, the client gets 504, or an abnormal close
    /// after the head was sent. Default: as configured for the server's client, 60 s.
    public var readTimeout: Duration?
    /// Time limit from the start of a request, including the connect, to the head of the response; exceeded, the client gets 504.
    /// Default: 60 s.
    public var responseTimeout: Duration = .seconds(60)
    /// Time limit from the start of a request to the end of the response; exceeded, the client gets 504, or an abnormal close after the
    /// head was sent. Default: no limit.
    public var timeout: Duration?
    /// Idle timeout of WebSockets and other upgraded connections. Default: 10 minutes.
    public var tunnelTimeout: Duration = .seconds(600)
    /// Fields that state the client's identity: `IdentityFields()`. Default: none.
    public var identity: IdentityFields?
    /// Whether the client's `Authorization` field, and the field of an API key that a gateway has accepted, are forwarded. Default: true.
    public var forwardsCredentials = true
    /// Bytes of request content that are buffered until the response begins, so that the request can be retried on another member of an
    /// alias; requests with more content are not retried. Default: 64 KiB.
    public var replayedContent = 64 << 10
    /// Reads responses as fast as the back end sends them, so that a slow client does not occupy it: `ResponseBuffering()`. Default: none;
    /// the back end is read as fast as the client reads.
    public var responseBuffering: ResponseBuffering?
    /// Protocols that a connection may be upgraded to, in lower case. Default: `websocket`.
    public var upgrades: Set<String> = ["websocket"]
    /// Whether fields with an underscore in the name are forwarded. CGI and WSGI map `X_Real_IP` and `X-Real-IP` to the same variable, so a
    /// client could forge the latter. Default: false.
    public var allowsUnderscores = false
    /// Whether repeated slashes in the path are collapsed. Default: false.
    public var mergesSlashes = false
    /// Whether `Location` and `Content-Location` fields with the back end's own URLs are translated to the client's view. Default: true.
    public var rewritesLocations = true
    /// The shared cache (RFC 9111); several upstreams may use one. Clients on the same machine may purge a path (`PURGE /news`), a prefix
    /// (`PURGE /news/*`) or a tag (`Cache-Tag: news`). Default: none; `HTTPCache.memory(isShared: true)` makes one.
    public var cache: HTTPCache?
    /// When HTTP/2 is used towards the back end. Default: as configured for the server's client, which negotiates it over TLS. gRPC back
    /// ends without TLS need `.priorKnowledge`.
    public var http2: HTTP2Use?

    /// The defaults.
    public init() {}

    /// How request paths are mapped.
    public enum PathRule: Sendable {
        /// The mount's path is replaced by that of the back end's URL: with `http://app:9000/v1` mounted at `/api`, `/api/users` becomes
        /// `/v1/users`.
        case replaced
        /// The whole path is appended to that of the back end's URL.
        case kept
        /// The first pattern that matches the path below the mount is rewritten: `.patterns([("/users/<id>", "/people/<id>")])`. A path
        /// that no pattern matches is treated as with ``replaced``.
        case patterns([(pattern: String, path: String)])
    }

    /// The `Host` field sent to the back end.
    public enum HostRule: Sendable, Hashable {
        /// The client's, so that links and cookies made by the back end are correct.
        case kept
        /// That of the back end's URL; of an alias, that of the member.
        case replaced
        /// A fixed host name, with a port if needed.
        case fixed(String)
    }
}

/// Fields that state the client's identity. A client's own fields of these names are removed.
public struct IdentityFields: Sendable, Hashable {
    /// The field of the user; percent-encoded where it is not visible ASCII. Default: `X-Forwarded-User`.
    public var user: String
    /// The field of the roles, separated by commas. Default: `X-Forwarded-Roles`.
    public var roles: String

    /// Names of fields.
    public init(user: String = "X-Forwarded-User", roles: String = "X-Forwarded-Roles") {
        self.user = user
        self.roles = roles
    }

    /// Sets the fields from the identity, and removes those of the client.
    func apply(_ identity: Identity?, to headers: inout Headers) {
        // Back ends with CGI or WSGI do not distinguish underscores from hyphens.
        func plain(_ name: String) -> String { name.lowercased().replacingBytes("_", with: "-") }
        let own = [plain(user), plain(roles)]
        for name in headers.map(\.name) where own.contains(where: { $0.equalsBytes(plain(name)) }) {
            headers.remove(name)
        }
        guard let identity else { return }
        func encoded(_ text: String) -> String {
            Percent.encode(text) { $0 > 0x20 && $0 < 0x7F && $0 != UInt8(ascii: ",") && $0 != UInt8(ascii: "%") }
        }
        headers.add(user, encoded(identity.user))
        if !identity.roles.isEmpty { headers.add(roles, identity.roles.sorted().map(encoded).joined(separator: ",")) }
    }
}

/// The buffering of a response for a client that reads more slowly than the back end sends.
public struct ResponseBuffering: Sendable, Hashable {
    /// Bytes of one response in memory. Default: 256 KiB.
    public var memory: Int
    /// Bytes of one response in a temporary file, after those in memory; 0 for none. When both are full, the back end
    /// is read as fast as the client reads. Default: 1 GiB.
    public var disk: Int
    /// The folder for temporary files, which are unnamed and deleted with their response. Default: `TMPDIR`, or `/tmp`.
    public var folder: String

    /// Limits for each response.
    public init(memory: Int = 256 << 10, disk: Int = 1 << 30, folder: String? = nil) {
        self.memory = memory
        self.disk = disk
        self.folder = folder ?? ProcessInfo.processInfo.environment["TMPDIR"] ?? "/tmp"
    }
}

/// Changes to a header section, applied in the order remove, set, add.
public struct HeaderRules: Sendable {
    /// Fields to remove.
    public var remove: [String]
    /// Fields that replace all fields of the same names.
    public var set: Headers
    /// Fields that are added.
    public var add: Headers

    /// Changes. Default: none.
    public init(remove: [String] = [], set: Headers = Headers(), add: Headers = Headers()) {
        self.remove = remove
        self.set = set
        self.add = add
    }

    /// Applies the changes.
    func apply(to headers: inout Headers) {
        for name in remove { headers.remove(name) }
        if !set.isEmpty { headers.merge(set) }
        for field in add { headers.add(field.name, field.value) }
    }

    /// The error in the changes; nil when they are valid.
    var problem: HeaderProblem? { self.set.problem ?? add.problem }
}
