// Where a database is and how it is talked to: what a connection string says.

import NIOCore
import SkeinCore
import SkeinTransport

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// Settings of a PostgreSQL client. Most come from a connection string; the others have safe defaults.
public struct PostgresConfiguration: Hashable, Sendable {
    /// Whether connections are encrypted (`sslmode`).
    public enum TLSMode: String, Sendable {
        /// They are not.
        case disable
        /// They are when the server can; whoever stands between can prevent it.
        case prefer
        /// They are, whoever the server may be.
        case require
        /// They are, and the server proves who it is.
        case verifyFull = "verify-full"
    }

    /// Which of several hosts is wanted (`target_session_attrs`).
    public enum Target: String, Sendable {
        /// The first that answers.
        case any
        /// One that can be written to by default.
        case readWrite = "read-write"
        /// One that cannot.
        case readOnly = "read-only"
        /// One that is no standby.
        case primary
        /// One that is.
        case standby
        /// A standby if there is one, else any.
        case preferStandby = "prefer-standby"
    }

    /// Whether the proof of the password is bound to the TLS connection (`channel_binding`).
    public enum ChannelBinding: String, Sendable {
        /// Never.
        case disable
        /// When the server offers it.
        case prefer
        /// Always; a server that does not offer it is refused.
        case require
    }

    /// Where the server may be, in the order in which it is tried. Default: port 5432 of the local host.
    public var hosts: [Endpoint] = [.host("localhost", port: 5432)]
    /// Who asks. Default: `PGUSER`, else the name of the process's user.
    public var user: String
    /// Default: `PGPASSWORD`, else none.
    public var password: String?
    /// Default: the user's name.
    public var database: String
    /// Default: prefer, as everywhere; say `verify-full` where the network is not trusted.
    public var tls = TLSMode.prefer
    /// Whose certificates are trusted, and what is shown.
    public var tlsConfiguration = ClientTLSConfiguration()
    /// Which of several hosts is wanted. Default: any.
    public var target = Target.any
    /// Default: when the server offers it.
    public var channelBinding = ChannelBinding.prefer
    /// What the server's lists show. Default: `skein`.
    public var applicationName = "skein"
    /// Further settings of sessions, such as `search_path` or `statement_timeout`.
    public var settings: [String: String] = [:]
    /// Connections, and how long they are kept.
    public var pool = PoolLimits()
    /// For a statement, from the moment it gets its place to the last row. Default: 30 s.
    public var timeout: Duration = .seconds(30)
    /// Statements that a connection keeps prepared; the least used one makes room. Default: 256.
    public var statementCache = 256
    /// Whether statements are prepared once on each connection (`prepared_statements` of a connection string). Default: yes; behind a
    /// pooler that gives each transaction another session of the server, as PgBouncer does in transaction mode, each is prepared for
    /// each execution, as soon as that is noticed.
    public var preparesStatements = true
    /// Bytes of a message from the server at most, which is the size of a row. Default: 64 MiB.
    public var maximumMessageSize = 64 << 20
    /// Bytes of the rows of an answer at most; larger ones are read by `stream`. Default: 256 MiB.
    public var maximumAnswerSize = 256 << 20

    /// The defaults, for a user and a database.
    public init(user: String? = nil, password: String? = nil, database: String? = nil) {
        let environment = ProcessInfo.processInfo.environment
        let user = user ?? environment["PGUSER"] ?? environment["USER"] ?? "postgres"
        self.user = user
        self.password = password ?? environment["PGPASSWORD"]
        self.database = database ?? user
    }

    /// Whether no server is anywhere but on this machine.
    var isLocal: Bool { hosts.allSatisfy(\.isLocal) }

    /// What is named in messages; without the password.
    var description: String { "postgres://\(user)@\(hosts.map(\.description).joined(separator: ","))/\(database)" }
}
