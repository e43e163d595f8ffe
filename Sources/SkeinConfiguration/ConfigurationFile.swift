// An engine from a configuration file.

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

/// Why a configuration file cannot be used: all its errors.
public struct ConfigurationError: Error, Sendable, CustomStringConvertible {
    /// One error.
    public struct Problem: Sendable, Hashable, Encodable, CustomStringConvertible {
        /// The file.
        public let file: String
        /// The line, from 1.
        public let line: Int
        /// The column, from 1.
        public let column: Int
        /// The dotted path of the key; empty for an error in the syntax.
        public let key: String
        /// One sentence.
        public let message: String

        /// The error as compilers write them: `skein.toml:3:5: mount.path: …`.
        public var description: String { "\(file):\(line):\(column): \(key.isEmpty ? "" : "\(key): ")\(message)" }
    }

    /// The errors, in the order of the file.
    public let problems: [Problem]

    /// One line for each error.
    public var description: String { problems.map(\.description).joined(separator: "\n") }
}

/// State that is kept over a reload: caches, issuers' keys, and the meters of limits.
public final class KeptStates: Sendable {
    private struct State {
        /// Counts the files that were read.
        var reading = 0
        var caches = ByteDictionary<(cache: HTTPCache, reading: Int)>()
        var keys = ByteDictionary<(keys: RemoteKeySet, reading: Int)>()
    }

    let rates = LocalRateStore()
    /// Whether the files of caches stay closed, because nothing will be served.
    let isForReading: Bool
    private let state = Mutex(State())

    /// Creates empty state.
    /// - Parameter isForReading: whether a file is only checked, and its engine never serves. Default: false.
    public init(isForReading: Bool = false) { self.isForReading = isForReading }

    /// Called when a file is read.
    func begin() { state.withLock { $0.reading += 1 } }

    /// The cache of a definition; created if it is new.
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

    /// Releases the state that the most recently read file does not name.
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
    /// The certificate that is requested automatically; nil for none. See ``CertificateManager``.
    public let acme: ACMEConfiguration?
    /// The number of worker processes under a master; nil for a server without a master.
    public let workers: Int?
    /// The number of event-loop threads, if the file sets it.
    public let threads: Int?
    private let document: TOMLTable
    private static let largest = 4 << 20

    /// Reads a file and checks it completely.
    /// - Parameters:
    ///   - path: the file. Paths in it are relative to the working folder.
    ///   - kept: the state of an engine that already runs, for a reload. Default: none.
    /// - Throws: ``ConfigurationError`` with all errors; code 701 for a file that cannot be read.
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
    ///   - kept: the state of an engine that already runs, for a reload. Default: none.
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

    /// All settings with their values; settings that the file omits have their defaults.
    public var explanation: String { Explanation.text(document) }

    /// All supported settings, as a page in Markdown.
    public static var reference: String { Explanation.reference }
}
