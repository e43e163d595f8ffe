// Which apps may answer a request: by its host and its path.

import SkeinHTTP

/// An app at its place.
struct Mount: Sendable {
    let point: MountPoint
    let app: any App

    /// Where the app's own part of a path begins; nil for a path that is not below the mount.
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

/// The mounts of an engine, in the order in which they are asked.
struct MountTable: Sendable {
    /// For hosts with mounts of their own: those together with what is mounted for every host.
    private var named: [String: [Mount]] = [:]
    /// The same for all hosts below one, the longest name first.
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

    /// The longest path first; of one path, that of one host, then of some, then of all; then in the order of mounting.
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

    /// Whether some mounts are for some hosts only.
    var hasHosts: Bool { !named.isEmpty || !wildcards.isEmpty }

    /// The mounts for a host.
    func mounts(for host: String?) -> [Mount] {
        guard hasHosts, let host else { return others }
        if let own = named[host] { return own }
        return wildcards.first { host.hasByteSuffix($0.suffix) }?.mounts ?? others
    }
}

extension ServerRequest {
    /// The name of the host that was asked for, in small letters and without the port; nil when the request names none.
    public var host: String? {
        guard let field = targetAuthority ?? headers["Host"], !field.isEmpty else { return nil }
        let name = field.hasBytePrefix("[") ? field.prefix(before: "]") + "]" : field.prefix(before: ":")
        return (name.hasByteSuffix(".") ? name.dropLast() : name).lowercased()
    }
}
