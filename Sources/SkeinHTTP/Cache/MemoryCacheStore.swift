// Stored responses in memory.

import SkeinCore
import Synchronization

/// Stores entries up to a number of bytes.
protocol CacheStore: Sendable {
    /// The entries for a URL.
    func entries(_ key: String) async -> [CacheEntry]
    /// Stores an entry, replacing the same variant.
    func keep(_ entry: CacheEntry) async
    /// Removes the entries of a URL.
    func remove(_ key: String) async
    /// Removes entries by their URL and tags.
    /// - Returns: the number of removed entries.
    func remove(where isMeant: @escaping @Sendable (_ key: String, _ tags: [String]) -> Bool) async -> Int
}

/// Entries in memory.
final class MemoryCacheStore: CacheStore {
    private struct State {
        var entries = ByteDictionary<[CacheEntry]>()
        var order: CacheOrder<ByteKey>

        mutating func remove(_ key: String) {
            entries[key] = nil
            order.remove(ByteKey(key))
        }
    }

    /// A server that answers each user differently must not fill the cache with one URL.
    static let mostVariants = 32

    private let state: Mutex<State>

    init(maximum: Int) { state = Mutex(State(order: CacheOrder(maximum: maximum))) }

    func entries(_ key: String) -> [CacheEntry] {
        state.withLock { state in
            guard let entries = state.entries[key] else { return [] }
            state.order.use(ByteKey(key))
            return entries
        }
    }

    func keep(_ entry: CacheEntry) {
        state.withLock { state in
            var entries = state.entries[entry.key] ?? []
            entries.removeAll { $0.variant.equalsBytes(entry.variant) }
            if entries.count == Self.mostVariants { entries.removeFirst() }
            entries.append(entry)
            state.entries[entry.key] = entries
            for gone in state.order.put(ByteKey(entry.key), size: entries.reduce(0) { $0 + $1.size }) {
                state.entries[gone.text] = nil
            }
        }
    }

    func contains(_ key: String) -> Bool { state.withLock { $0.entries[key] != nil } }

    func remove(_ key: String) { state.withLock { $0.remove(key) } }

    func remove(where isMeant: @escaping @Sendable (String, [String]) -> Bool) -> Int {
        state.withLock { state in
            var count = 0
            for key in state.entries.keys {
                let entries = state.entries[key] ?? []
                let kept = entries.filter { !isMeant($0.key, $0.tags) }
                guard kept.count < entries.count else { continue }
                count += entries.count - kept.count
                if kept.isEmpty {
                    state.remove(key)
                } else {
                    state.entries[key] = kept
                    _ = state.order.put(ByteKey(key), size: kept.reduce(0) { $0 + $1.size })
                }
            }
            return count
        }
    }
}

/// A folder, with the most requested entries in memory: all variants of a URL, or none.
final class TieredCacheStore: CacheStore {
    private let memory: MemoryCacheStore
    private let disk: DiskCacheStore
    /// An entry removed while it was being read is not put back.
    private let removals = Atomic(0)

    init(_ memory: MemoryCacheStore, _ disk: DiskCacheStore) {
        self.memory = memory
        self.disk = disk
    }

    func entries(_ key: String) async -> [CacheEntry] {
        let near = memory.entries(key)
        if !near.isEmpty { return near }
        let before = removals.load(ordering: .relaxed)
        let far = await disk.entries(key)
        if removals.load(ordering: .relaxed) == before, !memory.contains(key) { far.forEach(memory.keep) }
        return far
    }

    func keep(_ entry: CacheEntry) async {
        if !memory.contains(entry.key) { _ = await entries(entry.key) }
        memory.keep(entry)
        await disk.keep(entry)
    }

    func remove(_ key: String) async {
        removals.add(1, ordering: .relaxed)
        memory.remove(key)
        await disk.remove(key)
    }

    func remove(where isMeant: @escaping @Sendable (String, [String]) -> Bool) async -> Int {
        removals.add(1, ordering: .relaxed)
        let near = memory.remove(where: isMeant)
        return max(near, await disk.remove(where: isMeant))
    }
}
