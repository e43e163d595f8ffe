// Maps request paths to those of a back end, and back for its redirects.

import NIOCore
import SkeinCore
import SkeinHTTP
import SkeinWire

/// The mapping of paths between a mount and a back end.
struct PathMapping: Sendable {
    private struct Pattern: Sendable {
        let from: [RoutePattern.Segment]
        let to: [RoutePattern.Segment]
    }

    /// The path of the back end's URL, without a trailing slash.
    let base: String
    private let keepsMount: Bool
    private let mergesSlashes: Bool
    private let patterns: [Pattern]

    /// - Throws: code 701 for an invalid pattern, or one whose parameters differ from those of its replacement.
    init(base: String, _ configuration: UpstreamConfiguration) throws(SkeinError) {
        var base = base
        while base.hasByteSuffix("/") { base.removeLast() }
        self.base = base
        mergesSlashes = configuration.mergesSlashes
        var patterns: [Pattern] = []
        switch configuration.path {
        case .replaced: keepsMount = false
        case .kept: keepsMount = true
        case .patterns(let list):
            keepsMount = false
            for rule in list {
                let from = try RoutePattern(rule.pattern)
                let to = try RoutePattern(rule.path)
                guard to.names.allSatisfy(from.names.contains), !to.segments.contains(.any) else {
                    throw SkeinError(
                        .exception,
                        because: "\(rule.path.debugDescription) has parameters that \(rule.pattern) does not have"
                    )
                }
                patterns.append(Pattern(from: from.segments, to: to.segments))
            }
        }
        self.patterns = patterns
    }

    /// The path for the back end.
    /// - Parameters:
    ///   - path: the normalised path used for routing.
    ///   - localStart: the start of the part below the mount.
    func path(_ path: ByteBuffer, localStart: Int) -> String {
        let start = path.readerIndex + (keepsMount ? 0 : localStart)
        let own = path.getString(at: start, length: path.writerIndex - start) ?? ""
        var mapped = base
        if let replaced = replaced(own) { mapped += replaced } else { mapped += own }
        if mergesSlashes { mapped = Self.merged(mapped) }
        return mapped.isEmpty ? "/" : mapped
    }

    /// The client's path for a path of the back end; nil when it is not below the mount.
    /// - Parameter mount: the path of the mount.
    func original(_ path: Substring, mount: String) -> String? {
        guard !keepsMount, patterns.isEmpty, path.hasBytePrefix(base) else { return nil }
        let rest = path.utf8.dropFirst(base.utf8.count)
        guard rest.isEmpty || [UInt8(ascii: "/"), UInt8(ascii: "?"), UInt8(ascii: "#")].contains(rest.first) else {
            return nil
        }
        return mount + String(Substring(rest))
    }

    /// Whether paths are equal on both sides.
    func isIdentity(mount: String) -> Bool { keepsMount ? base.isEmpty : base == mount && patterns.isEmpty }

    private func replaced(_ path: String) -> String? {
        guard !patterns.isEmpty else { return nil }
        let parts = path.dropFirst().splitBytes(separator: "/", omittingEmptySubsequences: false).map(String.init)
        for pattern in patterns {
            guard let values = Self.match(parts, pattern.from) else { continue }
            return pattern.to.reduce("") { path, segment in
                switch segment {
                case .literal(let bytes): path + "/" + String(decoding: bytes, as: UTF8.self)
                case .parameter(let name, _), .rest(let name): path + "/" + (values[name] ?? "")
                case .any: path
                }
            }
        }
        return nil
    }

    private static func match(_ parts: [String], _ segments: [RoutePattern.Segment]) -> [String: String]? {
        var values: [String: String] = [:]
        for (index, segment) in segments.enumerated() {
            if case .rest(let name) = segment {
                values[name] = parts.dropFirst(index).joined(separator: "/")
                return values
            }
            guard index < parts.count else { return nil }
            let part = parts[index]
            switch segment {
            case .literal(let bytes): guard part.utf8.elementsEqual(bytes) else { return nil }
            case .parameter(let name, let kind):
                var text = part
                guard text.withUTF8({ kind.accepts(UnsafeRawBufferPointer($0)) }) else { return nil }
                values[name] = part
            case .any: guard !part.isEmpty else { return nil }
            case .rest: break
            }
        }
        return parts.count == segments.count ? values : nil
    }

    private static func merged(_ path: String) -> String {
        var last: UInt8 = 0
        let bytes = path.utf8.filter { byte in
            defer { last = byte }
            return byte != UInt8(ascii: "/") || last != byte
        }
        return String(decoding: bytes, as: UTF8.self)
    }
}
