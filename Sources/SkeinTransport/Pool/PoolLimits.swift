// The limits of a connection pool of a back end.

/// Limits of the connections to one database, each with a safe default.
public struct PoolLimits: Hashable, Sendable {
    /// The maximum number of connections, over all loops of the session; each loop has at least one. Default: 10.
    public var maximum = 10
    /// The minimum number of connections that stay open when idle, on each loop. Default: 0.
    public var minimum = 0
    /// The time after which an idle connection is closed. Default: 60 s.
    public var idleTimeout: Duration = .seconds(60)
    /// How long all connections may be silent with calls in flight before another one is opened, below the maximum.
    /// Default: 5 ms.
    public var growAfter: Duration = .milliseconds(5)
    /// The interval for checks of idle connections. Default: 20 s.
    public var checkInterval: Duration = .seconds(20)
    /// The longest wait for an exclusive connection. Default: 10 s.
    public var leaseTimeout: Duration = .seconds(10)
    /// The limit of the queue for exclusive connections, on each loop; further requests fail at once. Default: 10 000.
    public var maximumWaiting = 10_000
    /// The timeout for establishing a connection, with all handshakes. Default: 10 s.
    public var connectTimeout: Duration = .seconds(10)

    /// The defaults.
    public init() {}
}
