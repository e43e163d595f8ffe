// A cache of results of any protocol.

import Synchronization

/// Caches the results of corequests under names.
///
///     let results = KeptResults()
///     let users = try await results.fetch("users", for: .seconds(60)) { client.get("https://example.org/users") }
///
/// Concurrent calls for one name share one request. Beyond a maximum, the least recently used results are dropped.
public final class KeptResults: Sendable {
    private struct Entry {
        let task: Task<any Sendable, Never>
        let number: Int
        /// The time of the last change, as given when the result was requested.
        let change: Double?
        let type: ObjectIdentifier
        /// Nil while the request is in flight.
        var expires: ContinuousClock.Instant?
        /// The memory that it takes, once it is there.
        var size = 0
    }

    private struct State {
        /// Two generations: used results move to the new one, and the old one is dropped as a whole.
        var new = ByteDictionary<Entry>()
        var old = ByteDictionary<Entry>()
        var count = 0
        /// The memory of the new generation.
        var size = 0
    }

    private let half: Int
    private let halfSize: Int
    private let state = Mutex(State())

    /// - Parameters:
    ///   - maximum: the largest number of results. Default: 1000.
    ///   - maximumBytes: the memory of all results; one that takes more than half of it is not kept. Default: 64 MiB.
    public init(maximum: Int = 1000, maximumBytes: Int = 64 << 20) {
        half = max(1, maximum / 2)
        halfSize = max(1, maximumBytes / 2)
    }

    /// A cached result, or the result of a new corequest.
    /// - Parameters:
    ///   - name: the key, which must cover everything that the result depends on.
    ///   - lifetime: how long the result is cached.
    ///   - statuses: the statuses that are cached. Default: 200.
    ///   - change: when the underlying data last changed, by any clock; a result requested with another value is
    ///     requested again. Default: nil, never changed.
    ///   - start: starts the corequest.
    /// - Returns: the result, with any status, when the corequest has ended; a deadline belongs to the corequest, and
    ///   not to the callers that wait for it.
    public func dispatch<Result: Response>(
        _ name: String, for lifetime: Duration, if statuses: Set<Int> = [200], changed change: Double? = nil,
        _ start: @escaping @Sendable () -> Corequest<Result>
    ) async -> Result {
        await value(name, changed: change, of: Result.self) {
            await start().dispatch()
        } lifetime: {
            statuses.contains($0.statusCode) ? (lifetime, $0.contentSize) : nil
        }
    }

    /// The content of a result.
    /// - Throws: `SkeinError` when the exchange failed or the status is not a success.
    public func fetch<Result: Response>(
        _ name: String, for lifetime: Duration, if statuses: Set<Int> = [200], changed change: Double? = nil,
        _ start: @escaping @Sendable () -> Corequest<Result>
    ) async throws -> Result.Content {
        let result = await dispatch(name, for: lifetime, if: statuses, changed: change, start)
        try result.raiseForStatus()
        return result.content
    }

    /// The results of a group, which are cached together when all of them have one of the statuses.
    public func dispatch<Result: Response>(
        _ name: String, for lifetime: Duration, if statuses: Set<Int> = [200], changed change: Double? = nil,
        _ start: @escaping @Sendable () -> CorequestGroup<Result>
    ) async -> [Result] {
        await value(name, changed: change, of: [Result].self) {
            await start().dispatch()
        } lifetime: { results in
            guard results.allSatisfy({ statuses.contains($0.statusCode) }) else { return nil }
            return (lifetime, results.reduce(0) { $0 + $1.contentSize })
        }
    }

    /// Removes a result.
    public func remove(_ name: String) {
        state.withLock { forget(name, &$0) }
    }

    /// Removes all results.
    public func removeAll() { state.withLock { $0 = State() } }

    private func value<Value: Sendable>(
        _ name: String, changed change: Double?, of type: Value.Type, _ ask: @escaping @Sendable () async -> Value,
        lifetime: @escaping @Sendable (Value) -> (Duration, size: Int)?
    ) async -> Value {
        let task = state.withLock { state in
            let kind = ObjectIdentifier(type)
            if let known = state.new[name] ?? state.old[name], known.type == kind,
                known.change == change, known.expires.map({ $0 > .now }) ?? true
            {
                keep(known, name, &state)
                return known.task
            }
            state.count += 1
            // Detached: the deadline and the trace of the first caller do not apply to the others.
            let task = Task<any Sendable, Never>.detached { [number = state.count, self] in
                let value = await ask()
                settle(name, number, lifetime(value))
                return value
            }
            keep(Entry(task: task, number: state.count, change: change, type: kind), name, &state)
            return task
        }
        guard let value = await task.value as? Value else { return await ask() }
        return value
    }

    private func keep(_ entry: Entry, _ name: String, _ state: inout State) {
        if state.new[name] == nil, state.new.count >= half || state.size + entry.size > halfSize {
            state.old = state.new
            state.new = ByteDictionary()
            state.size = 0
        }
        state.old[name] = nil
        state.size += entry.size - (state.new[name]?.size ?? 0)
        state.new[name] = entry
    }

    /// A result has arrived, and is cached or not.
    private func settle(_ name: String, _ number: Int, _ outcome: (lifetime: Duration, size: Int)?) {
        state.withLock { state in
            guard
                var entry = [state.new[name], state.old[name]].compactMap({ $0 }).first(where: { $0.number == number })
            else { return }
            guard let outcome, outcome.size <= halfSize else { return forget(name, &state) }
            forget(name, &state)
            entry.expires = .now + outcome.lifetime
            entry.size = outcome.size
            keep(entry, name, &state)
        }
    }

    private func forget(_ name: String, _ state: inout State) {
        state.size -= state.new[name]?.size ?? 0
        state.new[name] = nil
        state.old[name] = nil
    }
}
