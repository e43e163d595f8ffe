// Decides when the keys of an issuer are fetched: when they are old, or when a token names an unknown key, with a rate
// limit.

import NIOCore

/// The state of a remote key set.
struct KeySetMachine {
    /// The action for a token that needs a key.
    enum Action: Hashable {
        /// Use the current keys.
        case use
        /// Use them, and fetch new ones in the background.
        case useAndFetch
        /// Fetch, and wait for the result.
        case fetch
        /// Wait for the result of the fetch under way.
        case wait
        /// There are no keys, and it is too early for another fetch.
        case fail
    }

    /// How long keys are used before they are fetched again.
    static let lifetime = TimeAmount.minutes(10)
    /// The shortest time from the start of one fetch to the start of the next.
    static let pause = TimeAmount.seconds(30)

    private var fetched: NIODeadline?
    private var lastFetch: NIODeadline?
    private(set) var isFetching = false

    /// Whether there are keys.
    var hasKeys: Bool { fetched != nil }

    /// A token needs a key.
    /// - Parameter isKnown: whether a current key may match.
    mutating func needs(isKnown: Bool, at now: NIODeadline) -> Action {
        let mayFetch = !isFetching && (lastFetch.map { now >= $0 + Self.pause } ?? true)
        guard let fetched else { return isFetching ? .wait : begin(if: mayFetch, .fetch, else: .fail, at: now) }
        if isKnown {
            // A key that may have been withdrawn long ago is not accepted before a new fetch.
            if mayFetch, now >= fetched + Self.lifetime + Self.lifetime {
                return begin(if: true, .fetch, else: .use, at: now)
            }
            return begin(if: mayFetch && now >= fetched + Self.lifetime, .useAndFetch, else: .use, at: now)
        }
        return isFetching ? .wait : begin(if: mayFetch, .fetch, else: .use, at: now)
    }

    private mutating func begin(if mayFetch: Bool, _ action: Action, else other: Action, at now: NIODeadline)
        -> Action
    {
        guard mayFetch else { return other }
        isFetching = true
        lastFetch = now
        return action
    }

    /// The fetch has ended. After a failure, the old keys stay in use.
    mutating func ended(_ isSuccess: Bool, at now: NIODeadline) {
        isFetching = false
        if isSuccess { fetched = now }
    }
}
