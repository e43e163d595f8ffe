// Connection settings of a MongoDB client.

import SkeinCore
import SkeinTransport

/// Settings of a MongoDB client. Most come from a URI; the others have safe defaults.
public struct MongoConfiguration: Hashable, Sendable {
    /// The seed servers; a replica set names the others.
    public var hosts: [Endpoint] = [.host("localhost", port: 27017)]
    /// Whether only the given server is used, whatever its replica set. Default: false.
    public var isDirect = false
    /// The required name of the replica set. Default: any.
    public var replicaSet: String?
    /// The default database. Default: `test`.
    public var database = "test"
    /// The credentials. Default: none.
    public var credentials: MongoCredentials?
    /// TLS, for `tls=true`. Default: none.
    public var tls: ClientTLSConfiguration?
    /// Compressors in order of preference; the first that the server supports is used. Default: none.
    public var compressors: [MongoCompressor] = []
    /// Whether messages in clear text carry a CRC-32C. Default: false; checksums from the server are always verified.
    public var sendsChecksums = false
    /// The application name in the server's log. Default: `skein`.
    public var applicationName = "skein"
    /// The members of a replica set that reads are sent to. Default: the primary.
    public var readPreference = MongoReadPreference.primary
    /// The read concern. Default: the server's choice.
    public var readConcern: MongoReadConcern?
    /// The write concern. Default: the server's choice.
    public var writeConcern: MongoWriteConcern?
    /// Whether a read is retried once, on another server if needed, when its connection is lost. Default: true.
    public var retriesReads = true
    /// Whether a write of single documents is retried once; servers with sessions execute it only once. Default: true.
    public var retriesWrites = true
    /// The limits and timeouts of connections to each server.
    public var pool = PoolLimits()
    /// The timeout of a command, from the moment it gets a slot to its response. Default: 30 s.
    public var timeout: Duration = .seconds(30)
    /// How long a command waits for a suitable server. Default: 10 s.
    public var serverSelectionTimeout: Duration = .seconds(10)
    /// The interval between two checks of a server. Default: 10 s, at least 500 ms.
    public var heartbeatInterval: Duration = .seconds(10)
    /// The latency window: how much slower than the nearest server a selected one may be. Default: 15 ms.
    public var localThreshold: Duration = .milliseconds(15)
    /// The size limit of the documents of a `find`; larger results fail with code 719. Default: 256 MiB.
    public var maximumAnswerSize = 256 << 20

    /// The defaults.
    public init() {}

    /// The name in messages, without the password.
    var description: String { "mongodb://\(hosts.map(\.description).joined(separator: ","))" }
}

/// The credentials of a client.
public struct MongoCredentials: Hashable, Sendable {
    /// The authentication mechanism.
    public enum Mechanism: String, Hashable, Sendable {
        /// A challenge-response scheme (RFC 5802), for servers before 4.0.
        case scramSHA1 = "SCRAM-SHA-1"
        /// A challenge-response scheme (RFC 7677).
        case scramSHA256 = "SCRAM-SHA-256"
        /// The client certificate of the TLS connection.
        case x509 = "MONGODB-X509"
        /// The password in clear text (RFC 4616), over TLS only.
        case plain = "PLAIN"
    }

    /// The user name; for X.509, that of the certificate is used.
    public var user: String?
    /// Its password.
    public var password: String?
    /// The authentication database. Default: `admin`.
    public var source = "admin"
    /// The mechanism. Default: negotiated with the server, SCRAM-SHA-256 if possible.
    public var mechanism: Mechanism?

    /// A user with a password.
    public init(user: String?, password: String?, source: String = "admin", mechanism: Mechanism? = nil) {
        self.user = user
        self.password = password
        self.source = source
        self.mechanism = mechanism
    }
}

/// The read concern (https://www.mongodb.com/docs/manual/reference/read-concern/).
public enum MongoReadConcern: String, Hashable, Sendable {
    case local, available, majority, linearizable, snapshot
}

/// The write concern (https://www.mongodb.com/docs/manual/reference/write-concern/).
public struct MongoWriteConcern: Hashable, Sendable {
    /// The members that must acknowledge a write.
    public enum Acknowledgement: Hashable, Sendable {
        /// A number of members; with 0, no response is awaited.
        case members(Int)
        /// The majority of members.
        case majority
        /// Members with a tag set of the replica set's configuration.
        case tagged(String)
    }

    /// The members that must acknowledge a write. Default: the server's choice.
    public var acknowledgement: Acknowledgement?
    /// Whether it must be in the on-disk journal. Default: the server's choice.
    public var journal: Bool?
    /// The time limit for the acknowledgement. Default: none.
    public var timeout: Duration?

    /// Settings, each with its default.
    public init(_ acknowledgement: Acknowledgement? = nil, journal: Bool? = nil, timeout: Duration? = nil) {
        self.acknowledgement = acknowledgement
        self.journal = journal
        self.timeout = timeout
    }

    /// The majority of members.
    public static let majority = MongoWriteConcern(.majority)
    /// No acknowledgement: there is no response, and errors are not reported.
    public static let unacknowledged = MongoWriteConcern(.members(0))

    var isUnacknowledged: Bool { acknowledgement == .members(0) && journal != true }

    var document: Document {
        var document = Document()
        switch acknowledgement {
        case .members(let count): document.append("w", BSON(count))
        case .majority: document.append("w", "majority")
        case .tagged(let name): document.append("w", .string(name))
        case nil: break
        }
        if let journal { document.append("j", .bool(journal)) }
        if let timeout { document.append("wtimeout", BSON(Int(timeout / .milliseconds(1)))) }
        return document
    }
}

/// The members of a replica set that reads are sent to
/// (https://github.com/mongodb/specifications/blob/master/source/server-selection/server-selection.md).
public struct MongoReadPreference: Hashable, Sendable {
    /// The kinds of members.
    public enum Mode: String, Hashable, Sendable {
        case primary, primaryPreferred, secondary, secondaryPreferred, nearest
    }

    /// The kinds of members.
    public var mode: Mode
    /// The required tags; of several sets, the first with a match applies. Default: none.
    public var tagSets: [[String: String]]
    /// The maximum replication lag of a secondary, at least 90 s. Default: no limit.
    public var maximumStaleness: Duration?

    /// The kinds of members, with conditions.
    public init(_ mode: Mode, tagSets: [[String: String]] = [], maximumStaleness: Duration? = nil) {
        self.mode = mode
        self.tagSets = tagSets
        self.maximumStaleness = maximumStaleness
    }

    /// The primary.
    public static let primary = MongoReadPreference(.primary)
    /// The primary, or a secondary if there is none.
    public static let primaryPreferred = MongoReadPreference(.primaryPreferred)
    /// A secondary.
    public static let secondary = MongoReadPreference(.secondary)
    /// A secondary, or the primary if there is none.
    public static let secondaryPreferred = MongoReadPreference(.secondaryPreferred)
    /// The nearest member.
    public static let nearest = MongoReadPreference(.nearest)

    var document: Document {
        var document: Document = ["mode": .string(mode.rawValue)]
        if !tagSets.isEmpty {
            document.append(
                "tags",
                .array(
                    tagSets.map { set in
                        .document(Document(pairs: set.sorted { $0.key < $1.key }.map { ($0.key, .string($0.value)) }))
                    }))
        }
        if let maximumStaleness { document.append("maxStalenessSeconds", BSON(Int(maximumStaleness / .seconds(1)))) }
        return document
    }
}
