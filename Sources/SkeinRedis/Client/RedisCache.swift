// Client-side caching with invalidation messages.

import DequeModule
import NIOCore
import SkeinCore

/// The cached responses of one shard; the oldest are evicted first.
///
/// Unchecked: used on its shard's loop only.
final class RedisCache: @unchecked Sendable {
    private let limit: Int
    private var answers: [[UInt8]: [CacheKey: RedisValue]] = [:]
    /// The keys in insertion order; some are removed already, or occur twice.
    private var order = Deque<[UInt8]>()
    private var count = 0

    private struct CacheKey: Hashable {
        let name: String
        let arguments: [[UInt8]]
    }

    init(limit: Int) { self.limit = limit }

    private static func cacheKey(_ request: RedisRequest) -> (key: [UInt8], CacheKey)? {
        guard case .one(let command) = request, command.kind.contains(.cacheable), let key = command.arguments.first
        else {
            return nil
        }
        return (key.utf8, CacheKey(name: command.name, arguments: command.arguments.map(\.utf8)))
    }

    /// The cached response to a command.
    subscript(request: RedisRequest) -> RedisValue? {
        guard let (key, cacheKey) = Self.cacheKey(request) else { return nil }
        return answers[key]?[cacheKey]
    }

    /// Caches a response. On the same connection, the server sends an invalidation after the responses that precede the
    /// change.
    func keep(_ value: RedisValue, for request: RedisRequest) {
        guard let (key, cacheKey) = Self.cacheKey(request) else { return }
        if answers[key] == nil { order.append(key) }
        if answers[key, default: [:]].updateValue(value, forKey: cacheKey) == nil { count += 1 }
        while count > limit, let oldest = order.popFirst() { forget(oldest) }
        // Removed keys are not searched in the order each time, but dropped together, now and then.
        if order.count > 2 * answers.count + 64 { order = Deque(answers.keys) }
    }

    private func forget(_ key: [UInt8]) { count -= answers.removeValue(forKey: key)?.count ?? 0 }

    /// The connection that carries invalidations was lost.
    func forgetAll() {
        answers = [:]
        order = []
        count = 0
    }

    /// Handles a push message of the server.
    func hear(_ message: [RedisValue]) {
        guard message.first?.string == "invalidate", message.count > 1 else { return }
        guard let keys = message[1].elements else { return forgetAll() }
        for key in keys { forget(key.redisArgument.utf8) }
    }
}
