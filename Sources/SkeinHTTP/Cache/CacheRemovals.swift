// Purges against responses that were under way.

import SkeinCore
import Synchronization

/// What was forgotten of late: a response that was asked for before is not kept after it.
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

    /// A response is asked for.
    func mark(_ key: String) -> Mark { state.withLock { Mark(all: $0.all, own: $0.keys[key] ?? 0) } }

    /// Whether nothing was forgotten since.
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
