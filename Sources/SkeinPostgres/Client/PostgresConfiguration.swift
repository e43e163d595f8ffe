// Connection settings of a PostgreSQL client, from a connection string.

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
        /// They are not encrypted.
        case disable
        /// They are encrypted if the server supports it; an attacker in the network can prevent it.
        case prefer
        /// They are encrypted, without verification of the server.
        case require
        /// They are encrypted, and the server's certificate is verified.
        case verifyFull = "verify-full"
    }

    /// The required properties of the host, if there are several (`target_session_attrs`).
    public enum Target: String, Sendable {
        /// Any host.
        case any
        /// A host with read-write transactions by default.
        case readWrite = "read-write"
        /// A host with read-only transactions by default.
        case readOnly = "read-only"
        /// A host that is not a standby.
        case primary
        /// A standby.
        case standby
        /// A standby if there is one, else any host.
        case preferStandby = "prefer-standby"
    }

    /// Whether SCRAM is bound to the TLS connection (`channel_binding`).
    public enum ChannelBinding: String, Sendable {
        /// Never.
        case disable
        /// If the server supports it.
        case prefer
        /// Always; a server without support is refused.
        case require
    }

    /// The hosts, in the order in which they are tried. Default: port 5432 of the local host.
    public var hosts: [Endpoint] = [.host("localhost", port: 5432)]
    /// The user. Default: `PGUSER`, else the name of the process's user.
    public var user: String
    /// The password. Default: `PGPASSWORD`, else none.
    public var password: String?
    /// The database. Default: the user's name.
    public var database: String
    /// The TLS mode. Default: prefer, as in libpq; use `verify-full` in untrusted networks.
    public var tls = TLSMode.prefer
    /// The trust roots and the client certificate.
    public var tlsConfiguration = ClientTLSConfiguration()
    /// The required properties of the host. Default: any.
    public var target = Target.any
    /// The channel binding of SCRAM. Default: if the server supports it.
    public var channelBinding = ChannelBinding.prefer
    /// The application name on the server. Default: `skein`.
    public var applicationName = "skein"
    /// Further session parameters, such as `search_path` or `statement_timeout`.
    public var settings: [String: String] = [:]
    /// The limits and timeouts of connections.
    public var pool = PoolLimits()
    /// The timeout of a statement, from the moment it gets a slot to the last row. Default: 30 s.
    public var timeout: Duration = .seconds(30)
    /// Prepared statements cached by each connection; the least recently used one is evicted. Default: 256.
    public var statementCache = 256
    /// Whether statements are prepared once on each connection (`prepared_statements` of a connection string). Default:
    /// yes; behind a pooler that assigns sessions by transaction, as PgBouncer in transaction mode, they are prepared
    /// for each execution once this is detected.
    public var preparesStatements = true
    /// The size limit of a server message, which also limits a row. Default: 64 MiB.
    public var maximumMessageSize = 64 << 20
    /// The size limit of a response's rows; use `stream` for larger results. Default: 256 MiB.
    public var maximumAnswerSize = 256 << 20

    /// The defaults, for a user and a database.
    public init(user: String? = nil, password: String? = nil, database: String? = nil) {
        let environment = ProcessInfo.processInfo.environment
        let user = user ?? environment["PGUSER"] ?? environment["USER"] ?? "postgres"
        self.user = user
        self.password = password ?? environment["PGPASSWORD"]
        self.database = database ?? user
    }

    /// Whether all hosts are on this machine.
    var isLocal: Bool { hosts.allSatisfy(\.isLocal) }

    /// The name in messages, without the password.
    var description: String { "postgres://\(user)@\(hosts.map(\.description).joined(separator: ","))/\(database)" }
}
