// Where a database is and how it is talked to.

import SkeinCore
import SkeinTransport

/// Settings of a MongoDB client. Most come from a URI; the others have safe defaults.
public struct MongoConfiguration: Hashable, Sendable {
    /// The servers that are asked first; a replica set names the others.
    public var hosts: [Endpoint] = [.host("localhost", port: 27017)]
    /// Whether only the one named server is used, whatever set it belongs to. Default: false.
    public var isDirect = false
    /// The name that the replica set has to have. Default: any.
    public var replicaSet: String?
    /// The database that is used when none is named. Default: `test`.
    public var database = "test"
    /// Who we are. Default: nobody.
    public var credentials: MongoCredentials?
    /// TLS, for `tls=true`. Default: none.
    public var tls: ClientTLSConfiguration?
    /// Compressors, the best first; the first that the server knows is used. Default: none.
    public var compressors: [MongoCompressor] = []
    /// Whether a CRC-32C follows each message in clear text. Default: false; those that the server sends are always checked.
    public var sendsChecksums = false
    /// What the server's log shows. Default: `skein`.
    public var applicationName = "skein"
    /// Which members of a replica set are read from. Default: the primary.
    public var readPreference = MongoReadPreference.primary
    /// How certain what is read has to be. Default: the server's choice.
    public var readConcern: MongoReadConcern?
    /// How widely a write has to be known before it is answered. Default: the server's choice.
    public var writeConcern: MongoWriteConcern?
    /// Whether a read is tried once more, on another server if need be, when its connection is lost. Default: true.
    public var retriesReads = true
    /// Whether a write of single documents is tried once more, which servers with sessions carry out only once. Default: true.
    public var retriesWrites = true
    /// Connections to each server, and how long they are kept.
    public var pool = PoolLimits()
    /// For a command, from the moment it gets its place to its answer. Default: 30 s.
    public var timeout: Duration = .seconds(30)
    /// How long a command waits for a server that can take it. Default: 10 s.
    public var serverSelectionTimeout: Duration = .seconds(10)
    /// How often each server is asked what it is. Default: 10 s, at least 500 ms.
    public var heartbeatInterval: Duration = .seconds(10)
    /// How much farther than the nearest a server may be to be chosen. Default: 15 ms.
    public var localThreshold: Duration = .milliseconds(15)
    /// For what a `find` brings in one answer, in bytes; more fails with code 719. Default: 256 MiB.
    public var maximumAnswerSize = 256 << 20

    /// The defaults.
    public init() {}

    /// What is named in messages; without the password.
    var description: String { "mongodb://\(hosts.map(\.description).joined(separator: ","))" }
}

/// Who a client is.
public struct MongoCredentials: Hashable, Sendable {
    /// How it is proved.
    public enum Mechanism: String, Hashable, Sendable {
        /// By a password that is not sent (RFC 5802), as servers before 4.0 knew it.
        case scramSHA1 = "SCRAM-SHA-1"
        /// By a password that is not sent (RFC 7677).
        case scramSHA256 = "SCRAM-SHA-256"
        /// By the certificate that was shown in TLS.
        case x509 = "MONGODB-X509"
        /// By a password that is sent (RFC 4616), over TLS only.
        case plain = "PLAIN"
    }

    /// The name; for X.509, the certificate's is taken.
    public var user: String?
    /// Its password.
    public var password: String?
    /// The database that knows the user. Default: `admin`.
    public var source = "admin"
    /// How it is proved. Default: by what the server knows of the user, SCRAM-SHA-256 if it can.
    public var mechanism: Mechanism?

    /// A user with a password.
    public init(user: String?, password: String?, source: String = "admin", mechanism: Mechanism? = nil) {
        self.user = user
        self.password = password
        self.source = source
        self.mechanism = mechanism
    }
}

/// How certain what is read has to be (https://www.mongodb.com/docs/manual/reference/read-concern/).
public enum MongoReadConcern: String, Hashable, Sendable {
    case local, available, majority, linearizable, snapshot
}

/// How widely a write has to be known before it is answered (https://www.mongodb.com/docs/manual/reference/write-concern/).
public struct MongoWriteConcern: Hashable, Sendable {
    /// By whom.
    public enum Acknowledgement: Hashable, Sendable {
        /// By so many members; with 0, no answer is waited for.
        case members(Int)
        /// By most of them.
        case majority
        /// By those that a tag set of the replica set's configuration names.
        case tagged(String)
    }

    /// By whom. Default: the server's choice.
    public var acknowledgement: Acknowledgement?
    /// Whether it has to be in the journal on disk. Default: the server's choice.
    public var journal: Bool?
    /// How long it may take to be known so widely. Default: without limit.
    public var timeout: Duration?

    /// Settings, each with its default.
    public init(_ acknowledgement: Acknowledgement? = nil, journal: Bool? = nil, timeout: Duration? = nil) {
        self.acknowledgement = acknowledgement
        self.journal = journal
        self.timeout = timeout
    }

    /// By most members.
    public static let majority = MongoWriteConcern(.majority)
    /// By nobody: the answer is not waited for, and what goes wrong is not heard of.
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

/// Which members of a replica set are read from
/// (https://github.com/mongodb/specifications/blob/master/source/server-selection/server-selection.md).
public struct MongoReadPreference: Hashable, Sendable {
    /// The kind of members.
    public enum Mode: String, Hashable, Sendable {
        case primary, primaryPreferred, secondary, secondaryPreferred, nearest
    }

    /// The kind of members.
    public var mode: Mode
    /// Tags that a member has to have; of several sets, the first that one has. Default: any.
    public var tagSets: [[String: String]]
    /// How far a secondary may be behind, at least 90 s. Default: however far.
    public var maximumStaleness: Duration?

    /// A kind of members, and which of them.
    public init(_ mode: Mode, tagSets: [[String: String]] = [], maximumStaleness: Duration? = nil) {
        self.mode = mode
        self.tagSets = tagSets
        self.maximumStaleness = maximumStaleness
    }

    /// The one that is written to.
    public static let primary = MongoReadPreference(.primary)
    /// The primary, or a secondary while there is none.
    public static let primaryPreferred = MongoReadPreference(.primaryPreferred)
    /// One that follows.
    public static let secondary = MongoReadPreference(.secondary)
    /// One that follows, or the primary when there is none.
    public static let secondaryPreferred = MongoReadPreference(.secondaryPreferred)
    /// Whichever is near.
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
