// The mount point of an app.

import SkeinHTTP

/// A mount point in an engine: a path, and optionally a host.
public struct MountPoint: Sendable {
    /// The path without a trailing slash; empty for the root.
    public let path: String
    /// The host name or pattern, such as `*.example.org`; nil for any host.
    public let host: String?
    /// The policies of the engine's aliases, for apps that are bootstrapped.
    var aliasPolicies: [(name: String, policy: AccessPolicy)] = []
    /// The shutdown work of the server, for apps that are bootstrapped.
    var shutdown: ShutdownWork?
    /// The client of the server, for apps that are bootstrapped; nil otherwise.
    public var client: SkeinClient? { shutdown?.client }

    static let root = MountPoint(normalised: "", host: nil)

    /// The root of an engine that is bootstrapped.
    static func root(_ shutdown: ShutdownWork?) -> MountPoint {
        var root = Self.root
        root.shutdown = shutdown
        return root
    }

    private init(normalised path: String, host: String?) {
        self.path = path
        self.host = host
    }

    /// A mount point.
    /// - Parameters:
    ///   - path: begins with a slash; a trailing slash is ignored.
    ///   - host: a host name, `*.` and a name for all its subdomains, or nil for any.
    /// - Throws: code 701 for an invalid path or host.
    public init(_ path: String, host: String? = nil) throws(SkeinError) {
        guard path.hasBytePrefix("/") else {
            throw SkeinError(
                .exception, because: "\(path.debugDescription) cannot be a mount path: it must begin with a slash")
        }
        let normalised = try RequestPath.normalise(path)
        var text = String(buffer: normalised)
        while text.hasByteSuffix("/") { text.removeLast() }
        if let host {
            let name = host.hasBytePrefix("*.") ? host.dropFirst(2) : host[...]
            guard !name.isEmpty, !name.containsBytes("*"), !name.containsBytes(":"), !name.containsBytes("/") else {
                throw SkeinError(
                    .exception,
                    because: "\(host.debugDescription) is not a host; write www.example.org or *.example.org")
            }
        }
        self.init(normalised: text, host: host?.lowercased())
    }

    /// A mount point below this one.
    func below(_ path: String) throws(SkeinError) -> MountPoint {
        var point = MountPoint(normalised: self.path + (try MountPoint(path)).path, host: host)
        point.aliasPolicies = aliasPolicies
        point.shutdown = shutdown
        return point
    }

    /// The full path of a resource of the app: `/hello` in an app at `/v1` is `/v1/hello`.
    /// - Parameter path: begins with a slash.
    public func url(_ path: String) -> String { self.path + path }
}

extension MountPoint: Hashable {
    /// Two mount points are equal when path and host are.
    public static func == (left: MountPoint, right: MountPoint) -> Bool {
        left.path == right.path && left.host == right.host
    }

    /// Hashes path and host.
    public func hash(into hasher: inout Hasher) {
        hasher.combine(path)
        hasher.combine(host)
    }
}

extension ServerRequest {
    /// The mount point of the current app.
    public var mount: MountPoint { scope.mount }

    /// The path below the mount, normalised and still percent-encoded; it begins with a slash, or is empty at a mount without one.
    public var localPath: String {
        scope.path.getString(
            at: scope.path.readerIndex + scope.localStart, length: scope.path.readableBytes - scope.localStart)
            ?? ""
    }

    /// The full path of a resource of the same app.
    /// - Parameter path: begins with a slash; percent-encoded already.
    public func url(_ path: String) -> String { mount.url(path) }
}
