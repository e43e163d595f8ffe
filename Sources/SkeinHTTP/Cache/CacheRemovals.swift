// Purges while responses are in flight.

import SkeinCore
import Synchronization

/// Recent removals: a response requested before a removal is not stored after it.
final class CacheRemovals: Sendable {
    struct Mark {
        fileprivate let all: Int
        fileprivate let own: Int
    }

    private struct State {
        var all = 0
        var keys = ByteDictionary<Int>()
    }

    private static let mostKeys = 10_000

    private let state = Mutex(State())

    /// Marks the time of a request.
    func mark(_ key: String) -> Mark { state.withLock { Mark(all: $0.all, own: $0.keys[key] ?? 0) } }

    /// Whether nothing was removed since.
    func isValid(_ mark: Mark, _ key: String) -> Bool {
        state.withLock { $0.all == mark.all && $0.keys[key] ?? 0 == mark.own }
    }

    func note(_ key: String) {
        state.withLock { state in
            if state.keys.count >= Self.mostKeys {
                state.all += 1
                state.keys = ByteDictionary()
            }
            state.keys[key, default: 0] += 1
        }
    }

    func noteAll() { state.withLock { $0.all += 1 } }
}
