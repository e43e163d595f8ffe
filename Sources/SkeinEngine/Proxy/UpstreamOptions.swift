// What can be set for requests that are passed on to a back end.

import SkeinCore
import SkeinHTTP
import SkeinWire

/// Settings of an ``UpstreamApp``, each with a safe default.
public struct UpstreamOptions: Sendable {
    /// What the back end gets for the path. Default: the mount's path is replaced by that of the back end's URL.
    public var path = PathRule.replaced
    /// What the back end gets as `Host`. Default: what the client has asked for.
    public var host = HostRule.kept
    /// Changes of the fields that go to the back end, made last.
    public var requestHeaders = HeaderRules()
    /// Changes of the fields that go to the client, made last.
    public var responseHeaders = HeaderRules()
    /// From the start of a request, connecting included, to the head of the response; then the client gets 504. Default: 60 s.
    public var responseTimeout: Duration = .seconds(60)
    /// From the start of a request to the end of the response; then the client gets 504, or a response without an end.
    /// Default: no limit.
    public var timeout: Duration?
    /// How long a WebSocket, or whatever else a connection was upgraded to, may be silent. Default: 10 minutes.
    public var tunnelTimeout: Duration = .seconds(600)
    /// Bytes of a request's content that are kept until the response begins, so that another member of an alias can be asked.
    /// Default: 64 KiB.
    public var replayedContent = 64 << 10
    /// The protocols to which a connection may be upgraded, in small letters. Default: `websocket`.
    public var upgrades: Set<String> = ["websocket"]
    /// Whether fields with an underscore in their name are passed on. Programs behind CGI and WSGI cannot tell them from those with a
    /// hyphen, which are checked. Default: false, they are left out.
    public var allowsUnderscores = false
    /// Whether several slashes in a row become one. Default: false, since they may mean something to the back end.
    public var mergesSlashes = false
    /// Whether `Location` and `Content-Location` of the back end's own URLs are translated to what clients ask for. Default: true.
    public var rewritesLocations = true
    /// Keeps responses and answers from them, as far as the back end allows that; one cache may serve many upstreams. Local clients
    /// may ask by `PURGE` to forget a path, all that begin with one (`PURGE /news/*`), or what has a tag (`Cache-Tag: news`).
    /// Default: none; `HTTPCache.memory(isShared: true)` makes one.
    public var cache: HTTPCache?
    /// When HTTP/2 is spoken to the back end. Default: as the server's client does, where it is negotiated over TLS; back ends that
    /// speak it in clear text, as those of gRPC do, need `.priorKnowledge`.
    public var http2: HTTP2Use?

    /// The defaults.
    public init() {}

    /// What becomes of a request's path.
    public enum PathRule: Sendable {
        /// The path below the mount stands behind that of the back end's URL: mounted at `/api`, `http://app:9000/v1` gets `/v1/users`
        /// for `/api/users`.
        case replaced
        /// The whole path stands behind that of the back end's URL.
        case kept
        /// The first pattern that matches the path below the mount, and what takes its place:
        /// `.patterns([("/users/<id>", "/people/<id>")])`. A path that none matches is replaced.
        case patterns([(pattern: String, path: String)])
    }

    /// What becomes of a request's `Host` field.
    public enum HostRule: Sendable, Hashable {
        /// The one that the client has asked for, so that links and cookies of the back end are right.
        case kept
        /// That of the back end's URL; of an alias, that of the member.
        case replaced
        /// A name, with a port if it needs one.
        case fixed(String)
    }
}

/// Changes of a header section: fields are removed, then set, then added.
public struct HeaderRules: Sendable {
    /// Fields that are left out.
    public var remove: [String]
    /// Fields whose values are replaced.
    public var set: Headers
    /// Fields that are added to those of the same names.
    public var add: Headers

    /// Changes. Default: none.
    public init(remove: [String] = [], set: Headers = Headers(), add: Headers = Headers()) {
        self.remove = remove
        self.set = set
        self.add = add
    }

    /// Makes the changes.
    func apply(to headers: inout Headers) {
        for name in remove { headers.remove(name) }
        if !set.isEmpty { headers.merge(set) }
        for field in add { headers.add(field.name, field.value) }
    }

    /// Why the changes cannot be made; nil when they can.
    var problem: HeaderProblem? { self.set.problem ?? add.problem }
}
