// The result of a cache lookup.

import Synchronization

/// The source of a response that went through a cache.
public enum CacheUse: String, Sendable {
    /// From the server; it was not stored, or not usable.
    case miss
    /// From the cache, fresh.
    case hit
    /// From the cache; the server confirmed that it is current.
    case revalidated
    /// From the cache, no longer fresh: the server failed, or a revalidation runs in the background.
    case stale
}

/// Counts of a cache's lookups, by result.
public struct CacheStatistics: Sendable, Encodable {
    /// Responses from the cache, fresh.
    public var hits = 0
    /// Responses from the cache that the server has confirmed.
    public var revalidated = 0
    /// Responses from the cache that were not fresh.
    public var stale = 0
    /// Responses from the server.
    public var misses = 0
}

final class CacheCounts: Sendable {
    private let counts = Mutex(CacheStatistics())

    var statistics: CacheStatistics { counts.withLock { $0 } }

    func add(_ use: CacheUse) {
        counts.withLock { counts in
            switch use {
            case .hit: counts.hits += 1
            case .revalidated: counts.revalidated += 1
            case .stale: counts.stale += 1
            case .miss: counts.misses += 1
            }
        }
    }
}
