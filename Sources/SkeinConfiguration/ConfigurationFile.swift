// An engine by a configuration file.

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

/// What outlives a reload: caches, and the meters of limits.
public final class KeptStates: Sendable {
    let rates = LocalRateStore()
    private let caches = Mutex<[String: HTTPCache]>([:])

    /// Nothing yet.
    public init() {}

    /// The cache of a definition, made if it is new.
    func cache(_ definition: String, _ make: () throws -> HTTPCache) throws -> HTTPCache {
        if let cache = caches.withLock({ $0[definition] }) { return cache }
        let cache = try make()
        caches.withLock { $0[definition] = cache }
        return cache
    }
}

/// An engine that a file describes.
///
///     let file = try ConfigurationFile("skein.toml")
///     try await file.engine.serve()
public struct ConfigurationFile: Sendable {
    /// The engine.
    public let engine: Engine
    private let document: TOMLTable

    /// Reads a file and checks all of it.
    /// - Parameters:
    ///   - path: the file. Paths in it are relative to the working folder.
    ///   - kept: what an engine that runs already has, for a reload. Default: nothing.
    /// - Throws: ``ConfigurationError`` with everything that is wrong; code 701 for a file that cannot be read.
    public init(_ path: String, keeping kept: KeptStates = KeptStates()) throws {
        guard let bytes = FileManager.default.contents(atPath: path) else {
            throw SkeinError(.exception, because: "the file \(path.debugDescription) cannot be read")
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
        let problems = ProblemList()
        let root = CheckedSection(
            document, ConfigurationSchema.root, path: "", position: TextPosition(line: 1, column: 1), problems)
        root.check()
        var builder = EngineBuilder(root)
        builder.build(keeping: kept)
        guard problems.all.isEmpty else { throw failure(Array(Set(problems.all))) }
        engine = builder.engine
    }

    /// All settings with their values, those that were left out with their defaults: what the file means.
    public var explanation: String { Explanation.text(document) }

    /// The settings that there are, as a page in Markdown.
    public static var reference: String { Explanation.reference }
}
