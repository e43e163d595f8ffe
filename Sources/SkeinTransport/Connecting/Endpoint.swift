// Where a connection leads to.

/// The address of a peer, before it is resolved.
public enum Endpoint: Hashable, Sendable, CustomStringConvertible {
    /// A TCP port of a host: a name, an IPv4 or an IPv6 address.
    case host(String, port: Int)
    /// A unix socket.
    case unix(path: String)

    /// The host's name or address; empty for a unix socket.
    package var host: String { if case .host(let host, _) = self { host } else { "" } }

    /// The form used in messages: `host:port`, `[::1]:80`, `unix:/run/app.sock`.
    public var description: String {
        switch self {
        case .host(let host, let port): host.containsBytes(":") ? "[\(host)]:\(port)" : "\(host):\(port)"
        case .unix(let path): "unix:\(path)"
        }
    }
}
