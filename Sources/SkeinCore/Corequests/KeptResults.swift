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
    }

    private struct State {
        /// Two generations: used results move to the new one, and the old one is dropped as a whole.
        var new = ByteDictionary<Entry>()
        var old = ByteDictionary<Entry>()
        var count = 0
    }

    private let half: Int
    private let state = Mutex(State())

    /// - Parameter maximum: the maximum number of results. Default: 1000.
    public init(maximum: Int = 1000) { half = max(1, maximum / 2) }

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
            statuses.contains($0.statusCode) ? lifetime : nil
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
            results.allSatisfy { statuses.contains($0.statusCode) } ? lifetime : nil
        }
    }

    /// Removes a result.
    public func remove(_ name: String) {
        state.withLock { state in
            state.new[name] = nil
            state.old[name] = nil
        }
    }

    /// Removes all results.
    public func removeAll() { state.withLock { $0 = State() } }

    private func value<Value: Sendable>(
        _ name: String, changed change: Double?, of type: Value.Type, _ ask: @escaping @Sendable () async -> Value,
        lifetime: @escaping @Sendable (Value) -> Duration?
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
        if state.new[name] == nil, state.new.count >= half {
            state.old = state.new
            state.new = ByteDictionary()
        }
        state.old[name] = nil
        state.new[name] = entry
    }

    /// A result has arrived, and is cached or not.
    private func settle(_ name: String, _ number: Int, _ lifetime: Duration?) {
        state.withLock { state in
            for generation in [\State.new, \State.old] where state[keyPath: generation][name]?.number == number {
                state[keyPath: generation][name]?.expires = lifetime.map { .now + $0 }
                if lifetime == nil { state[keyPath: generation][name] = nil }
            }
        }
    }
}
