// Connection settings of a Redis client, from a URL.

import SkeinCore
import SkeinTransport

/// Settings of a Redis client. Most come from a URL; the others have safe defaults.
public struct RedisConfiguration: Hashable, Sendable {
    /// The way to the server.
    public enum Topology: Hashable, Sendable {
        /// A named server.
        case single
        /// The master of a name, found by sentinels.
        case sentinel(master: String)
        /// A cluster, whose servers hold parts of the keys.
        case cluster
    }

    /// The server; with sentinels and clusters, the first hosts to contact.
    public var hosts: [Endpoint] = [.host("localhost", port: 6379)]
    /// The way to the server. Default: a named server.
    public var topology = Topology.single
    /// The user of the access control list. Default: the server's default user.
    public var user: String?
    /// The password. Default: none.
    public var password: String?
    /// The number of the database; a cluster has only 0. Default: 0.
    public var database = 0
    /// TLS, for `rediss://`. Default: none.
    public var tls: ClientTLSConfiguration?
    /// The client name in the server's client list. Default: `skein`.
    public var clientName = "skein"
    /// Whether RESP3 is used if the server supports it. Default: true.
    public var speaksRESP3 = true
    /// The limits and timeouts of connections.
    public var pool = PoolLimits()
    /// The timeout of a command, from the moment it gets a slot to its response. Default: 10 s; blocking commands have
    /// their own.
    public var timeout: Duration = .seconds(10)
    /// Responses cached on each loop until the server invalidates their key. Default: none.
    public var cachedAnswers = 0
    /// The maximum number of cluster redirections of a command. Default: 5.
    public var maximumRedirections = 5

    /// The defaults.
    public init() {}

    /// Parses a URL: `redis://user:password@host:6379/0`, `rediss://…`, `redis+unix:///run/redis.sock?db=1`,
    /// `redis+sentinel://host1:26379,host2/0?master=mymaster`, `redis+cluster://host1,host2`, or `host/0`.
    /// - Throws: code 701 with the error in it.
    public init(_ text: String) throws(SkeinError) {
        self.init()
        let url = text.containsBytes("://") ? text : "redis://\(text)"
        guard let separator = url.rangeOfBytes("://") else { throw Self.problem("it has no scheme") }
        var rest = url[separator.upperBound...]
        var query: [String: String] = [:]
        if let mark = rest.firstByte("?") {
            for pair in rest[rest.index(after: mark)...].splitBytes(separator: "&") {
                let parts = pair.splitBytes(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
                guard parts.count == 2 else { throw Self.problem("\(pair) has no value") }
                query[String(parts[0])] = try Self.decoded(parts[1])
            }
            rest = rest[..<mark]
        }
        switch url[..<separator.lowerBound].lowercased() {
        case "redis": break
        case "rediss": tls = ClientTLSConfiguration()
        case "redis+unix", "unix":
            try setUser(&rest)
            hosts = [.unix(path: try Self.decoded(rest))]
            rest = ""
        case "redis+sentinel", "rediss+sentinel":
            topology = .sentinel(master: query.removeValue(forKey: "master") ?? "mymaster")
            if url.hasBytePrefix("rediss") { tls = ClientTLSConfiguration() }
        case "redis+cluster", "rediss+cluster":
            topology = .cluster
            if url.hasBytePrefix("rediss") { tls = ClientTLSConfiguration() }
        case let scheme: throw Self.problem("its scheme is \(scheme) and not redis")
        }
        if !rest.isEmpty { try setHosts(&rest) }
        try apply(query)
    }

    private static func problem(_ message: String) -> SkeinError {
        SkeinError(.exception, because: "the address of the store cannot be used: \(message)")
    }

    private static func decoded(_ text: Substring) throws(SkeinError) -> String {
        guard let value = text.withoutPercents else { throw problem("\(text) is badly percent-encoded") }
        return value
    }

    private mutating func setUser(_ rest: inout Substring) throws(SkeinError) {
        guard let at = rest.lastByte("@") else { return }
        let parts = rest[..<at].splitBytes(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
        if !parts[0].isEmpty { user = try Self.decoded(parts[0]) }
        if parts.count == 2 { password = try Self.decoded(parts[1]) }
        rest = rest[rest.index(after: at)...]
    }

    private mutating func setHosts(_ rest: inout Substring) throws(SkeinError) {
        try setUser(&rest)
        if let slash = rest.firstByte("/") {
            let name = rest[rest.index(after: slash)...]
            guard name.isEmpty || Int(name) != nil else { throw Self.problem("\(name) is not a database number") }
            database = Int(name) ?? 0
            rest = rest[..<slash]
        }
        let standard = if case .sentinel = topology { 26379 } else { 6379 }
        var list: [Endpoint] = []
        for member in rest.splitBytes(separator: ",", omittingEmptySubsequences: false) {
            guard let endpoint = Endpoint(hostAndPort: member, port: standard) else {
                throw Self.problem("\(member) is not a host with a port")
            }
            list.append(endpoint)
        }
        hosts = list
    }

    private mutating func apply(_ query: [String: String]) throws(SkeinError) {
        for (name, value) in query {
            switch name {
            case "db":
                guard let number = Int(value) else { throw Self.problem("db is not a number") }
                database = number
            case "protocol":
                guard value == "2" || value == "3" else { throw Self.problem("protocol must be 2 or 3") }
                speaksRESP3 = value == "3"
            case "timeout":
                guard let seconds = Double(value), seconds > 0 else {
                    throw Self.problem("timeout is not a number of seconds")
                }
                timeout = .seconds(seconds)
            case "pool_size":
                guard let count = Int(value), count > 0 else {
                    throw Self.problem("pool_size is not a positive number")
                }
                pool.maximum = count
            case "client_name": clientName = value
            case "cached":
                guard let count = Int(value), count >= 0 else { throw Self.problem("cached is not a number") }
                cachedAnswers = count
            case "ca": tls?.roots = .file(value)
            case "cert": tls?.certificateFile = value
            case "key": tls?.keyFile = value
            default: throw Self.problem("\(name.debugDescription) is not known")
            }
        }
    }

    /// The name in messages, without the password.
    var description: String {
        "\(tls == nil ? "redis" : "rediss")://\(hosts.map(\.description).joined(separator: ","))/\(database)"
    }
}
