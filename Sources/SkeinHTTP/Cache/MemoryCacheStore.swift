// Kept responses in memory, and the order in which they have to go.

import DequeModule
import SkeinCore
import Synchronization

/// Keeps entries up to a number of bytes; those used longest ago go first.
protocol CacheStore: Sendable {
    /// The entries for a URL.
    func entries(_ key: String) async -> [CacheEntry]
    /// Keeps an entry, in place of the one for the same askers.
    func keep(_ entry: CacheEntry) async
    /// Forgets the entries for a URL.
    func remove(_ key: String) async
}

/// Entries in memory.
final class MemoryCacheStore: CacheStore {
    private struct State {
        var entries = ByteDictionary<[CacheEntry]>()
        var order: UseOrder<ByteKey>
    }

    private let state: Mutex<State>

    init(maximum: Int) { state = Mutex(State(order: UseOrder(maximum: maximum))) }

    func entries(_ key: String) -> [CacheEntry] {
        state.withLock { state in
            state.order.use(ByteKey(key))
            return state.entries[key] ?? []
        }
    }

    func keep(_ entry: CacheEntry) {
        state.withLock { state in
            var entries = state.entries[entry.key] ?? []
            entries.removeAll { $0.variant.equalsBytes(entry.variant) }
            entries.append(entry)
            state.entries[entry.key] = entries
            for gone in state.order.put(ByteKey(entry.key), size: entries.reduce(0) { $0 + $1.size }) {
                state.entries[gone.text] = nil
            }
        }
    }

    func remove(_ key: String) {
        state.withLock { state in
            state.entries[key] = nil
            state.order.remove(ByteKey(key))
        }
    }
}

/// Sizes by key, with the order in which they were used.
struct UseOrder<Key: Hashable> {
    private let maximum: Int
    private var sizes: [Key: (size: Int, turn: Int)] = [:]
    private var turns = Deque<(key: Key, turn: Int)>()
    private var turn = 0
    private(set) var total = 0

    init(maximum: Int) { self.maximum = maximum }

    mutating func use(_ key: Key) {
        guard let size = sizes[key]?.size else { return }
        turn += 1
        sizes[key] = (size, turn)
        turns.append((key, turn))
        if turns.count > sizes.count * 2 + 64 { turns.removeAll { sizes[$0.key]?.turn != $0.turn } }
    }

    /// Notes the size of a key.
    /// - Returns: the keys that have to go.
    mutating func put(_ key: Key, size: Int) -> [Key] {
        remove(key)
        sizes[key] = (size, 0)
        total += size
        use(key)
        var gone: [Key] = []
        while total > maximum, let oldest = turns.popFirst() {
            guard sizes[oldest.key]?.turn == oldest.turn else { continue }
            remove(oldest.key)
            gone.append(oldest.key)
        }
        return gone
    }

    mutating func remove(_ key: Key) {
        if let old = sizes.removeValue(forKey: key) { total -= old.size }
    }
}
