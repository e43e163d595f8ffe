// Where an app is mounted, as the app itself gets to know it.

import SkeinHTTP

/// A place in an engine: a path, and a host if it is for one.
public struct MountPoint: Sendable {
    /// The path without a slash at its end; empty for the root.
    public let path: String
    /// The host name or pattern, such as `*.example.org`; nil for any host.
    public let host: String?
    /// Whose requests may be passed on to which aliases, for apps that are being made ready.
    var aliasPolicies: [(name: String, policy: AccessPolicy)] = []
    /// What is done when the server has stopped, for apps that are being made ready.
    var shutdown: ShutdownWork?
    /// The client of the server, for apps that are being made ready; nil at other times.
    public var client: SkeinClient? { shutdown?.client }

    static let root = MountPoint(normalised: "", host: nil)

    /// The root of an engine that is being made ready.
    static func root(_ shutdown: ShutdownWork?) -> MountPoint {
        var root = Self.root
        root.shutdown = shutdown
        return root
    }

    private init(normalised path: String, host: String?) {
        self.path = path
        self.host = host
    }

    /// A place.
    /// - Parameters:
    ///   - path: begins with a slash; one at its end makes no difference.
    ///   - host: a name, `*.` and a name for all below it, or nil for any.
    /// - Throws: code 701 when the path or the host is none.
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

    /// A place below this one.
    func below(_ path: String) throws(SkeinError) -> MountPoint {
        var point = MountPoint(normalised: self.path + (try MountPoint(path)).path, host: host)
        point.aliasPolicies = aliasPolicies
        point.shutdown = shutdown
        return point
    }

    /// The path of something in the app, as clients have to ask for it: `/hello` in an app at `/v1` is `/v1/hello`.
    /// - Parameter path: begins with a slash.
    public func url(_ path: String) -> String { self.path + path }
}

extension MountPoint: Hashable {
    /// Two places are equal when path and host are.
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
    /// Where the app that answers is mounted.
    public var mount: MountPoint { scope.mount }

    /// The path below the mount, normalised and still percent-encoded; it begins with a slash, or is empty at a mount without one.
    public var localPath: String {
        scope.path.getString(
            at: scope.path.readerIndex + scope.localStart, length: scope.path.readableBytes - scope.localStart)
            ?? ""
    }

    /// The path of something in the same app, as clients have to ask for it.
    /// - Parameter path: begins with a slash; percent-encoded already.
    public func url(_ path: String) -> String { mount.url(path) }
}
