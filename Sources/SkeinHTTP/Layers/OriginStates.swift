// The state of a layer for each origin.

import Synchronization

/// A state for each origin, created on first use. When there are too many, those that are not needed are dropped.
final class OriginStates<State: Sendable>: Sendable {
    private static var maximum: Int { 10_000 }

    private let states = Mutex<[HTTPOrigin: State]>([:])
    private let initial: State
    private let isIdle: @Sendable (State) -> Bool

    init(_ initial: State, isIdle: @escaping @Sendable (State) -> Bool) {
        self.initial = initial
        self.isIdle = isIdle
    }

    func change<Result>(_ origin: HTTPOrigin, _ change: (inout State) -> sending Result) -> sending Result {
        states.withLock { states in
            if states.count >= Self.maximum { states = states.filter { !isIdle($0.value) } }
            var state = states[origin] ?? initial
            let result = change(&state)
            states[origin] = state
            return result
        }
    }
}
