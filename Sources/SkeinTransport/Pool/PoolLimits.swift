// What a pool of connections to a back end may hold.

/// Limits of the connections to one database or store, each with a safe default.
public struct PoolLimits: Hashable, Sendable {
    /// Connections at most, over all loops of the session; each loop has at least one. Default: 10.
    public var maximum = 10
    /// Connections that are kept however long nothing is asked, on each loop. Default: 0.
    public var minimum = 0
    /// How long an unused connection is kept. Default: 60 s.
    public var idleTimeout: Duration = .seconds(60)
    /// How long all connections may be silent with calls under way before another is made, if there may be one. Default: 5 ms.
    public var growAfter: Duration = .milliseconds(5)
    /// How often an unused connection is asked whether it is there. Default: 20 s.
    public var checkInterval: Duration = .seconds(20)
    /// How long one that wants a connection to itself waits for it. Default: 10 s.
    public var leaseTimeout: Duration = .seconds(10)
    /// Those that may wait for a connection of their own, on each loop; more fail at once. Default: 10 000.
    public var maximumWaiting = 10_000
    /// For a connection to be made, with all its handshakes. Default: 10 s.
    public var connectTimeout: Duration = .seconds(10)

    /// The defaults.
    public init() {}
}
