// A round-robin pool of expensive objects.

import Synchronization

/// A pool that grows on demand up to a maximum and then returns its members in turn.
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
    ///   - initial: members created at once. Default: 1.
    ///   - maximum: the maximum number of members; at least 1. Default: 8.
    ///   - create: creates one member. It must not use the pool.
    public init(initial: Int = 1, maximum: Int = 8, create: @escaping @Sendable () -> Resource) {
        self.create = create
        self.maximum = max(1, maximum)
        state = Mutex(State(members: (0..<min(max(0, initial), max(1, maximum))).map { _ in create() }))
    }

    /// The members created so far.
    public var count: Int { state.withLock { $0.members.count } }

    /// The next member: an unused one, a new one below the maximum, else the next in turn.
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
