// The eviction order of stored responses: S3-FIFO (Yang et al., "FIFO queues are all you need for cache eviction",
// 2023). Responses requested once do not evict those requested often.

import DequeModule

/// Sizes by key, with the order of eviction.
struct CacheOrder<Key: Hashable> {
    private struct Item {
        var size: Int
        /// The number of its valid position in the queues.
        var turn: Int
        /// How often it was used lately, 3 at most.
        var uses = 0
        var isMain: Bool
    }

    private typealias Queue = Deque<(key: Key, turn: Int)>

    private let maximum: Int
    private var items: [Key: Item] = [:]
    /// New keys: a tenth of the capacity.
    private var small = Queue()
    private var main = Queue()
    private var smallSize = 0
    /// Keys evicted from the small queue lately; a key that returns goes to the main queue.
    private var ghosts = Queue()
    private var ghostTurns: [Key: Int] = [:]
    private var turn = 0
    private(set) var total = 0

    /// - Parameter maximum: the limit for the sum of all sizes.
    init(maximum: Int) { self.maximum = maximum }

    var count: Int { items.count }
    /// The positions in the queues, including those of removed keys.
    var placeCount: Int { small.count + main.count + ghosts.count }

    /// Notes that a key was used.
    mutating func use(_ key: Key) {
        guard let uses = items[key]?.uses, uses < 3 else { return }
        items[key]?.uses = uses + 1
    }

    /// Notes the size of a key.
    /// - Returns: the keys to evict.
    mutating func put(_ key: Key, size: Int) -> [Key] {
        if let old = items[key] {
            items[key]?.size = size
            total += size - old.size
            if !old.isMain { smallSize += size - old.size }
            use(key)
        } else {
            turn += 1
            let isMain = ghostTurns.removeValue(forKey: key) != nil
            items[key] = Item(size: size, turn: turn, isMain: isMain)
            total += size
            if isMain {
                main.append((key, turn))
            } else {
                small.append((key, turn))
                smallSize += size
            }
        }
        compact()
        var gone: [Key] = []
        while total > maximum, let key = evict() { gone.append(key) }
        return gone
    }

    /// Drops the positions of removed keys, once there are many.
    private mutating func compact() {
        guard small.count + main.count > 2 * items.count + 64 else { return }
        small.removeAll { place in items[place.key].map { $0.turn != place.turn || $0.isMain } ?? true }
        main.removeAll { place in items[place.key].map { $0.turn != place.turn || !$0.isMain } ?? true }
    }

    mutating func remove(_ key: Key) {
        guard let old = items.removeValue(forKey: key) else { return }
        total -= old.size
        if !old.isMain { smallSize -= old.size }
    }

    /// Evicts one key; nil when there is none.
    private mutating func evict() -> Key? {
        while !items.isEmpty {
            if smallSize > maximum / 10 || main.isEmpty {
                guard let place = small.popFirst() else {
                    if main.isEmpty { return nil }
                    smallSize = 0
                    continue
                }
                guard let item = items[place.key], item.turn == place.turn, !item.isMain else { continue }
                smallSize -= item.size
                if item.uses > 0 {
                    items[place.key]?.isMain = true
                    items[place.key]?.uses = 0
                    main.append(place)
                    continue
                }
                items[place.key] = nil
                total -= item.size
                haunt(place)
                return place.key
            }
            guard let place = main.popFirst() else { continue }
            guard let item = items[place.key], item.turn == place.turn, item.isMain else { continue }
            if item.uses > 0 {
                items[place.key]?.uses = item.uses - 1
                main.append(place)
                continue
            }
            items[place.key] = nil
            total -= item.size
            return place.key
        }
        return nil
    }

    private mutating func haunt(_ place: (key: Key, turn: Int)) {
        ghosts.append(place)
        ghostTurns[place.key] = place.turn
        // As many as in the main queue, plus some for the start.
        while ghosts.count > items.count + 64, let oldest = ghosts.popFirst() {
            if ghostTurns[oldest.key] == oldest.turn { ghostTurns[oldest.key] = nil }
        }
    }
}
