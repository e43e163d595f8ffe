// A few of something that is expensive to make, handed round.

import Synchronization

/// A pool that grows on demand up to a maximum and then hands its members out in turn.
public final class ResourcePool<Resource: Sendable>: Sendable {
    private struct State {
        var members: [Resource]
        var next = 0
    }

    private let create: @Sendable () -> Resource
    private let maximum: Int
    private let state: Mutex<State>

    /// A pool.
    /// - Parameters:
    ///   - initial: members made at once. Default: 1.
    ///   - maximum: members at most; at least 1. Default: 8.
    ///   - create: makes one member. It must not use the pool.
    public init(initial: Int = 1, maximum: Int = 8, create: @escaping @Sendable () -> Resource) {
        self.create = create
        self.maximum = max(1, maximum)
        state = Mutex(State(members: (0..<min(max(0, initial), max(1, maximum))).map { _ in create() }))
    }

    /// The members made so far.
    public var count: Int { state.withLock { $0.members.count } }

    /// The next member: one that was never handed out, a new one while there may be more, else the one whose turn it is.
    public func get() -> Resource {
        state.withLock { state in
            if state.next == state.members.count {
                if state.members.count < maximum {
                    state.members.append(create())
                } else {
                    state.next = 0
                }
            }
            defer { state.next += 1 }
            return state.members[state.next]
        }
    }
}
