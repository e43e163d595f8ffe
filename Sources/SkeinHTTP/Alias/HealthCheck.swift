// What an active health check asks a member.

/// An active health check: a member that fails it gets no requests until it passes.
public struct HealthCheck: Hashable, Sendable {
    /// What is asked.
    public enum Probe: Hashable, Sendable {
        /// `HEAD /`, to which any response passes; for databases and stores a statement that does nothing: `SELECT 1`, `PING`.
        case standard
        /// A GET of a path, whose status has to be below 400. HTTP only.
        case get(String)
        /// A connection, with its TLS handshake. HTTP only.
        case connect
        /// A call of `grpc.health.v1.Health/Check`, which has to answer SERVING
        /// (https://github.com/grpc/grpc/blob/master/doc/health-checking.md). The name of the service; empty for the server as a whole.
        case grpc(service: String = "")
    }

    /// What is asked. Default: ``Probe/standard``.
    public var probe: Probe
    /// How often. Default: 5 s.
    public var interval: Duration
    /// The time limit of a check. Default: 2 s.
    public var timeout: Duration

    /// A check.
    /// - Parameters:
    ///   - probe: what is asked.
    ///   - interval: how often. Default: 5 s.
    ///   - timeout: the time limit of a check. Default: 2 s.
    public init(
        _ probe: Probe = .standard, interval: Duration = .seconds(5), timeout: Duration = .seconds(2)
    ) {
        self.probe = probe
        self.interval = interval
        self.timeout = timeout
    }

    /// A check by a GET.
    /// - Parameters:
    ///   - path: the path, which begins with a slash.
    ///   - interval: how often. Default: 5 s.
    ///   - timeout: the time limit of a check. Default: 2 s.
    public init(path: String, interval: Duration = .seconds(5), timeout: Duration = .seconds(2)) {
        self.init(.get(path), interval: interval, timeout: timeout)
    }
}
