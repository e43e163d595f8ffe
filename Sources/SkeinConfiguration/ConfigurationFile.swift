// An engine by a configuration file.

import SkeinACME
import SkeinCore
import SkeinEngine
import SkeinHTTP
import Synchronization

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// Why a configuration file cannot be used: everything that is wrong with it.
public struct ConfigurationError: Error, Sendable, CustomStringConvertible {
    /// One thing that is wrong.
    public struct Problem: Sendable, Hashable, Encodable, CustomStringConvertible {
        /// The file.
        public let file: String
        /// The line, from 1.
        public let line: Int
        /// The column, from 1.
        public let column: Int
        /// The dotted path of the key; empty for what is wrong with the text.
        public let key: String
        /// One sentence.
        public let message: String

        /// The problem as compilers write them: `skein.toml:3:5: mount.path: …`.
        public var description: String { "\(file):\(line):\(column): \(key.isEmpty ? "" : "\(key): ")\(message)" }
    }

    /// The problems, in the order of the file.
    public let problems: [Problem]

    /// A line for each problem.
    public var description: String { problems.map(\.description).joined(separator: "\n") }
}

/// What outlives a reload: caches, issuers' keys, and the meters of limits.
public final class KeptStates: Sendable {
    private struct State {
        /// Counts the files that were read.
        var reading = 0
        var caches = ByteDictionary<(cache: HTTPCache, reading: Int)>()
        var keys = ByteDictionary<(keys: RemoteKeySet, reading: Int)>()
    }

    let rates = LocalRateStore()
    /// Whether the files of caches stay closed, since nothing is to be served.
    let isForReading: Bool
    private let state = Mutex(State())

    /// Nothing yet.
    /// - Parameter isForReading: whether a file is only checked, and the engine that it describes never serves. Default: false.
    public init(isForReading: Bool = false) { self.isForReading = isForReading }

    /// A file is read.
    func begin() { state.withLock { $0.reading += 1 } }

    /// The cache of a definition, made if it is new.
    func cache(_ definition: String, _ make: () throws -> HTTPCache) throws -> HTTPCache {
        try state.withLock { state in
            let cache = try state.caches[definition]?.cache ?? make()
            state.caches[definition] = (cache, state.reading)
            return cache
        }
    }

    /// The keys at a URL.
    func keys(_ url: String) throws -> RemoteKeySet {
        try state.withLock { state in
            let keys = try state.keys[url]?.keys ?? RemoteKeySet(url)
            state.keys[url] = (keys, state.reading)
            return keys
        }
    }

    /// Lets go of what the file that was read last does not name.
    public func dropUnused() {
        state.withLock { state in
            for name in state.caches.keys where state.caches[name]?.reading != state.reading {
                state.caches[name] = nil
            }
            for name in state.keys.keys where state.keys[name]?.reading != state.reading { state.keys[name] = nil }
        }
    }
}

/// An engine that a file describes.
///
///     let file = try ConfigurationFile("skein.toml")
///     try await file.engine.serve()
public struct ConfigurationFile: Sendable {
    /// The engine.
    public let engine: Engine
    /// The certificate that is asked for by itself; nil for none. See ``CertificateManager``.
    public let acme: ACMEConfiguration?
    /// Processes that serve under a master; nil for one without a master.
    public let workers: Int?
    /// Event-loop threads, where the file says it.
    public let threads: Int?
    private let document: TOMLTable
    private static let largest = 4 << 20

    /// Reads a file and checks all of it.
    /// - Parameters:
    ///   - path: the file. Paths in it are relative to the working folder.
    ///   - kept: what an engine that runs already has, for a reload. Default: nothing.
    /// - Throws: ``ConfigurationError`` with everything that is wrong; code 701 for a file that cannot be read.
    public init(_ path: String, keeping kept: KeptStates = KeptStates()) throws {
        guard let bytes = FileManager.default.contents(atPath: path), bytes.count <= Self.largest else {
            throw SkeinError(
                .exception, because: "the file \(path.debugDescription) cannot be read, or is larger than 4 MiB")
        }
        try self.init(text: bytes, name: path, keeping: kept)
    }

    /// Reads a text.
    /// - Parameters:
    ///   - text: TOML in UTF-8.
    ///   - name: the file's name in messages.
    ///   - kept: what an engine that runs already has, for a reload. Default: nothing.
    public init(text: some Collection<UInt8>, name: String, keeping kept: KeptStates = KeptStates()) throws {
        func failure(_ problems: [DocumentProblem]) -> ConfigurationError {
            ConfigurationError(
                problems: problems.sorted { $0.position < $1.position }.map {
                    ConfigurationError.Problem(
                        file: name, line: $0.position.line, column: $0.position.column, key: $0.key, message: $0.message
                    )
                })
        }
        do throws(DocumentProblem) { document = try TOMLReader.read(text) } catch { throw failure([error]) }
        kept.begin()
        let problems = ProblemList()
        let root = CheckedSection(
            document, ConfigurationSchema.root, path: "", position: TextPosition(line: 1, column: 1), problems)
        root.check()
        var builder = EngineBuilder(root)
        builder.build(keeping: kept)
        guard problems.all.isEmpty else { throw failure(Array(Set(problems.all))) }
        engine = builder.engine
        acme = builder.acme
        workers = root.section("server")?.integer("workers")
        threads = root.section("server")?.integer("threads")
    }

    /// All settings with their values, those that were left out with their defaults: what the file means.
    public var explanation: String { Explanation.text(document) }

    /// The settings that there are, as a page in Markdown.
    public static var reference: String { Explanation.reference }
}
