// Scripts: uploaded once, then called by their hash.

import Crypto
import SkeinCore

/// A Lua script: `let take = RedisScript("return redis.call('GET', KEYS[1])")`.
public struct RedisScript: Hashable, Sendable {
    /// The source text.
    public let source: String
    /// The hash that identifies it on the server.
    public let sha1: String

    /// A script.
    public init(_ source: String) {
        self.source = source
        sha1 = Hex.encode(Insecure.SHA1.hash(data: Array(source.utf8)))
    }
}

extension RedisClient {
    /// Runs a script: by its hash, or by its source when the server does not know the hash.
    /// - Parameters:
    ///   - script: the script.
    ///   - keys: the keys that it accesses, its `KEYS`.
    ///   - arguments: its `ARGV`.
    /// - Returns: the result of the script.
    /// - Throws: the server's error.
    public func run(
        _ script: RedisScript, keys: [String] = [], _ arguments: any RedisEncodable...
    ) async throws -> RedisValue {
        let words: [any RedisEncodable] = [keys.count] + keys + arguments
        do {
            return try await send(RedisCommand("EVALSHA", [script.sha1] + words)).fetch()
        } catch let error as SkeinError where error.redis?.kind == "NOSCRIPT" {
            return try await send(RedisCommand("EVAL", [script.source] + words)).fetch()
        }
    }
}
