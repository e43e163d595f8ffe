// A name for back ends of one protocol: its registration, and the state of its members.

import SkeinCore
import SkeinTransport

/// The back ends behind a name such as `@members`: one protocol, several members, and the load balancing between them.
///
///     try client.alias("@members", .http("10.0.0.1:5001 20", "10.0.0.2:5001 10"))
///     let response = await client.get("@members/users/7").dispatch()
///
/// A member is `user:password@host:port/path weight`, or a URL and a weight; user and password are percent-encoded (`%40` for `@`). The
/// weight defaults to 1.
public struct Alias: Sendable {
    /// The protocol of the members.
    public struct Scheme: Hashable, Sendable, CustomStringConvertible {
        /// The scheme of a member's URL.
        public let description: String
        /// HTTP, WebSocket, XML-RPC, JSON-RPC and gRPC without TLS.
        public static let http = Scheme(description: "http")
        /// The same over TLS.
        public static let https = Scheme(description: "https")
        /// PostgreSQL.
        public static let postgres = Scheme(description: "postgres")
        /// SQLite; members are files.
        public static let sqlite = Scheme(description: "sqlite")
        /// Redis.
        public static let redis = Scheme(description: "redis")
        /// MongoDB.
        public static let mongo = Scheme(description: "mongodb")

        var isHTTP: Bool { self == .http || self == .https }

        /// The protocol of a member's URL; HTTP for a URL without a scheme.
        package static func of(member: String) -> Scheme {
            let member = Member.withoutDiscovery(member)
            guard let end = member.rangeOfBytes("://") else { return member.hasBytePrefix("sqlite:") ? .sqlite : .http }
            return switch member[..<end.lowerBound].lowercased() {
            case "https", "wss": .https
            case "postgres", "postgresql": .postgres
            case "redis", "rediss", "redis+unix", "redis+cluster", "redis+sentinel": .redis
            case "mongodb", "mongodb+srv": .mongo
            default: .http
            }
        }
    }

    /// One back end.
    public struct Member: Hashable, Sendable, CustomStringConvertible {
        /// Its URL, credentials included.
        public var url: String
        /// Its share of the requests, relative to the other members. Default: 1.
        public var weight: Double
        /// Where it is, for ``BalancingConfiguration/zone``. Default: nil, in every zone.
        public var zone: String?

        /// A back end by its URL.
        /// - Parameters:
        ///   - url: its URL, with `dns+` or `srv+` in front for a name that stands for several.
        ///   - weight: its share of the requests, relative to the other members.
        ///   - zone: where it is; requests stay in their zone while half of its members are available.
        public init(url: String, weight: Double = 1, zone: String? = nil) {
            self.url = url
            self.weight = weight
            self.zone = zone
        }

        /// Reads `user:password@host:port/path weight`, or a URL and a weight.
        /// - Throws: code 701 when the weight is not a positive number, or the address is missing.
        init(_ text: String, scheme: Scheme) throws(SkeinError) {
            let words = text.splitBytes(separator: " ")
            guard let address = words.first, words.count < 3 else {
                throw SkeinError(
                    .exception,
                    because: "\(Self.redacted(text).debugDescription) is not a member; write HOST:PORT WEIGHT")
            }
            weight = 1
            if words.count == 2 {
                guard let number = Double(words[1]), number > 0, number.isFinite else {
                    throw SkeinError(
                        .exception, because: "the weight \(words[1].debugDescription) is not a positive number")
                }
                weight = number
            }
            let plain = Self.withoutDiscovery(address)
            let prefix = address.prefix(upTo: plain.startIndex)
            url =
                plain.rangeOfBytes("://") != nil || scheme == .sqlite
                ? String(address) : "\(prefix)\(scheme)://\(plain)"
        }

        /// How a name of DNS becomes members.
        enum Discovery: Sendable { case addresses, services }

        /// Whether its host is a name that stands for several back ends.
        var discovery: Discovery? {
            url.hasBytePrefix("dns+") ? .addresses : url.hasBytePrefix("srv+") ? .services : nil
        }

        static func withoutDiscovery(_ url: some StringProtocol) -> Substring {
            let text = Substring(url)
            return text.hasBytePrefix("dns+") || text.hasBytePrefix("srv+") ? text.dropFirst(4) : text
        }

        /// The URL without the password, and the weight.
        public var description: String {
            weight == 1 ? Self.redacted(url) : "\(Self.redacted(url)) \(weight)"
        }

        /// A URL without its password, also when the URL is malformed.
        static func redacted(_ url: String) -> String {
            var text = url
            let start = text.rangeOfBytes("://")?.upperBound ?? text.startIndex
            if let at = text.lastByte("@"), at > start, let colon = text[start..<at].firstByte(":") {
                text.replaceSubrange(colon..<at, with: ":…")
            }
            if let query = text.rangeOfBytes("password=")?.upperBound {
                text.replaceSubrange(query..<text[query...].prefix(before: "&").endIndex, with: "…")
            }
            return text
        }
    }

    /// The protocol.
    public let scheme: Scheme
    /// The back ends.
    public var members: [Member]
    /// The load balancing between them.
    public var balancing = BalancingConfiguration()
    /// Active health checks. Default: none.
    public var healthCheck: HealthCheck?
    /// The seed of the balancer's random choices, for simulations. Default: random.
    package var seed: UInt64?

    /// An alias of a protocol.
    /// - Throws: code 701 for a member that cannot be read.
    public init(_ scheme: Scheme, _ members: [String]) throws(SkeinError) {
        self.scheme = scheme
        var list: [Member] = []
        for text in members { list.append(try Member(text, scheme: scheme)) }
        self.members = list
    }

    /// Members that speak HTTP without TLS; a member with a URL of `https` is asked over TLS.
    public static func http(_ members: String...) throws(SkeinError) -> Alias { try Alias(.http, members) }
    /// Members that speak HTTP over TLS.
    public static func https(_ members: String...) throws(SkeinError) -> Alias { try Alias(.https, members) }
    /// Databases of PostgreSQL with the same content.
    public static func postgres(_ members: String...) throws(SkeinError) -> Alias { try Alias(.postgres, members) }
    /// Files of SQLite with the same content.
    public static func sqlite(_ members: String...) throws(SkeinError) -> Alias { try Alias(.sqlite, members) }
    /// Stores of Redis.
    public static func redis(_ members: String...) throws(SkeinError) -> Alias { try Alias(.redis, members) }
    /// Databases of MongoDB.
    public static func mongo(_ members: String...) throws(SkeinError) -> Alias { try Alias(.mongo, members) }
}

/// The state of an alias' member at one moment.
public struct AliasMemberStatus: Sendable, Encodable {
    /// The member's URL, without its password.
    public let url: String
    /// Its weight.
    public let weight: Double
    /// Whether it gets requests.
    public let isAvailable: Bool
    /// Requests in flight.
    public let inFlight: Int
    /// The limit of requests in flight; nil for no limit.
    public let limit: Int?
    /// The moving average of its latency, in milliseconds.
    public let latency: Double
    /// Requests that ended.
    public let requests: Int
    /// Requests that failed.
    public let failures: Int
}
