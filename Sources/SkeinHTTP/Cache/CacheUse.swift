// What a cache had to do with a response.

/// How a response came by way of a cache.
public enum CacheUse: String, Sendable {
    /// From the server; it was not there, or not to be used.
    case miss
    /// From the cache, fresh.
    case hit
    /// From the cache; the server said that it is still right.
    case revalidated
    /// From the cache, no longer fresh: the server failed, or is being asked in the background.
    case stale
}
