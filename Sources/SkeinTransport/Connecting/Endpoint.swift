// The endpoint of a connection.

import SkeinCore

/// The address of a peer, before it is resolved.
public enum Endpoint: Hashable, Sendable, CustomStringConvertible {
    /// A TCP port of a host: a name, an IPv4 or an IPv6 address.
    case host(String, port: Int)
    /// A unix socket.
    case unix(path: String)

    /// The host's name or address; empty for a unix socket.
    package var host: String { if case .host(let host, _) = self { host } else { "" } }

    /// Compares bytes: paths that differ in bytes are different sockets.
    public static func == (left: Endpoint, right: Endpoint) -> Bool {
        switch (left, right) {
        case (.host(let left, let leftPort), .host(let right, let rightPort)):
            leftPort == rightPort && ByteKey(left) == ByteKey(right)
        case (.unix(let left), .unix(let right)): ByteKey(left) == ByteKey(right)
        default: false
        }
    }

    /// Hashes the bytes.
    public func hash(into hasher: inout Hasher) {
        switch self {
        case .host(let host, let port):
            hasher.combine(ByteKey(host))
            hasher.combine(port)
        case .unix(let path): hasher.combine(ByteKey(path))
        }
    }

    /// The form used in messages: `host:port`, `[::1]:80`, `unix:/run/app.sock`.
    public var description: String {
        switch self {
        case .host(let host, let port): host.containsBytes(":") ? "[\(host)]:\(port)" : "\(host):\(port)"
        case .unix(let path): "unix:\(path)"
        }
    }
}
