// When the keys of an issuer are fetched: before they are too old, when a token names one that is unknown, and never often.

import NIOCore

/// The state of a key set that is kept at a URL.
struct KeySetMachine {
    /// What a token is told that needs a key.
    enum Action: Hashable {
        /// The keys that are here count.
        case use
        /// The same, and they are fetched anew meanwhile.
        case useAndFetch
        /// Fetch, and wait for the result.
        case fetch
        /// Wait for the result of the fetch under way.
        case wait
        /// There are no keys, and it is too early to ask for them again.
        case fail
    }

    /// How long keys are used without being fetched anew.
    static let lifetime = TimeAmount.minutes(10)
    /// The shortest time from the start of one fetch to the start of the next.
    static let pause = TimeAmount.seconds(30)

    private var fetched: NIODeadline?
    private var lastFetch: NIODeadline?
    private(set) var isFetching = false

    /// Whether there are keys.
    var hasKeys: Bool { fetched != nil }

    /// A token needs a key.
    /// - Parameter isKnown: whether a key that is here may be the one.
    mutating func needs(isKnown: Bool, at now: NIODeadline) -> Action {
        let mayFetch = !isFetching && (lastFetch.map { now >= $0 + Self.pause } ?? true)
        guard let fetched else { return isFetching ? .wait : begin(if: mayFetch, .fetch, else: .fail, at: now) }
        if isKnown {
            // A key that was withdrawn long ago is not accepted before the issuer was asked.
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

    /// The fetch has ended. What was fetched before stays in use when it has failed.
    mutating func ended(_ isSuccess: Bool, at now: NIODeadline) {
        isFetching = false
        if isSuccess { fetched = now }
    }
}
