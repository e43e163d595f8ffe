// Finds the apps for a request by host and path.

import SkeinHTTP

/// An app with its mount point.
struct Mount: Sendable {
    let point: MountPoint
    let app: any App

    /// The start of the path below the mount; nil for a path that is not below it.
    func localStart(in path: UnsafeRawBufferPointer) -> Int? {
        var text = point.path
        return text.withUTF8 { own in
            guard own.count <= path.count else { return nil }
            if own.count < path.count, path[own.count] != UInt8(ascii: "/") { return nil }
            for index in 0..<own.count where own[index] != path[index] { return nil }
            return own.count
        }
    }
}

/// The mounts of an engine, in the order in which they are tried.
struct MountTable: Sendable {
    /// The mounts of each host, including those for all hosts.
    private var named: [String: [Mount]] = [:]
    /// The same for wildcard hosts, the longest suffix first.
    private var wildcards: [(suffix: String, mounts: [Mount])] = []
    private let others: [Mount]
    /// In the order in which they were made.
    let all: [Mount]

    /// - Parameter mounts: in the order in which they were made.
    init(_ mounts: [Mount]) {
        all = mounts
        others = Self.sorted(mounts.filter { $0.point.host == nil })
        for host in Set(mounts.compactMap(\.point.host)) {
            let isWildcard = host.hasBytePrefix("*.")
            let suffix = String(host.dropFirst(isWildcard ? 1 : 0))
            let own = mounts.filter { mount in
                guard let other = mount.point.host, other != host else { return true }
                return other.hasBytePrefix("*.") && suffix.hasByteSuffix(other.dropFirst())
                    && suffix != other.dropFirst()
            }
            if isWildcard {
                wildcards.append((suffix, Self.sorted(own)))
            } else {
                named[host] = Self.sorted(own)
            }
        }
        wildcards.sort { $0.suffix.count > $1.suffix.count }
    }

    /// The longest path first; for one path, first exact hosts, then wildcards, then all hosts; then in the order of
    /// mounting.
    private static func sorted(_ mounts: [Mount]) -> [Mount] {
        func rank(_ mount: Mount) -> Int {
            guard let host = mount.point.host else { return .max }
            return host.hasBytePrefix("*.") ? 1000 - host.utf8.count : 0
        }
        return mounts.enumerated().sorted { left, right in
            let lengths = (left.element.point.path.utf8.count, right.element.point.path.utf8.count)
            if lengths.0 != lengths.1 { return lengths.0 > lengths.1 }
            let ranks = (rank(left.element), rank(right.element))
            return ranks.0 != ranks.1 ? ranks.0 < ranks.1 : left.offset < right.offset
        }.map(\.element)
    }

    /// Whether some mounts are limited to some hosts.
    var hasHosts: Bool { !named.isEmpty || !wildcards.isEmpty }

    /// The mounts for a host.
    func mounts(for host: String?) -> [Mount] {
        guard hasHosts, let host else { return others }
        if let own = named[host] { return own }
        return wildcards.first { host.hasByteSuffix($0.suffix) }?.mounts ?? others
    }
}

extension ServerRequest {
    /// The host of the request, in lower case and without the port; nil when the request names none.
    public var host: String? {
        guard let field = targetAuthority ?? headers["Host"], !field.isEmpty else { return nil }
        let name = field.hasBytePrefix("[") ? field.prefix(before: "]") + "]" : field.prefix(before: ":")
        return (name.hasByteSuffix(".") ? name.dropLast() : name).lowercased()
    }
}
