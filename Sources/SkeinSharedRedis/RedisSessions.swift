// Sessions that several machines share.

import SkeinCore
import SkeinEngine
import SkeinRedis

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// Sessions on a Redis server: `router.use(Sessions(store: RedisSessions(try client.redis("redis://cache.internal"))))`.
///
/// While the server is unavailable, requests with a session fail with the client's error.
public struct RedisSessions: SessionStore {
    private let redis: RedisClient
    private let prefix: String

    /// - Parameters:
    ///   - redis: the server.
    ///   - prefix: of the keys. Default: `skein:session:`.
    public init(_ redis: RedisClient, prefix: String = "skein:session:") {
        self.redis = redis
        self.prefix = prefix
    }

    private func text(_ values: [String: String]) throws -> String {
        String(decoding: try JSONEncoder().encode(values), as: UTF8.self)
    }

    /// The values of a session.
    public func load(_ id: String) async throws -> [String: String]? {
        guard let text = try await redis.get(prefix + id).fetch(String?.self) else { return nil }
        return try JSONDecoder().decode([String: String].self, from: Data(text.utf8))
    }

    /// Stores the values of a session for a lifetime.
    public func save(_ id: String, _ values: [String: String], for lifetime: Duration) async throws {
        try await redis.set(prefix + id, try text(values), "PX", Int(lifetime / .milliseconds(1))).commit()
    }

    /// Deletes a session.
    public func remove(_ id: String) async throws { try await redis.del(prefix + id).commit() }

    /// Updates the values of an existing session, in one step.
    public func update(_ id: String, _ values: [String: String], for lifetime: Duration) async throws -> Bool {
        try await redis.set(prefix + id, try text(values), "PX", Int(lifetime / .milliseconds(1)), "XX")
            .fetch(String?.self) != nil
    }
}
