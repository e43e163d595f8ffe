// Scripts: sent once, called by their hash from then on.

import Crypto
import SkeinCore

/// A script of Lua: `let take = RedisScript("return redis.call('GET', KEYS[1])")`.
public struct RedisScript: Hashable, Sendable {
    /// Its text.
    public let source: String
    /// The hash by which the server knows it.
    public let sha1: String

    /// A script.
    public init(_ source: String) {
        self.source = source
        sha1 = Hex.encode(Insecure.SHA1.hash(data: Array(source.utf8)))
    }
}

extension RedisClient {
    /// Runs a script: by its hash, and with its text when the server does not know it yet.
    /// - Parameters:
    ///   - script: what to run.
    ///   - keys: the keys it touches, its `KEYS`.
    ///   - arguments: its `ARGV`.
    /// - Returns: what it returns.
    /// - Throws: what the server says.
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
